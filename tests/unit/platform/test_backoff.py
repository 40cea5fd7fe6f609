"""The gaps between attempts double up to a limit."""

from datetime import timedelta

from chalicelib.platform import backoff

FIRST, LONGEST = timedelta(seconds=5), timedelta(minutes=4)


def test_a_gap_doubles_with_each_failure_up_to_the_longest() -> None:
    gaps = [backoff.gap(failures, FIRST, LONGEST).total_seconds() for failures in range(1, 9)]
    assert gaps == [5, 10, 20, 40, 80, 160, 240, 240]


def test_a_million_failures_do_not_overflow() -> None:
    assert backoff.gap(10**6, FIRST, LONGEST) == LONGEST
