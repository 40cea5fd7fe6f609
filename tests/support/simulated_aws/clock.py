"""Simulated clocks: one that a test advances, and one that follows real time at a scale."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, tzinfo

START = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


class SimulatedClock:
    """A clock that changes only when a test advances it."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def seconds(self) -> float:
        """Simulated seconds since the start."""
        return self._seconds

    def now(self) -> datetime:
        """The simulated time; replaces `chalicelib.clock.now`."""
        return START + timedelta(seconds=round(self._seconds, 3))

    def advance_to(self, seconds: float) -> None:
        """Advance to `seconds`. The clock never moves back."""
        self._seconds = max(self._seconds, seconds)


class SimulatedDatetime:
    """Replaces the name `datetime` in `chalicelib.clock`."""

    def __init__(self, simulated: SimulatedClock) -> None:
        self._simulated = simulated

    def now(self, zone: tzinfo) -> datetime:
        """The simulated time."""
        return self._simulated.now().astimezone(zone)


class ScaledClock:
    """Real time divided by `scale`: with 0.02, a simulated minute takes 1.2 s."""

    def __init__(self, scale: float) -> None:
        self._scale, self._started = scale, time.monotonic()

    def seconds(self) -> float:
        """Simulated seconds since the start."""
        return (time.monotonic() - self._started) / self._scale
