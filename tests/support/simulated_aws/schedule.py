"""What happens when, on the simulated clock, and routines that wait for it."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Generator
from typing import Any

from tests.support.simulated_aws.clock import SimulatedClock

Action = Callable[[], object]
# What a routine yields: told who waits, it sees to it that `resume` or `fail` is called.
Wish = Callable[["Process"], object]
Routine = Generator[Wish, Any, Any]


class Schedule:
    """Actions in the order of their simulated moments; those of one moment in the order given."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self._heap: list[tuple[float, int, Action]] = []
        self._order = itertools.count()

    def after(self, seconds: float, action: Action) -> None:
        """Does `action` so many simulated seconds from now."""
        heapq.heappush(self._heap, (self.clock.seconds() + seconds, next(self._order), action))

    @property
    def next_at(self) -> float | None:
        """The moment of the next action, in simulated seconds; None where there is none."""
        return self._heap[0][0] if self._heap else None

    def step(self) -> None:
        """Moves the clock to the next action and does it."""
        moment, _, action = heapq.heappop(self._heap)
        self.clock.advance_to(moment)
        action()


class Process:
    """A routine under way: it may wait, wait for several others at once, and be stopped.

    `ended` gets the routine's value, or the error that it ended with, unless it was stopped.
    """

    def __init__(
        self,
        schedule: Schedule,
        routine: Routine,
        ended: Callable[[Any, Exception | None], object],
    ) -> None:
        self.schedule = schedule
        self._routine, self._ended = routine, ended
        self._parts: list[Process] = []
        self._stopped = False

    def resume(self, value: Any = None) -> None:
        """Goes on with what the routine waited for."""
        if not self._stopped:
            self._go(lambda: self._routine.send(value))

    def fail(self, error: Exception) -> None:
        """Goes on with an error in its place."""
        if not self._stopped:
            self._go(lambda: self._routine.throw(error))

    def stop(self) -> None:
        """Ends it where it stands, with all that it waits for."""
        self._stopped = True
        for part in self._parts:
            part.stop()

    def _go(self, on: Callable[[], Wish]) -> None:
        self._parts = []
        try:
            wish = on()
        except StopIteration as end:
            self._stopped = True
            self._ended(end.value, None)
        except Exception as error:
            self._stopped = True
            self._ended(None, error)
        else:
            wish(self)

    def run_parts(self, routines: list[Routine]) -> None:
        """Goes on with the values of all, or with the first error, which stops the others."""
        values: dict[int, Any] = {}

        def ended(number: int, value: Any, error: Exception | None) -> None:
            if error:
                self._stop_parts()
                self.fail(error)
                return
            values[number] = value
            if len(values) == len(routines):
                self.resume([values[n] for n in range(len(routines))])

        self._parts = [
            Process(self.schedule, routine, lambda v, e, n=number: ended(n, v, e))  # type: ignore[misc]
            for number, routine in enumerate(routines)
        ]
        for part in list(self._parts):
            part.resume()

    def _stop_parts(self) -> None:
        for part in self._parts:
            part.stop()


def sleep(seconds: float) -> Wish:
    """Waits so many simulated seconds."""
    return lambda process: process.schedule.after(seconds, process.resume)


def together(routines: list[Routine]) -> Wish:
    """Runs all of them at once, each waiting by itself."""
    return lambda process: process.run_parts(routines)
