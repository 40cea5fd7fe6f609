"""The log lines of all tasks of a deployment, as one sequence that can be read from any position.

FilterLogEvents selects and sorts lines by their timestamp, then by their ingestion time. So "after
the last line" is not a safe position. A log driver sends a batch every few seconds, so a line of
one task can arrive after later lines of another task were read. Lines therefore count as settled
only after `SETTLE`, and a position consists of

- for settled lines: a time, and the number of lines returned for that millisecond. Their order is
  final.
- for later lines: marks of the lines that were returned, so that the next read skips only these.

A reader who is past the timestamp of a line never sees it if it arrives later than `SETTLE`.
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.platform import aws
from chalicelib.resources.log_group import name_of
from chalicelib.resources.task_definition import log_stream

# The awslogs driver sends its lines at least every 5 s. The other 10 s are for the transfer.
# https://github.com/moby/moby/blob/master/daemon/logger/awslogs/cloudwatchlogs.go
SETTLE = timedelta(seconds=15)
# A page can be empty and still have a next page. One request reads at most this many pages.
MOST_CALLS = 10
# The most lines in a page of FilterLogEvents.
MOST_EVENTS = 10_000
# A line has at most 256 KB. A Lambda response has at most 6 MB, and its body is JSON within JSON.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MOST_BYTES = 1_000_000
# The cursor contains the marks, and API Gateway limits a URL to 10,240 bytes.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
MOST_MARKS = 200
MARK_BYTES = 6
MOST_MILLISECONDS = 10**14
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Position(BaseModel):
    """The position where the next read continues.

    Attributes:
        at: every line before this time was returned; in milliseconds since 1970.
        given: the number of lines at `at` that were returned.
        seen: marks of later lines that were returned before they were settled.
        token: CloudWatch's token for the next page. It expires after 24 hours.
        token_start: the start time of the request that the token belongs to.
        token_skip: the number of returned lines at `at` that the token's pages contain again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    at: int = Field(ge=0, le=MOST_MILLISECONDS)
    given: int = Field(default=0, ge=0, le=MOST_MILLISECONDS)
    seen: list[str] = Field(default=[], max_length=MOST_MARKS)
    token: str | None = Field(default=None, min_length=1, max_length=4000)
    token_start: int = Field(default=0, ge=0, le=MOST_MILLISECONDS)
    token_skip: int = Field(default=0, ge=0, le=MOST_MILLISECONDS)

    @classmethod
    def before(cls, moment: datetime) -> Position:
        """The position before the first line at or after `moment`."""
        return cls(at=_milliseconds(moment))


@dataclass(frozen=True)
class Line:
    """One line of a task's log; `task` is the full task ID."""

    at: datetime
    task: str
    message: str


def read(
    deployment_id: str, position: Position, *, task: str | None, limit: int, moment: datetime
) -> tuple[list[Line], Position] | None:
    """At most `limit` lines after `position`, oldest first, and the position after them.

    `task` is a task ID or its first characters. More lines can follow even if fewer than `limit`
    are returned. Returns None if there is no log group.
    """
    logs = aws.client("logs")
    try:
        streams = _streams(deployment_id, task) if task else None
        if streams == []:
            return [], position
        if position.token:
            with contextlib.suppress(logs.exceptions.InvalidParameterException):  # it has expired
                return _read(deployment_id, position, streams, limit, moment)
            position = position.model_copy(update={"token": None})
        return _read(deployment_id, position, streams, limit, moment)
    except logs.exceptions.ResourceNotFoundException:
        return None


def select(
    events: list[dict[str, Any]], position: Position, *, task: str | None, limit: int
) -> tuple[list[Line], Position, bool]:
    """As `read`, from kept events (`log_tail.py`). Also returns whether these were the last ones.

    Every kept event is settled. A token does not apply, because there is no log group.
    """
    start = position.model_copy(update={"token": None})
    scan = _Scan(start, limit, settled_before=MOST_MILLISECONDS)
    prefix = log_stream(task or "")
    for event in events:
        is_wanted = event["timestamp"] >= start.at and event["logStreamName"].startswith(prefix)
        if is_wanted and not scan.take(event):
            return scan.lines, scan.position(), False
    return scan.lines, scan.position(), True


def _streams(deployment_id: str, task: str) -> list[str]:
    """The log streams of the tasks whose ID starts with `task`: in practice one, or none."""
    answer = aws.client("logs").describe_log_streams(
        logGroupName=name_of(deployment_id), logStreamNamePrefix=log_stream(task)
    )
    # DescribeLogStreams returns at most 50, and FilterLogEvents accepts 100.
    return [stream["logStreamName"] for stream in answer["logStreams"]]


def _read(
    deployment_id: str,
    position: Position,
    streams: list[str] | None,
    limit: int,
    moment: datetime,
) -> tuple[list[Line], Position]:
    scan = _Scan(position, limit, settled_before=_milliseconds(moment - SETTLE))
    start = position.token_start if position.token else position.at
    request: dict[str, Any] = {
        "logGroupName": name_of(deployment_id),
        "startTime": start,
        # One more than can be returned, so that a full page is never the last one.
        "limit": min(MOST_EVENTS, limit + position.given + len(position.seen) + 1),
        # The default in AWS since 2019; moto needs the parameter.
        "interleaved": True,
    }
    if streams is not None:
        request["logStreamNames"] = streams
    page = {"nextToken": position.token} if position.token else {}
    for _ in range(MOST_CALLS):
        answer = aws.client("logs").filter_log_events(**request, **page)
        for event in answer["events"]:
            if not scan.take(event):
                return scan.lines, scan.position()
        if not answer.get("nextToken"):
            return scan.lines, scan.ended()
        page = {"nextToken": answer["nextToken"]}
    return scan.lines, scan.unfinished(page["nextToken"], start)


@dataclass
class _Scan:
    """Reads events in CloudWatch's order, and keeps the position after each.

    Attributes:
        settled_before: events before this time are settled; in milliseconds since 1970.
        at, passed: the time of the last settled event, and the number of events read at that time.
        to_skip: the number of events at the start time that an earlier read returned.
        unsettled: marks of later events that this read or an earlier one returned.
    """

    start: Position
    limit: int
    settled_before: int
    lines: list[Line] = field(default_factory=list)
    size: int = 0

    def __post_init__(self) -> None:
        self.at = self.start.at
        # A scan from the start reads all returned events of its time again; a token's pages do not.
        self.to_skip = self.start.token_skip if self.start.token else self.start.given
        self.passed = self.start.given - self.to_skip
        self.seen = set(self.start.seen)
        self.unsettled: set[str] = set()

    def take(self, event: dict[str, Any]) -> bool:
        """Reads the event, and adds its line unless an earlier read returned it.

        Returns False if the event must wait for the next read.
        """
        at, mark = event["timestamp"], _mark(event)
        if at == self.start.at and self.to_skip:
            self.to_skip -= 1
            self._pass(at)
            return True
        if mark not in self.seen:
            size = len(json.dumps(event["message"]))
            if self._has_no_room(at, size):
                return False
            self.size += size
            task = event["logStreamName"].rsplit("/", 1)[-1]
            self.lines.append(Line(_moment(at), task, event["message"]))
        if at < self.settled_before:
            self.seen.discard(mark)
            self._pass(at)
        else:
            self.unsettled.add(mark)
        return True

    def _has_no_room(self, at: int, size: int) -> bool:
        if len(self.lines) >= self.limit or (self.lines and self.size + size > MOST_BYTES):
            return True
        return at >= self.settled_before and len(self.unsettled | self.seen) >= MOST_MARKS

    def _pass(self, at: int) -> None:
        self.at, self.passed = at, self.passed + 1 if at == self.at else 1

    def ended(self) -> Position:
        """The position if CloudWatch has no more events at the moment."""
        if self.at < self.settled_before:
            # Do not stay at the last line: the next scan would search the time since then again.
            self.at, self.passed = self.settled_before, 0
        return self.position()

    def unfinished(self, token: str, token_start: int) -> Position:
        """The position if CloudWatch has a next page, even if no event was read so far."""
        going_on = {"token": token, "token_start": token_start, "token_skip": self.to_skip}
        return self.position().model_copy(update=going_on)

    def position(self) -> Position:
        """The position after the last event that was read."""
        again = self.start.given if self.at == self.start.at else 0
        return Position(
            at=self.at,
            given=max(self.passed, again),
            seen=sorted(self.unsettled | self.seen),
        )


def _mark(event: dict[str, Any]) -> str:
    digest = hashlib.sha256(event["eventId"].encode()).digest()[:MARK_BYTES]
    return base64.urlsafe_b64encode(digest).decode()


def _milliseconds(moment: datetime) -> int:
    return max(0, (moment - EPOCH) // timedelta(milliseconds=1))


def _moment(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)
