"""What a deployment writes and what CloudWatch measures of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.record import Status
from chalicelib.platform import clock
from chalicelib.store import kept_logs
from chalicelib.store.tokens import Caller
from chalicelib.usecases.reads import find

if TYPE_CHECKING:
    # Only these requests import them.
    from chalicelib.resources.log_lines import Line, Position
    from chalicelib.resources.metrics import Point

# With one of these statuses, a log group that does not exist will not be created any more.
ENDING = (Status.DELETING, Status.DELETED, Status.DELETE_FAILED, Status.FAILED)
METRICS_SINCE = timedelta(hours=1)
# Seconds, the ones a caller may choose. Without a choice a series has at most 200 points.
PERIODS = (60, 300, 3600)
USUAL_POINTS = 200


@dataclass(frozen=True)
class Metrics:
    """A point for each period of `period_seconds` from `start` on and before `end`."""

    period_seconds: int
    start: datetime
    end: datetime
    points: list[Point]


def logs(
    caller: Caller,
    reference: str,
    *,
    limit: int,
    since: datetime | None = None,
    position: Position | None = None,
    task: str | None = None,
) -> tuple[list[Line], Position | None]:
    """Lines of all tasks, or of `task` alone, oldest first, and the position after them.

    Starts at `position`, else at `since`, else at the deployment's creation. The next position also
    serves lines that are not written yet. It is None if the log group does not exist and will not
    be created. Of a failed create that was torn down, the last lines were kept.
    """
    from chalicelib.resources import log_lines
    from chalicelib.resources.log_lines import Position

    deployment = find(caller, reference)
    start = position or Position.before(since or deployment.created_at)
    page = log_lines.read(deployment.id, start, task=task, limit=limit, moment=clock.now())
    if page is not None:
        return page
    kept = kept_logs.find(deployment.id)
    lines, after, is_last = log_lines.select(kept, start, task=task, limit=limit)
    return lines, None if is_last and deployment.status in ENDING else after


def metrics(
    caller: Caller, reference: str, *, since: datetime | None = None, period: int | None = None
) -> Metrics:
    """A point for each period, the current one included.

    `since` is an hour ago by default, `period` (seconds) one of `PERIODS`. CloudWatch's figures
    arrive some minutes late, so the last points are not final.
    """
    from chalicelib.resources import metrics as cloudwatch

    moment = clock.now()
    deployment = find(caller, reference)
    since = since or moment - METRICS_SINCE
    seconds = period or _usual_period(moment - since)
    start, last = _floor(since, seconds), _floor(moment, seconds)
    length = timedelta(seconds=seconds)
    points = cloudwatch.read(deployment, start, last + length, length)
    return Metrics(seconds, start, last + length, points)


def _usual_period(span: timedelta) -> int:
    short_enough = (p for p in PERIODS if span / timedelta(seconds=p) <= USUAL_POINTS)
    return next(short_enough, PERIODS[-1])


def _floor(moment: datetime, seconds: int) -> datetime:
    """The start of the period that contains `moment`; CloudWatch's periods start at full hours."""
    return datetime.fromtimestamp(int(moment.timestamp()) // seconds * seconds, UTC)
