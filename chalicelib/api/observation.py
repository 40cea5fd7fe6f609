"""What a deployment writes and what is measured of it: `/logs` and `/metrics`."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ValidationError

from chalicelib.api import cursor
from chalicelib.api.answer import Answer
from chalicelib.api.deployments import find
from chalicelib.api.requests import Request, invalid
from chalicelib.clock import now, rfc3339
from chalicelib.deployments.record import Status
from chalicelib.resources import log_lines
from chalicelib.resources import metrics as cloudwatch
from chalicelib.resources.log_lines import Line, Position
from chalicelib.resources.metrics import Point

LINES = 100
MOST_LINES = 1000
# CloudWatch Logs keeps no line longer, but where it keeps all.
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
OLDEST_LINE = timedelta(days=3653)
MOST_CURSOR = 8000
# A task id is 32 hexadecimal digits, or in the old form 36 characters with hyphens.
TASK = re.compile(r"[0-9a-f][0-9a-f-]{7,35}", re.ASCII)
# A log group that is not there comes yet, or comes no more.
ENDING = (Status.DELETING, Status.DELETED, Status.DELETE_FAILED, Status.FAILED)

METRICS_SINCE = "1h"
OLDEST_POINT = timedelta(days=7)
PERIODS = (60, 300, 3600)
USUAL_POINTS = 200

DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])", re.ASCII)
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
# RFC 3339, section 5.6; `fromisoformat` alone takes much that is none.
TIME = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)


class _Cursor(BaseModel):
    position: Position
    task: str | None = None


def logs(request: Request, reference: str) -> Answer:
    """`GET /deployments/{deployment}/logs`: lines of all tasks, or of one, oldest first.

    `next_cursor` goes on after the last line, also for lines that are yet to be written, so it is
    there as long as the log group is, or may come. A cursor makes `since` of no effect. Without
    both it begins with the deployment.
    """
    request.refuse_unknown("since", "task", "limit", "cursor")
    deployment, moment = find(request.caller, reference), now()
    since = _since(request, moment, OLDEST_LINE) or deployment.created_at
    task = _task(request.parameter("task"))
    limit = request.integer("limit", LINES, 1, MOST_LINES)
    given = request.parameter(cursor.PARAMETER)
    position = Position.before(since) if given is None else _decoded(given, task)
    found = log_lines.read(deployment.id, position, task=task, limit=limit, moment=moment)
    lines, after = found or ([], None if deployment.status in ENDING else position)
    body = {
        "lines": [_line(line) for line in lines],
        "next_cursor": _encoded(after, task) if after else None,
    }
    return Answer(200, body)


def metrics(request: Request, reference: str) -> Answer:
    """`GET /deployments/{deployment}/metrics`: a point for each period, the present one included.

    CloudWatch's figures come some minutes late, so the last points are not final.
    """
    request.refuse_unknown("since", "period")
    deployment, moment = find(request.caller, reference), now()
    since = _since(request, moment, OLDEST_POINT, METRICS_SINCE) or moment
    seconds = _period(request.parameter("period"), moment - since)
    period = timedelta(seconds=seconds)
    start, end = _floor(since, seconds), _floor(moment, seconds) + period
    points = cloudwatch.read(deployment, start, end, period)
    body = {
        "period_seconds": seconds,
        "from": rfc3339(start),
        "to": rfc3339(end),
        "series": [_point(point) for point in points],
    }
    return Answer(200, body)


def _line(line: Line) -> dict[str, Any]:
    return {"at": rfc3339(line.at), "task": line.task, "message": line.message}


def _point(point: Point) -> dict[str, Any]:
    return {**asdict(point), "at": rfc3339(point.at)}


def _since(
    request: Request, moment: datetime, most: timedelta, default: str | None = None
) -> datetime | None:
    """`since=` as a time; at most `most` before `moment`, and not after it."""
    text = request.parameter("since")
    text = default if text is None else text
    if text is None:
        return None
    since = _time(text, moment)
    if since is None or not moment - most <= since <= moment:
        raise invalid(
            "since",
            "must be a time such as 2026-11-24T09:30:00Z or a duration such as 15m, 2h or 3d, "
            f"at most {most.days} days back and not in the future",
        )
    return since


def _time(text: str, moment: datetime) -> datetime | None:
    duration = DURATION.fullmatch(text)
    try:
        if duration:
            return moment - timedelta(**{UNITS[duration[2]]: int(duration[1])})
        if TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):  # a thirteenth month, a year before the first
        pass
    return None


def _task(text: str | None) -> str | None:
    if text is not None and not TASK.fullmatch(text):
        raise invalid("task", "must be a task id, or 8 characters or more of how one begins")
    return text


def _period(text: str | None, span: timedelta) -> int:
    if text is None:
        enough = (p for p in PERIODS if span / timedelta(seconds=p) <= USUAL_POINTS)
        return next(enough, PERIODS[-1])
    if text not in map(str, PERIODS):
        raise invalid("period", f"must be one of {', '.join(map(str, PERIODS))}")
    return int(text)


def _floor(moment: datetime, seconds: int) -> datetime:
    """The beginning of the period that `moment` is in; CloudWatch's begin at full hours."""
    return datetime.fromtimestamp(int(moment.timestamp()) // seconds * seconds, UTC)


def _encoded(position: Position, task: str | None) -> str:
    text = _Cursor(position=position, task=task).model_dump_json(exclude_defaults=True)
    return cursor.encode(text)


def _decoded(text: str, task: str | None) -> Position:
    try:
        found = _Cursor.model_validate_json(cursor.decode(text, MOST_CURSOR))
    except ValidationError:
        raise cursor.foreign() from None
    if found.task != task:
        raise invalid(cursor.PARAMETER, "is one of another `task`")
    return found.position
