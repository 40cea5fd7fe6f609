"""When a delivery that failed is tried again: with growing gaps, over a day.

As Standard Webhooks advises: https://github.com/standard-webhooks/standard-webhooks
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from chalicelib.platform.settings import settings

GAPS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=7),
    timedelta(hours=10),
)
# So many tries are not all at one moment when a receiver comes back. A gap is never shorter.
JITTER = 0.05
# No try is later than that after the first, whatever a receiver asks for.
DAY = timedelta(hours=25)


def next_try(
    tried: int, first: datetime, moment: datetime, wanted: datetime | None = None
) -> datetime | None:
    """When to try again after try `tried` (1 is the first), or None where that was the last.

    Args:
        first: when the first try was.
        moment: now.
        wanted: when the receiver asked for it. Never sooner than the schedule has it.
    """
    end = first + DAY * settings().retry_time_scale
    if tried > len(GAPS) or moment >= end:
        return None
    gap = GAPS[tried - 1] * settings().retry_time_scale * random.uniform(1, 1 + JITTER)
    at = moment + gap
    return min(max(at, wanted) if wanted else at, end)


def retry_after(value: str | None, moment: datetime) -> datetime | None:
    """The moment that a `Retry-After` header names, by seconds or by a date; None for no such.

    https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    """
    text = (value or "").strip()
    try:
        if text.isascii() and text.isdigit():
            return moment + timedelta(seconds=int(text))
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
