"""The only module that reads the clock. Call `clock.now()`, so that tests replace one name."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current time in UTC, timezone-aware, to the millisecond."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def rfc3339(moment: datetime) -> str:
    """`moment` as RFC 3339 in UTC with milliseconds, e.g. `2026-11-24T09:30:00.125Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
