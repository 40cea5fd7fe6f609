from datetime import timedelta
from email.utils import format_datetime

import pytest

from chalicelib.platform.settings import settings
from chalicelib.webhooks import retry_schedule
from chalicelib.webhooks.retry_schedule import GAPS, JITTER, LONGEST, next_try, retry_after
from tests.support.builders import MOMENT


def test_the_gaps_grow_and_fill_a_day() -> None:
    assert list(GAPS) == sorted(GAPS)
    assert timedelta(hours=23) < sum(GAPS, timedelta()) < timedelta(hours=25)
    assert sum(GAPS, timedelta()) * (1 + JITTER) < LONGEST


def test_a_gap_is_never_shorter_and_never_much_longer_than_scheduled() -> None:
    for tried, gap in enumerate(GAPS, 1):
        for _ in range(50):
            at = next_try(tried, MOMENT, MOMENT)
            assert at and gap <= at - MOMENT <= gap * (1 + JITTER)


def test_the_jitter_spreads_simultaneous_failures() -> None:
    assert len({next_try(4, MOMENT, MOMENT) for _ in range(20)}) > 10


def test_after_the_last_gap_there_is_no_try() -> None:
    assert next_try(len(GAPS) + 1, MOMENT, MOMENT) is None


def test_after_the_longest_time_there_is_no_try() -> None:
    assert next_try(2, MOMENT, MOMENT + LONGEST) is None
    late = next_try(2, MOMENT, MOMENT + LONGEST - timedelta(seconds=1))
    assert late == MOMENT + LONGEST


def test_a_later_retry_after_is_respected_within_the_longest_time() -> None:
    wanted = MOMENT + timedelta(hours=3)
    assert next_try(1, MOMENT, MOMENT, wanted) == wanted
    assert next_try(1, MOMENT, MOMENT, MOMENT + timedelta(days=9)) == MOMENT + LONGEST


def test_an_earlier_retry_after_is_ignored() -> None:
    at = next_try(3, MOMENT, MOMENT, MOMENT + timedelta(seconds=1))
    assert at and at - MOMENT >= GAPS[2]


def test_the_local_stack_scales_the_schedule_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRY_TIME_SCALE", "0.001")
    settings.cache_clear()
    at = next_try(7, MOMENT, MOMENT)
    assert at and timedelta(seconds=36) <= at - MOMENT <= timedelta(seconds=38)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        (format_datetime(MOMENT + timedelta(minutes=7), usegmt=True), 420),
        ("Tue, 24 Nov 2026 09:31:00 GMT", 60),
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("①", None),
        ("9" * 5000, None),
        ("9" * 15, None),
        ("Tue, 99 Nov 2026 09:31:00 GMT", None),
        ("(", None),
    ],
)
def test_retry_after_is_parsed(value: str | None, seconds: int | None) -> None:
    moment = retry_after(value, MOMENT)
    assert moment == (None if seconds is None else MOMENT + timedelta(seconds=seconds))


def test_a_date_without_a_zone_is_in_utc() -> None:
    assert retry_schedule.retry_after("Tue, 24 Nov 2026 09:31:00", MOMENT) == MOMENT + timedelta(
        seconds=60
    )
