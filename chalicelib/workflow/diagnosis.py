"""Why does the service not come up? What ECS and the load balancer say, as a failure with its
evidence, saved at once: ECS forgets a stopped task after about an hour."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.platform.clock import now
from chalicelib.resources import log_group, tasks
from chalicelib.resources.service import BREAKER_FAILURES
from chalicelib.resources.task_definition import log_stream
from chalicelib.workflow.stopped_tasks import Verdict, container_of, judge, stopped_by_itself

CRASH_LOOP = BREAKER_FAILURES
LOG_LINES = 20
# An item of DynamoDB has at most 400 KB, and a container may log megabytes in a line.
LINE_LENGTH = 1000
SERVICE_EVENTS = 10
# ECS tells times in whole seconds in places.
CLOCK_MARGIN = timedelta(seconds=2)

# What the service says where no task is made that could say it; `times` before it is believed.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
EVENTS: tuple[tuple[str, int, FailureCode, str, str], ...] = (
    (
        r"limit on the number of vCPUs",
        1,
        FailureCode.AWS_QUOTA_EXCEEDED,
        "The account's quota of Fargate vCPUs is used up, so no task can start.",
        "Delete deployments that are not needed, or ask AWS for more of the quota L-3032A538.",
    ),
    (
        r"unable to assume the role",
        1,
        FailureCode.AWS_ACCESS_DENIED,
        "ECS may not use the roles that Slipway's stack made for tasks.",
        "Ask the platform team whether the stack's task roles are there and trust ECS.",
    ),
    (
        r"Capacity is unavailable",
        CRASH_LOOP,
        FailureCode.CAPACITY_UNAVAILABLE,
        "AWS has no Fargate capacity for a task of this size now.",
        "Retry later, or with a smaller `cpu` and `memory`.",
    ),
)


def check_service(deployment: Deployment, found: dict[str, Any]) -> None:
    """Raises `DeploymentFailed` when no waiting could bring the service up.

    That is: after the third task that stopped by itself, after the first whose reason any other
    would meet again, when ECS's own circuit breaker has tripped, when the service says that it
    cannot place tasks, or when a task was unhealthy and the next could not be judged in time.
    """
    since = _since(deployment)
    primary: dict[str, Any] = next(
        (d for d in found.get("deployments", []) if d["status"] == "PRIMARY"), {}
    )
    tripped = primary.get("rolloutState") == "FAILED"
    stopped = _stopped_tasks(deployment, found, since)
    if stopped:
        newest = max(stopped, key=_ended_at)
        lines = _log_lines(deployment.id, newest)
        verdict = judge(newest, lines, deployment.spec, _target_health(deployment))
        enough = len(stopped) >= CRASH_LOOP or tripped or verdict.final
        if enough or _none_in_time(deployment, verdict):
            evidence = _of_task(newest, lines, len(stopped)) | _of_service(found)
            raise _failed(verdict, evidence)
    _check_events(found, since)
    if tripped:
        reason = primary.get("rolloutStateReason", "")
        message = f"ECS gave the rollout up: {reason}"
        hint = "See `evidence.service_events`."
        raise _failed(Verdict(FailureCode.CONTAINER_EXITED, message, hint), _of_service(found))


def log_lines(deployment_id: str) -> list[str]:
    """The last lines of the newest task that has not stopped, or that stopped last."""
    found = tasks.describe(deployment_id, desired=("RUNNING",)) or tasks.describe(deployment_id)
    newest = max(found, key=lambda task: task.get("createdAt", now()), default=None)
    return _log_lines(deployment_id, newest) if newest else []


def service_events(found: dict[str, Any] | None) -> list[str]:
    """What the ECS service said last, newest first."""
    return [event["message"] for event in (found or {}).get("events", [])[:SERVICE_EVENTS]]


def _since(deployment: Deployment) -> datetime:
    """When this way's work on the service began: what stopped before has another reason."""
    operation = deployment.operation
    started = operation.step("create_service").started_at or operation.started_at
    return started - CLOCK_MARGIN


def _stopped_tasks(
    deployment: Deployment, found: dict[str, Any], since: datetime
) -> list[dict[str, Any]]:
    """Only tasks of the version in service: those of a failed one do not fail the way back."""
    return [
        task
        for task in tasks.describe(deployment.id, desired=("STOPPED",))
        if task["lastStatus"] == "STOPPED"
        and task["taskDefinitionArn"] == found["taskDefinition"]
        and task.get("createdAt", now()) >= since
        and stopped_by_itself(task)
    ]


def _ended_at(task: dict[str, Any]) -> datetime:
    moment: datetime = task.get("stoppedAt") or task.get("createdAt") or now()
    return moment


def _none_in_time(deployment: Deployment, verdict: Verdict) -> bool:
    """Whether the deadline comes before another unhealthy task could be told from a slow one."""
    grace = timedelta(seconds=deployment.spec.health_check.grace)
    unhealthy = verdict.code is FailureCode.HEALTH_CHECK_FAILED
    return unhealthy and now() + grace > deployment.operation.deadline


def _check_events(found: dict[str, Any], since: datetime) -> None:
    said = [e["message"] for e in found.get("events", []) if e.get("createdAt", now()) >= since]
    for pattern, times, code, message, hint in EVENTS:
        if sum(bool(re.search(pattern, text, re.IGNORECASE)) for text in said) >= times:
            raise _failed(Verdict(code, message, hint), _of_service(found))


def _target_health(deployment: Deployment) -> list[dict[str, Any]]:
    """As the latest look saw it: a target is gone with its task."""
    seen: list[dict[str, Any]] = deployment.operation.evidence.get("target_health", [])
    return seen


def _log_lines(deployment_id: str, task: dict[str, Any]) -> list[str]:
    stream = log_stream(tasks.task_id(task))
    lines = log_group.last_lines(deployment_id, stream, LOG_LINES)
    return [line[:LINE_LENGTH] for line in lines]


def _of_task(task: dict[str, Any], lines: list[str], count: int) -> dict[str, Any]:
    container = container_of(task)
    return {
        "stopped_reason": task.get("stoppedReason"),
        "stop_code": task.get("stopCode"),
        "container_reason": container.get("reason"),
        "exit_code": container.get("exitCode"),
        "stopped_tasks": count,
        "log_lines": lines,
    }


def _of_service(found: dict[str, Any]) -> dict[str, Any]:
    return {"service_events": service_events(found)}


def _failed(verdict: Verdict, evidence: dict[str, Any]) -> DeploymentFailed:
    return DeploymentFailed(verdict.code, verdict.message, hint=verdict.hint, evidence=evidence)
