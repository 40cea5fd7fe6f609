"""What AWS does by itself, in the order of simulated time, caught up with at each call."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

from tests.support.simulated_aws.aws import Clock
from tests.support.simulated_aws.clock import START


class Timeline:
    """Actions that are due at a moment. Nothing happens between calls: `catch_up` carries out what
    has fallen due since, each action at its own moment, so that what one sets off comes in order.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._moment: float | None = None

    @property
    def now(self) -> float:
        """Simulated seconds: the moment of the action that is carried out, or else the clock's."""
        return self._clock.seconds() if self._moment is None else self._moment

    def moment(self, seconds: float | None = None) -> datetime:
        """The present moment, or that of `seconds`, as AWS writes it into its answers."""
        return START + timedelta(seconds=round(self.now if seconds is None else seconds, 3))

    def after(self, delay: float, action: Callable[[], None]) -> None:
        """Has `action` carried out `delay` seconds from now."""
        heapq.heappush(self._due, (self.now + max(delay, 0.0), next(self._numbers), action))

    def next_due(self) -> float | None:
        """When the next action falls due, in simulated seconds; None if nothing is to come."""
        return self._due[0][0] if self._due else None

    def catch_up(self) -> None:
        """Carries out all that has fallen due."""
        if self._moment is not None:
            return  # an action that itself calls AWS does not overtake itself
        try:
            while self._due and self._due[0][0] <= self._clock.seconds():
                self._moment, _, action = heapq.heappop(self._due)
                action()
        finally:
            self._moment = None
