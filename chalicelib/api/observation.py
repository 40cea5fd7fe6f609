"""`/logs` and `/metrics`: what a deployment writes, and what CloudWatch measures of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from chalicelib.api import answers, cursor
from chalicelib.api.answer import Answer
from chalicelib.api.parameters import LogsParameters, MetricsParameters
from chalicelib.api.requests import Request, invalid
from chalicelib.platform import clock
from chalicelib.usecases import observation

if TYPE_CHECKING:
    from chalicelib.resources.log_lines import Position

MOST_CURSOR = 8000


def logs(request: Request, reference: str) -> Answer:
    """`GET /deployments/{deployment}/logs`: lines of all tasks, or of one task, oldest first.

    `next_cursor` continues after the last line, also for lines that are not written yet. A cursor
    overrides `since`. Without both, the lines start at the deployment's creation.
    """
    query = request.parameters(LogsParameters, clock.now())
    position = None if query.cursor is None else _decoded(query.cursor, query.task)
    lines, after = observation.logs(
        request.caller,
        reference,
        limit=query.limit,
        since=query.since,
        position=position,
        task=query.task,
    )
    page = answers.Logs(
        lines=[answers.LogLine.model_validate(line) for line in lines],
        next_cursor=_encoded(after, query.task) if after else None,
    )
    return Answer(200, page.document())


def metrics(request: Request, reference: str) -> Answer:
    """`GET /deployments/{deployment}/metrics`: a point for each period, also the current one."""
    query = request.parameters(MetricsParameters, clock.now())
    measured = observation.metrics(
        request.caller, reference, since=query.since, period=query.period
    )
    answer = answers.Metrics(
        period_seconds=measured.period_seconds,
        start=measured.start,
        end=measured.end,
        series=[answers.MetricsPoint(**asdict(point)) for point in measured.points],
    )
    return Answer(200, answer.document())


def _encoded(position: Position, task: str | None) -> str:
    members: dict[str, Any] = {"position": position.model_dump(exclude_defaults=True)}
    if task:
        members["task"] = task
    return cursor.encode(json.dumps(members, separators=(",", ":")))


def _decoded(text: str, task: str | None) -> Position:
    from chalicelib.resources.log_lines import Position

    try:
        members = json.loads(cursor.decode(text, MOST_CURSOR))
        position = Position.model_validate(members["position"])
        of_task = members.get("task")
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise cursor.foreign() from None
    if of_task != task:
        raise invalid(
            cursor.PARAMETER, "must be used with the `task` of the request that returned it"
        )
    return position
