"""Scheduled actions on the simulated clock, and routines that wait for them."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Generator
from typing import Any

from tests.support.simulated_aws.clock import SimulatedClock

Action = Callable[[], object]
# What a routine yields. It gets the waiting process, and later calls its `resume` or `fail`.
Wish = Callable[["Process"], object]
Routine = Generator[Wish, Any, Any]


class Schedule:
    """Actions in order of simulated time. Actions at the same time keep their order."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self._heap: list[tuple[float, int, Action]] = []
        self._order = itertools.count()

    def after(self, seconds: float, action: Action) -> None:
        """Run `action` after so many simulated seconds."""
        heapq.heappush(self._heap, (self.clock.seconds() + seconds, next(self._order), action))

    @property
    def next_at(self) -> float | None:
        """When the next action is due, in simulated seconds; None if there is none."""
        return self._heap[0][0] if self._heap else None

    def step(self) -> None:
        """Advance the clock to the next action and run it."""
        moment, _, action = heapq.heappop(self._heap)
        self.clock.advance_to(moment)
        action()


class Process:
    """A running routine. It can wait, run several routines at once, and be stopped.

    `ended` gets the routine's value or error, unless the process was stopped.
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
        """Continue the routine with the value that it waited for."""
        if not self._stopped:
            self._go(lambda: self._routine.send(value))

    def fail(self, error: Exception) -> None:
        """Continue the routine with an error."""
        if not self._stopped:
            self._go(lambda: self._routine.throw(error))

    def stop(self) -> None:
        """Stop the routine now, and all routines that it waits for."""
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
        """Continue with the values of all routines. The first error stops the others."""
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
    """Wait for so many simulated seconds."""
    return lambda process: process.schedule.after(seconds, process.resume)


def together(routines: list[Routine]) -> Wish:
    """Run all routines at once; each waits independently."""
    return lambda process: process.run_parts(routines)
