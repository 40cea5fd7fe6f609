"""What a deployment writes and what is measured of it: `/logs` and `/metrics`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ValidationError

from chalicelib.api import answers, cursor
from chalicelib.api.answer import Answer
from chalicelib.api.deployments import find
from chalicelib.api.parameters import PERIODS, LogsParameters, MetricsParameters
from chalicelib.api.requests import Request, invalid
from chalicelib.domain.record import Status
from chalicelib.platform.clock import now
from chalicelib.resources import log_lines
from chalicelib.resources import metrics as cloudwatch
from chalicelib.resources.log_lines import Position

MOST_CURSOR = 8000
# A log group that is not there comes yet, or comes no more.
ENDING = (Status.DELETING, Status.DELETED, Status.DELETE_FAILED, Status.FAILED)

METRICS_SINCE = timedelta(hours=1)
USUAL_POINTS = 200


class _Cursor(BaseModel):
    position: Position
    task: str | None = None


def logs(request: Request, reference: str) -> Answer:
    """`GET /deployments/{deployment}/logs`: lines of all tasks, or of one, oldest first.

    `next_cursor` goes on after the last line, also for lines that are yet to be written, so it is
    there as long as the log group is, or may come. A cursor makes `since` of no effect. Without
    both it begins with the deployment.
    """
    moment = now()
    query = request.parameters(LogsParameters, moment)
    deployment, task = find(request.caller, reference), query.task
    since = query.since or deployment.created_at
    position = Position.before(since) if query.cursor is None else _decoded(query.cursor, task)
    found = log_lines.read(deployment.id, position, task=task, limit=query.limit, moment=moment)
    lines, after = found or ([], None if deployment.status in ENDING else position)
    page = answers.Logs(
        lines=[answers.LogLine(**asdict(line)) for line in lines],
        next_cursor=_encoded(after, task) if after else None,
    )
    return Answer(200, page.document())


def metrics(request: Request, reference: str) -> Answer:
    """`GET /deployments/{deployment}/metrics`: a point for each period, the present one included.

    CloudWatch's figures come some minutes late, so the last points are not final.
    """
    moment = now()
    query = request.parameters(MetricsParameters, moment)
    deployment = find(request.caller, reference)
    since = query.since or moment - METRICS_SINCE
    seconds = query.period or _usual_period(moment - since)
    period = timedelta(seconds=seconds)
    start, end = _floor(since, seconds), _floor(moment, seconds) + period
    points = cloudwatch.read(deployment, start, end, period)
    measured = answers.Metrics(
        period_seconds=seconds,
        start=start,
        end=end,
        series=[answers.MetricsPoint(**asdict(point)) for point in points],
    )
    return Answer(200, measured.document())


def _usual_period(span: timedelta) -> int:
    enough = (p for p in PERIODS if span / timedelta(seconds=p) <= USUAL_POINTS)
    return next(enough, PERIODS[-1])


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
