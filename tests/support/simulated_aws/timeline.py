"""AWS's background actions, in order of simulated time. Each call runs those that are due."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

from tests.support.simulated_aws.aws import Clock
from tests.support.simulated_aws.clock import START


class Timeline:
    """Actions with a due time.

    Nothing happens between calls. `catch_up` runs the actions that are due, each at its own time,
    so that an action's follow-up actions also run in order.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._moment: float | None = None

    @property
    def now(self) -> float:
        """Simulated seconds: the due time of the running action, or else the clock's time."""
        return self._clock.seconds() if self._moment is None else self._moment

    def moment(self, seconds: float | None = None) -> datetime:
        """The current time, or the time `seconds`, as AWS writes it in its responses."""
        return START + timedelta(seconds=round(self.now if seconds is None else seconds, 3))

    def after(self, delay: float, action: Callable[[], None]) -> None:
        """Run `action` after `delay` seconds."""
        heapq.heappush(self._due, (self.now + max(delay, 0.0), next(self._numbers), action))

    def next_due(self) -> float | None:
        """When the next action is due, in simulated seconds; None if there is none."""
        return self._due[0][0] if self._due else None

    def catch_up(self) -> None:
        """Run all actions that are due."""
        if self._moment is not None:
            return  # an action that calls AWS must not start another catch-up
        try:
            while self._due and self._due[0][0] <= self._clock.seconds():
                self._moment, _, action = heapq.heappop(self._due)
                action()
        finally:
            self._moment = None
