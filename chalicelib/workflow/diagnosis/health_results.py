"""Decide from the results of health checks when a version is certain not to serve.

A model that starts slowly looks like a broken one until `health_check.grace` has passed. After that
the load balancer still needs two checks to notice that a task answers
(`HealthCheck.notice_seconds`). ECS gets the sum as its grace period. So a task that is unhealthy
later does not start slowly: it is wrong, and so is every other task of its version.

The results of earlier polls are kept in the operation's evidence, because a target disappears
together with its task.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.spec.health_check import HealthCheck
from chalicelib.platform import clock
from chalicelib.resources import tasks
from chalicelib.resources.target_group import Target

KEY = "health_results"
LEAST_LOOKS = 3
# Of tasks that are gone, too: their evidence is read after they stopped.
MOST_KEPT = 10
STOPPED_BY_ECS = "failed ELB health checks"
TIMEOUT = "Target.Timeout"
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/check-target-health.html
REASONS = {
    "Request timed out": TIMEOUT,
    "Health checks failed": "Target.FailedHealthChecks",
    "Health checks failed with these codes": "Target.ResponseCodeMismatch",
}
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
_UNHEALTHY_EVENT = re.compile(
    r"is unhealthy in \(target-group .*?\) due to \(reason (?P<text>[^:)]*)(?P<codes>: [^)]*)?\)"
)
_CODES = re.compile(r"\[([\d, ]+)\]")


class Result(BaseModel):
    """What the load balancer's checks of one task say, since when and in how many looks.

    Attributes:
        state: `healthy` or `unhealthy`.
        changed: whether an earlier look of this operation had another result.
        passed: whether the task was ever healthy in this operation.
    """

    task: str
    state: str
    reason: str = ""
    description: str = ""
    since: datetime
    looks: int = 1
    changed: bool = False
    passed: bool = False


Results = dict[str, Result]


def words(target: Target) -> str:
    """Why a target is not healthy, for a message that shows the progress."""
    codes = _CODES.search(target.description)
    return f"last answer {codes[1]}" if codes else target.reason


def is_unhealthy(event: str) -> bool:
    """Whether a service event says that a target is unhealthy."""
    return bool(_UNHEALTHY_EVENT.search(event))


def observe(
    deployment: Deployment, running: Iterable[dict[str, Any]], targets: list[Target]
) -> Results:
    """The results of this look at the running tasks, by task ID, and those kept from before.

    Args:
        running: the tasks of the present version that this operation started, as ECS describes
            them.
    """
    results = {
        entry["task"]: Result(**entry) for entry in deployment.operation.evidence.get(KEY, [])
    }
    checked = {each.address: each for each in targets if each.state in ("healthy", "unhealthy")}
    for task in running:
        task_id, target = tasks.task_id(task), checked.get(tasks.address(task) or "")
        if target:
            results[task_id] = _after(results.pop(task_id, None), task_id, target)
    return dict(list(results.items())[-MOST_KEPT:])


def _after(before: Result | None, task_id: str, target: Target) -> Result:
    found = (target.state, target.reason, target.description)
    if before and (before.state, before.reason, before.description) == found:
        return before.model_copy(update={"looks": before.looks + 1})
    return Result(
        task=task_id,
        state=target.state,
        reason=target.reason,
        description=target.description,
        since=clock.now(),
        changed=before is not None,
        passed=target.state == "healthy" or (before is not None and before.passed),
    )


def as_evidence(results: Results) -> dict[str, Any]:
    """The results as `operation.evidence` keeps them until the next look."""
    return {KEY: [each.model_dump(mode="json") for each in results.values()]} if results else {}


def certain(
    check: HealthCheck,
    results: Results,
    running: Iterable[dict[str, Any]],
    stopping: Iterable[dict[str, Any]],
    events: list[str],
) -> tuple[dict[str, Any], Result] | None:
    """A task that proves that its version cannot serve, and its result; None if none does.

    Nothing is certain if a task of the version has ever been healthy: path and port are right then.

    Args:
        running: the tasks of the version that this operation started.
        stopping: those that have stopped or are stopping.
        events: the service events since the operation began, newest first.
    """
    if any(result.passed for result in results.values()):
        return None
    for task in running:
        result = results.get(tasks.task_id(task))
        if result and _is_certain(check, task, result):
            return task, result
    for task in stopping:
        if STOPPED_BY_ECS in task.get("stoppedReason", ""):
            task_id = tasks.task_id(task)
            result = results.get(task_id) or _from_event(task, events)
            if result and _was_certain(check, task, result):
                return task, result
    return None


def _must_answer_at(check: HealthCheck, task: dict[str, Any]) -> datetime | None:
    """From then on, an unhealthy task has failed a check after its grace period."""
    started: datetime | None = task.get("startedAt")
    return started + timedelta(seconds=check.grace + check.notice_seconds) if started else None


def _is_certain(check: HealthCheck, task: dict[str, Any], result: Result) -> bool:
    """Whether a running task had the same result at every look, for long enough."""
    must_answer_at, now = _must_answer_at(check, task), clock.now()
    return (
        must_answer_at is not None
        and now >= must_answer_at
        and result.looks >= LEAST_LOOKS
        and now - result.since >= _needed(check, result)
    )


def _was_certain(check: HealthCheck, task: dict[str, Any], result: Result) -> bool:
    """Whether the result of a task that ECS stopped was certain.

    ECS stops it after two failed checks, which may be the first two: the load balancer often
    becomes active after the grace period.
    """
    must_answer_at, ended = _must_answer_at(check, task), _ended_at(task)
    if must_answer_at is None or ended < must_answer_at:
        return False
    if result.changed or result.reason == TIMEOUT:
        return ended - result.since >= _needed(check, result)
    return True


def _ended_at(task: dict[str, Any]) -> datetime:
    moment: datetime = task.get("stoppingAt") or task.get("stoppedAt") or clock.now()
    return moment


def _needed(check: HealthCheck, result: Result) -> timedelta:
    """How long the same result must last.

    A model that loads at its first request may not answer checks until it has loaded. So a timeout
    must last as long as the model may take to start.
    """
    return timedelta(seconds=check.grace if result.reason == TIMEOUT else check.notice_seconds)


def target_health_in(events: list[str], task: dict[str, Any]) -> list[dict[str, str]]:
    """What the newest service event about an unhealthy target says, as target health."""
    result = _from_event(task, events)
    return [result.model_dump(include={"state", "reason", "description"})] if result else []


def _from_event(task: dict[str, Any], events: list[str]) -> Result | None:
    """The result in the service event about a task that was stopped before a look at its target.

    ECS names the task in the event, but not in all events that are public.
    """
    for event in events:
        match = _UNHEALTHY_EVENT.search(event)
        if "(task " in event and tasks.task_id(task) not in event:
            continue
        reason = REASONS.get(match["text"]) if match else None
        if match and reason:
            return Result(
                task=tasks.task_id(task),
                state="unhealthy",
                reason=reason,
                description=match["text"] + (match["codes"] or ""),
                since=_ended_at(task),
            )
    return None
