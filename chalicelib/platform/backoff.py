"""Growing gaps between the attempts of one call."""

from __future__ import annotations

from datetime import timedelta

# Beyond this the gap has reached any limit, and a larger power would overflow.
_MOST_DOUBLINGS = 20


def gap(failures: int, first: timedelta, longest: timedelta) -> timedelta:
    """How long to wait after so many failures: `first`, then twice as long each time."""
    return min(first * 2 ** min(failures - 1, _MOST_DOUBLINGS), longest)
