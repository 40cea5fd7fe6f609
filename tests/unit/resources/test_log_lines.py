"""Every line exactly once, in order of time, from any position."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.platform import aws, clock
from chalicelib.resources import log_group, log_lines
from chalicelib.resources.log_lines import MOST_CALLS, MOST_MARKS, SETTLE, Line, Position
from chalicelib.resources.task_definition import log_stream
from tests.support import aws_says
from tests.support.builders import ID

FIRST, SECOND = "0123456789abcdef" * 2, "fedcba9876543210" * 2
# CloudWatch Logs accepts no line that is older than 14 days.
START = clock.now() - timedelta(hours=2)
LATER = START + timedelta(hours=1)


@pytest.fixture(autouse=True)
def group(deployment: Deployment) -> None:
    log_group.ensure(deployment)
    for task in (FIRST, SECOND):
        open_stream(task)


def open_stream(task: str) -> None:
    aws.client("logs").create_log_stream(
        logGroupName=log_group.name_of(ID), logStreamName=log_stream(task)
    )


def write(task: str, *lines: tuple[float, str]) -> None:
    """Lines as (seconds after START, message)."""
    start = round(START.timestamp() * 1000)
    events = [{"timestamp": start + round(at * 1000), "message": text} for at, text in lines]
    aws.client("logs").put_log_events(
        logGroupName=log_group.name_of(ID), logStreamName=log_stream(task), logEvents=events
    )


def read(
    position: Position | None = None,
    *,
    limit: int = 100,
    task: str | None = None,
    moment: datetime = LATER,
) -> tuple[list[Line], Position]:
    start = position or Position.before(START)
    # As a client sends it back.
    start = Position.model_validate_json(start.model_dump_json(exclude_defaults=True))
    result = log_lines.read(ID, start, task=task, limit=limit, moment=moment)
    assert result is not None
    return result


def texts(lines: list[Line]) -> list[str]:
    return [line.message for line in lines]


def pages(position: Position | None = None, **how: Any) -> Iterator[list[str]]:
    """The lines of consecutive reads, until a read returns nothing."""
    for _ in range(300):
        lines, position = read(position, **how)
        if not lines:
            return
        yield texts(lines)
    pytest.fail("the lines have no end")


def flat(result: Iterator[list[str]]) -> list[str]:
    return [text for page in result for text in page]


def test_lines_of_all_tasks_are_oldest_first_with_time_and_task() -> None:
    write(FIRST, (0, "a"), (2.5, "c"))
    write(SECOND, (1, "b"))
    lines, _ = read()
    assert lines == [
        Line(START, FIRST, "a"),
        Line(START + timedelta(seconds=1), SECOND, "b"),
        Line(START + timedelta(seconds=2.5), FIRST, "c"),
    ]


def test_lines_before_the_start_are_omitted() -> None:
    write(FIRST, (0, "a"), (1, "b"))
    lines, _ = read(Position.before(START + timedelta(seconds=1)))
    assert texts(lines) == ["b"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_paging_returns_every_line_once(limit: int) -> None:
    write(FIRST, *((n // 5 / 1000, f"{n:02}") for n in range(20)))
    result = list(pages(limit=limit))
    assert [len(page) for page in result[:-1]] == [limit] * (len(result) - 1)
    assert flat(iter(result)) == [f"{n:02}" for n in range(20)]


@pytest.mark.parametrize("moment", [START, LATER], ids=["just now", "long ago"])
def test_lines_of_the_same_millisecond_can_fill_several_pages(moment: datetime) -> None:
    write(FIRST, *((0, f"{n:02}") for n in range(30)))
    assert flat(pages(limit=4, moment=moment)) == [f"{n:02}" for n in range(30)]


@pytest.mark.parametrize("wait", [0, 3600], ids=["at once", "long after"])
def test_a_reader_at_the_end_continues_with_new_lines(wait: int) -> None:
    write(FIRST, (0, "a"), (1, "b"))
    moment = START + timedelta(seconds=2)
    lines, position = read(moment=moment)
    assert texts(lines) == ["a", "b"]
    lines, position = read(position, moment=moment)
    assert lines == []
    write(FIRST, (1, "of the same millisecond as b"), (2 + wait, "d"))
    moment += timedelta(seconds=wait)
    lines, position = read(position, moment=moment)
    assert texts(lines) == ["of the same millisecond as b", "d"]
    assert read(position, moment=moment)[0] == []


def test_a_line_that_arrives_after_later_ones_of_another_task_is_not_lost() -> None:
    write(FIRST, (5, "five"))
    lines, position = read(moment=START + timedelta(seconds=6))
    assert texts(lines) == ["five"]
    write(SECOND, (2, "two"), (7, "seven"))
    lines, position = read(position, moment=START + timedelta(seconds=8))
    assert texts(lines) == ["two", "seven"]


@pytest.mark.parametrize("seed", range(6))
def test_every_line_is_read_once_for_any_order_of_writes_and_reads(seed: int) -> None:
    chance = random.Random(seed)
    slowest = SETTLE.total_seconds() - 1
    times = [round(chance.uniform(0, 60), chance.choice([0, 3])) for _ in range(150)]
    due = [
        (at, at + chance.uniform(0, slowest), chance.choice([FIRST, SECOND]), f"line {n}")
        for n, at in enumerate(times)
    ]
    seen: list[str] = []
    position, arrived = Position.before(START), 0.0
    while arrived < 120:
        now_at = arrived + chance.uniform(0, 8)
        for at, arrives, task, text in sorted(due):
            if arrived <= arrives < now_at:
                write(task, (at, text))
        arrived = now_at
        moment = START + timedelta(seconds=now_at)
        lines, position = read(position, limit=chance.choice([1, 9, 40]), moment=moment)
        assert [line.at for line in lines] == sorted(line.at for line in lines)
        seen += texts(lines)
    seen += flat(pages(position, limit=13))
    assert sorted(seen) == sorted(text for *_, text in due)


def test_a_burst_is_returned_as_it_settles_and_the_position_stays_small() -> None:
    burst = [f"{n:03}" for n in range(MOST_MARKS * 3)]
    write(FIRST, *((n / 1000, text) for n, text in enumerate(burst)))
    soon = START + timedelta(seconds=1)
    first, position = read(limit=1000, moment=soon)
    assert texts(first) == burst[:MOST_MARKS]
    assert len(position.model_dump_json()) < 3000
    nothing, position = read(position, limit=1000, moment=soon)
    assert nothing == []
    later = soon + SETTLE
    rest, position = read(position, limit=MOST_MARKS * 2, moment=later)
    assert texts(rest) == burst[MOST_MARKS:]
    assert position.seen == []


def test_a_reader_at_the_end_does_not_search_old_lines_again() -> None:
    write(FIRST, (0, "a"))
    _, position = read(moment=LATER)
    assert position == Position.before(LATER - SETTLE)


def test_a_page_ends_before_it_is_too_large_for_a_response(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_lines, "MOST_BYTES", 50)
    write(FIRST, (0, "x" * 30), (1, "y" * 30), (2, "z" * 100), (3, "a"), (4, "b"))
    assert list(pages()) == [["x" * 30], ["y" * 30], ["z" * 100], ["a", "b"]]


@pytest.mark.parametrize("task", [FIRST[:8], FIRST[:12], FIRST])
def test_one_task_is_read_by_its_id_or_a_prefix(task: str) -> None:
    write(FIRST, (0, "a"), (2, "c"))
    write(SECOND, (1, "b"))
    lines, position = read(task=task, limit=1)
    assert texts(lines) == ["a"]
    write(SECOND, (1.5, "B"))
    assert texts(read(position, task=task)[0]) == ["c"]


def test_a_task_without_lines_can_be_followed() -> None:
    third = "ab" * 16
    lines, position = read(task=third)
    assert lines == []
    open_stream(third)
    write(third, (1, "a"))
    assert texts(read(position, task=third)[0]) == ["a"]


def test_without_a_log_group_there_are_no_lines() -> None:
    log_group.delete(ID)
    for task in (None, FIRST):
        assert log_lines.read(ID, Position.before(START), task=task, limit=1, moment=LATER) is None


# --- pages that only AWS returns -------------------------------------------------------------


def event(n: int, at: int = 0) -> dict[str, Any]:
    timestamp = round(START.timestamp() * 1000) + at
    return {
        "eventId": str(n),
        "timestamp": timestamp,
        "logStreamName": log_stream(FIRST),
        "message": f"line {n}",
    }


def answers(*result: list[dict[str, Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """FilterLogEvents with one page for each list, `token n` pointing to page n."""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        page = int(json.loads(request["body"]).get("nextToken", "token 0").removeprefix("token "))
        more = {"nextToken": f"token {page + 1}"} if page + 1 < len(result) else {}
        return {"events": result[page], **more}

    return answer


def test_an_empty_page_with_a_next_token_is_not_the_end() -> None:
    aws_says.answer("logs", "FilterLogEvents", answers([], [event(1)], [], [event(2)]))
    assert texts(read()[0]) == ["line 1", "line 2"]


def test_after_many_empty_pages_the_next_read_continues_after_them() -> None:
    empty: list[list[dict[str, Any]]] = [[]] * (2 * MOST_CALLS - 1)
    result = answers([event(1, at=5)], *empty, [event(2, at=7000)])
    aws_says.answer("logs", "FilterLogEvents", result)
    calls = aws_says.watch("logs", "FilterLogEvents")
    lines, position = read()
    assert (texts(lines), len(calls)) == (["line 1"], MOST_CALLS)
    lines, position = read(position)
    assert (lines, len(calls)) == ([], 2 * MOST_CALLS)
    lines, position = read(position)
    assert (texts(lines), position.token) == (["line 2"], None)
    # A token is valid only for the request that returned it.
    assert len({call["startTime"] for call in calls}) == 1


def test_returned_lines_are_also_skipped_after_empty_pages() -> None:
    empty: list[list[dict[str, Any]]] = [[]] * MOST_CALLS
    position = Position(at=event(1)["timestamp"], given=2)
    aws_says.answer("logs", "FilterLogEvents", answers(*empty, [event(1), event(2), event(3)]))
    lines, position = read(position)
    assert lines == []
    assert texts(read(position, limit=1)[0]) == ["line 3"]
    # Also if the token has expired, and everything is scanned again.
    aws.forget_clients()
    aws_says.refuse("logs", "FilterLogEvents", "InvalidParameterException", times=1)
    aws_says.answer("logs", "FilterLogEvents", answers([event(1), event(2), event(3)]))
    assert texts(read(position)[0]) == ["line 3"]


def test_an_expired_token_is_not_needed() -> None:
    write(FIRST, (0, "a"), (0, "b"), (0, "c"))
    _, position = read(limit=2)
    position = position.model_copy(update={"token": "old", "token_start": position.at})
    aws_says.refuse("logs", "FilterLogEvents", "InvalidParameterException", times=1)
    assert texts(read(position)[0]) == ["c"]
