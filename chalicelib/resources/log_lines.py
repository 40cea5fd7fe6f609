"""The lines of all tasks of a deployment as one sequence, that can be read on from any position.

FilterLogEvents selects by the time that a line carries, and sorts by that, then by the time it was
taken in. So "after the last line" is no safe position: a task's log driver sends a batch every few
seconds, and a line of one task may arrive when later ones of another have been read. Hence lines
count as settled only after `SETTLE`, and a position is

- for settled lines a time, and how many of just that millisecond were given: their order stays;
- beyond that, marks of the lines that were given, so that the next reading skips these alone.

A line that arrives later than `SETTLE` is seen by nobody who has read past it.
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

# The awslogs driver sends what it has at least every 5 s; the rest is for the way.
# https://github.com/moby/moby/blob/master/daemon/logger/awslogs/cloudwatchlogs.go
SETTLE = timedelta(seconds=15)
# A page may be empty and have a successor all the same: one request looks at so many of them.
MOST_CALLS = 10
# FilterLogEvents gives no more in a page.
MOST_EVENTS = 10_000
# A line has at most 256 KB, and a Lambda function answers at most 6 MB of JSON within JSON.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MOST_BYTES = 1_000_000
# Marks travel in the cursor, and a URL has to stay below API Gateway's 10,240 bytes.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
MOST_MARKS = 200
MARK_BYTES = 6
MOST_MILLISECONDS = 10**14
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Position(BaseModel):
    """Where a reading goes on.

    Attributes:
        at: every line before this time was given; milliseconds since 1970.
        given: how many of the lines at `at` were.
        seen: marks of later lines that were given before they had settled.
        token: CloudWatch's own for the page that comes next, which expires after 24 hours.
        token_start: the start time that the token belongs to.
        token_skip: how many of the lines at `at` that were given its pages have still to come by.
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
    """One line of a task's log; `task` is the whole id."""

    at: datetime
    task: str
    message: str


def read(
    deployment_id: str, position: Position, *, task: str | None, limit: int, moment: datetime
) -> tuple[list[Line], Position] | None:
    """At most `limit` lines after `position`, oldest first, and the position after them.

    `task` is a task id or how it begins. There may be more lines where fewer than `limit` came.
    None where there is no log group.
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


def _streams(deployment_id: str, task: str) -> list[str]:
    """Streams of the tasks whose id begins so: in practice one, or none."""
    answer = aws.client("logs").describe_log_streams(
        logGroupName=name_of(deployment_id), logStreamNamePrefix=log_stream(task)
    )
    # At most 50, and FilterLogEvents takes 100.
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
        # One more than can be given: a page that is full never is the last one.
        "limit": min(MOST_EVENTS, limit + position.given + len(position.seen) + 1),
        # AWS does so always since 2019, and moto only when asked.
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
    """Takes events in CloudWatch's order, and knows the position after each.

    Attributes:
        settled_before: milliseconds since 1970.
        at, passed: the time of the last settled event, and how many of that time went by.
        to_skip: how many events at the start's time were given before.
        unsettled: marks of later events that were given, now or before.
    """

    start: Position
    limit: int
    settled_before: int
    lines: list[Line] = field(default_factory=list)
    size: int = 0

    def __post_init__(self) -> None:
        self.at = self.start.at
        # A scan from the start comes by all that was given at its time, a token's pages do not.
        self.to_skip = self.start.token_skip if self.start.token else self.start.given
        self.passed = self.start.given - self.to_skip
        self.seen = set(self.start.seen)
        self.unsettled: set[str] = set()

    def take(self, event: dict[str, Any]) -> bool:
        """Passes the event, giving its line unless that was given before; False if it must wait."""
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
        """The position where CloudWatch has no more events now."""
        if self.at < self.settled_before:
            # Not at the last line: the next scan would search all the time since again.
            self.at, self.passed = self.settled_before, 0
        return self.position()

    def unfinished(self, token: str, token_start: int) -> Position:
        """The position where CloudWatch's next page, so far perhaps without an event, goes on."""
        going_on = {"token": token, "token_start": token_start, "token_skip": self.to_skip}
        return self.position().model_copy(update=going_on)

    def position(self) -> Position:
        """The position after the last event that was taken."""
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
