"""The last log lines that are kept when a log group is deleted."""

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.platform import aws, clock
from chalicelib.resources import log_group, log_lines, log_tail
from chalicelib.resources.log_lines import Position
from chalicelib.resources.log_tail import MOST_BYTES, MOST_LINES, MOST_STREAMS
from chalicelib.resources.task_definition import log_stream
from tests.support import aws_says
from tests.support.builders import ID

FIRST, SECOND = "0123456789abcdef" * 2, "fedcba9876543210" * 2
# CloudWatch Logs accepts no line that is older than 14 days.
START = clock.now() - timedelta(hours=2)


@pytest.fixture(autouse=True)
def group(deployment: Deployment) -> None:
    log_group.ensure(deployment)


def write(task: str, *lines: tuple[int, str]) -> None:
    """Lines as (milliseconds after START, message), in a new stream."""
    logs, group, stream = aws.client("logs"), log_group.name_of(ID), log_stream(task)
    start = round(START.timestamp() * 1000)
    events = [{"timestamp": start + at, "message": text} for at, text in lines]
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    for first in range(0, len(events), 1000):
        batch = events[first : first + 1000]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=batch)


def texts() -> list[str]:
    return [event["message"] for event in log_tail.read(ID)]


def test_the_lines_of_all_tasks_are_in_the_order_of_time() -> None:
    write(FIRST, (0, "one"), (4000, "three"))
    write(SECOND, (2000, "two"), (6000, "four"))
    assert texts() == ["one", "two", "three", "four"]


def test_the_lines_are_the_last_thousand() -> None:
    write(FIRST, *((at, f"first {at}") for at in range(0, 3000, 2)))
    write(SECOND, *((at, f"second {at}") for at in range(1, 1001, 2)))
    kept = texts()
    assert len(kept) == MOST_LINES
    assert (kept[0], kept[-1]) == ("first 1000", "first 2998")
    assert sum(text.startswith("second") for text in kept) == 0


def test_of_a_thousand_lines_at_one_moment_the_last_remain() -> None:
    write(FIRST, *((0, f"line {n}") for n in range(MOST_LINES + 5)))
    assert texts() == [f"line {n}" for n in range(5, MOST_LINES + 5)]


@pytest.mark.parametrize("letter", ["x", "\u00e9", "\U0001f600"])
def test_the_messages_have_256_kib_at_most(letter: str) -> None:
    size = 1024 // len(letter.encode())
    write(FIRST, *((at, f"{at:03}" + letter * size) for at in range(300)))
    kept = texts()
    used = sum(len(text.encode()) for text in kept)
    assert MOST_BYTES - 1100 < used <= MOST_BYTES
    assert [text[:3] for text in kept] == [f"{at:03}" for at in range(300 - len(kept), 300)]


def test_a_longer_line_loses_its_start() -> None:
    write(FIRST, (0, "before"), (1, "\u00e9" * 200_000))
    [only] = texts()
    assert set(only) == {"\u00e9"}
    assert MOST_BYTES - 2 < len(only.encode()) <= MOST_BYTES


def test_a_deployment_without_lines_or_log_group_has_none() -> None:
    assert log_tail.read(ID) == []
    write(FIRST)
    assert log_tail.read(ID) == []
    log_group.delete(ID)
    assert log_tail.read(ID) == []


def test_only_the_newest_streams_are_read_from_their_end() -> None:
    for number in range(MOST_STREAMS + 5):
        write(f"{number:032x}", (number, f"line {number}"))
    read = aws_says.watch("logs", "GetLogEvents")
    assert texts()[-1] == f"line {MOST_STREAMS + 4}"
    assert len(read) == MOST_STREAMS


def test_an_empty_page_is_not_the_end_of_a_stream() -> None:
    write(FIRST, (0, "one"))
    event = {"timestamp": round(START.timestamp() * 1000), "message": "one"}

    def page(params: dict[str, Any]) -> dict[str, Any]:
        events = [event] if "b/1" in str(params) else []
        return {"events": events, "nextBackwardToken": "b/1", "nextForwardToken": "f/1"}

    aws_says.answer("logs", "GetLogEvents", page)
    assert texts() == ["one"]


def test_a_reader_continues_where_it_was_before() -> None:
    """Its position is the same in the log group and in the lines that were kept of it."""
    write(FIRST, (0, "one"), (0, "two"), (4000, "three"), (7_190_000, "four"))
    write(SECOND, (0, "five"), (7_195_000, "six"))
    start = Position.before(START)
    moment = START + timedelta(seconds=7200)
    everything = log_lines.read(ID, start, task=None, limit=100, moment=moment)
    assert everything is not None
    kept = log_tail.read(ID)
    for limit in range(1, 7):
        read = log_lines.read(ID, start, task=None, limit=limit, moment=moment)
        assert read is not None
        lines, position = read
        rest, _, is_last = log_lines.select(kept, position, task=None, limit=100)
        assert [*lines, *rest] == everything[0]
        assert is_last


def test_kept_lines_come_in_pages_and_by_task() -> None:
    write(FIRST, *((n // 3, f"line {n}") for n in range(10)))
    write(SECOND, (1, "other"))
    kept, position, lines = log_tail.read(ID), Position.before(START), []
    is_last = False
    while not is_last:
        page, position, is_last = log_lines.select(kept, position, task="0123", limit=4)
        lines += page
    assert [line.message for line in lines] == [f"line {n}" for n in range(10)]
    assert {line.task for line in lines} == {FIRST}
    since = Position.before(START + timedelta(milliseconds=2))
    page, _, _ = log_lines.select(kept, since, task=None, limit=100)
    assert [line.message for line in page] == ["line 6", "line 7", "line 8", "line 9"]
