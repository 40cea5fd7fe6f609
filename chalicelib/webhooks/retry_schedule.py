"""When a failed delivery is tried again: after growing gaps, for about a day.

Standard Webhooks recommends this schedule: https://github.com/standard-webhooks/standard-webhooks
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
# Spreads the tries to a receiver that is available again. A gap is never shortened.
JITTER = 0.05
# No try is made later than this after the first, whatever `Retry-After` says.
LONGEST = timedelta(hours=25)


def next_try(
    tried: int, first: datetime, moment: datetime, wanted: datetime | None = None
) -> datetime | None:
    """When to try again after try number `tried` (the first is 1); None if that was the last.

    Args:
        first: when the first try was made.
        moment: now.
        wanted: the time in the receiver's `Retry-After`, used if it is later than the schedule's.
    """
    end = first + LONGEST * settings().retry_time_scale
    if tried > len(GAPS) or moment >= end:
        return None
    gap = GAPS[tried - 1] * settings().retry_time_scale * random.uniform(1, 1 + JITTER)
    at = moment + gap
    return min(max(at, wanted) if wanted else at, end)


def retry_after(value: str | None, moment: datetime) -> datetime | None:
    """The moment in a `Retry-After` header (seconds or a date); None if it has no valid value.

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
