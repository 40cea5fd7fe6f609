from datetime import UTC, datetime, timedelta, timezone

from chalicelib.platform.clock import now, rfc3339


def test_times_are_utc_to_the_millisecond() -> None:
    assert now().tzinfo is UTC
    assert now().microsecond % 1000 == 0


def test_rfc3339_is_utc_with_milliseconds() -> None:
    berlin = timezone(timedelta(hours=1))
    moment = datetime(2026, 11, 24, 10, 30, 0, 125_000, tzinfo=berlin)
    assert rfc3339(moment) == "2026-11-24T09:30:00.125Z"


def test_rfc3339_sorts_as_time_does() -> None:
    moment = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    later = [rfc3339(moment + timedelta(milliseconds=n)) for n in (0, 1, 999, 1000, 60_000)]
    assert later == sorted(later)
