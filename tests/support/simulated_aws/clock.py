"""Simulated time: one that a test moves, and one that runs with the real one, scaled."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, tzinfo

START = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


class SimulatedClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def seconds(self) -> float:
        """Simulated seconds since the start."""
        return self._seconds

    def now(self) -> datetime:
        """The simulated moment; stands in for `chalicelib.clock.now`."""
        return START + timedelta(seconds=round(self._seconds, 3))

    def advance_to(self, seconds: float) -> None:
        """Moves on; never back."""
        self._seconds = max(self._seconds, seconds)


class SimulatedDatetime:
    """Stands in for the name `datetime` in `chalicelib.clock`."""

    def __init__(self, simulated: SimulatedClock) -> None:
        self._simulated = simulated

    def now(self, zone: tzinfo) -> datetime:
        """The simulated moment."""
        return self._simulated.now().astimezone(zone)


class ScaledClock:
    """Real time divided by `scale`: with 0.02, a simulated minute takes 1.2 s."""

    def __init__(self, scale: float) -> None:
        self._scale, self._started = scale, time.monotonic()

    def seconds(self) -> float:
        """Simulated seconds since the start."""
        return (time.monotonic() - self._started) / self._scale
