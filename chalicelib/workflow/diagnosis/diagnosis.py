"""Find out why a service does not start.

The reasons that ECS and the load balancer give become a failure with evidence. The evidence is
saved at once, because ECS deletes a stopped task after about an hour.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.platform import clock
from chalicelib.resources import log_group, tasks
from chalicelib.resources.service import BREAKER_FAILURES
from chalicelib.resources.task_definition import log_stream
from chalicelib.workflow.diagnosis import health_results, unhealthy
from chalicelib.workflow.diagnosis.placement import judge_events
from chalicelib.workflow.diagnosis.stopped_tasks import (
    container_of,
    has_run,
    judge,
    stopped_by_itself,
)
from chalicelib.workflow.diagnosis.verdict import Verdict
from chalicelib.workflow.image import image
from chalicelib.workflow.preflight import preflight

CRASH_LOOP = BREAKER_FAILURES
LOG_LINES = 20
# A DynamoDB item holds at most 400 KB, and a container can write megabytes in one line.
LINE_LENGTH = 1000
SERVICE_EVENTS = 10
# Some of ECS's timestamps are in whole seconds.
CLOCK_MARGIN = timedelta(seconds=2)


def check_service(deployment: Deployment, service: dict[str, Any]) -> None:
    """Raises `DeploymentFailed` if the service cannot start, however long Slipway waits.

    That is the case if:
    - three tasks have stopped by themselves;
    - one task has stopped for a reason that every other task would meet as well;
    - ECS's deployment circuit breaker has tripped;
    - the service reports that it cannot place tasks;
    - a task was unhealthy, and the deadline comes before the next one can be judged.

    `service` is an entry of `DescribeServices`.
    """
    since = began_at(deployment)
    primary: dict[str, Any] = next(
        (d for d in service.get("deployments", []) if d["status"] == "PRIMARY"), {}
    )
    tripped = primary.get("rolloutState") == "FAILED"
    ending = _ending_tasks(deployment, service, since)
    stopped = [task for task in ending if task["lastStatus"] == "STOPPED"]
    if stopped:
        newest = max(stopped, key=_ended_at)
        lines = _log_lines(deployment.id, newest)
        verdict = _judge(deployment, newest, lines, _target_health(deployment))
        is_certain = len(stopped) >= CRASH_LOOP or tripped or verdict.final
        if is_certain or _is_too_late_for_another(deployment, verdict):
            evidence = _task_evidence(newest, lines, len(stopped)) | _service_evidence(service)
            raise _failed(verdict, evidence)
    is_late = clock.now() > deployment.operation.deadline
    has_none = not primary.get("runningCount") and not any(map(has_run, stopped))
    verdict_of_events = judge_events(
        _event_messages(service, since),
        deployment.spec,
        is_last=has_none and (tripped or is_late),
        is_ending=len(ending) > len(stopped),
    )
    if verdict_of_events:
        named = _with_digest(deployment, verdict_of_events)
        raise _failed(named, _service_evidence(service))
    if tripped:
        reason = primary.get("rolloutStateReason", "")
        message = f"ECS stopped the rollout: {reason}"
        hint = "Read `evidence.service_events` for the cause."
        verdict = Verdict(FailureCode.AWS_REFUSED, message, hint)
        raise _failed(verdict, _service_evidence(service))


def check_health(
    deployment: Deployment,
    service: dict[str, Any],
    started: list[dict[str, Any]],
    results: health_results.Results,
) -> None:
    """Raises `DeploymentFailed` if a task proves that its version cannot pass its health checks.

    Args:
        service: an entry of `DescribeServices`.
        started: the running tasks of this version that the operation started.
        results: what the health checks have said about its tasks until now.
    """
    since = began_at(deployment)
    events = _event_messages(service, since)
    is_unhealthy = any(result.state == "unhealthy" for result in results.values())
    if not is_unhealthy and not any(map(health_results.is_unhealthy, events)):
        return  # no task can have been stopped for its health
    stopping = _stopping_tasks(deployment, service, since)
    found = health_results.certain(deployment.spec.health_check, results, started, stopping, events)
    if found is None:
        return
    task, result = found
    lines = _log_lines(deployment.id, task)
    target = result.model_dump(include={"state", "reason", "description"})
    stopped = _task_evidence(task, lines, len(stopping)) if task in stopping else {}
    evidence = {"log_lines": lines, "target_health": [target], **stopped}
    evidence |= health_results.as_evidence(results) | _service_evidence(service)
    verdict, more = unhealthy.examine(deployment, [target], lines)
    raise _failed(verdict, evidence | more)


def explain_stop(
    deployment: Deployment,
    service: dict[str, Any],
    task: dict[str, Any],
    count: int,
    target_health: list[dict[str, Any]],
) -> DeploymentFailed:
    """Why a task of an ACTIVE deployment stopped; `count` tasks have stopped by themselves."""
    lines = _log_lines(deployment.id, task)
    verdict = _judge(deployment, task, lines, target_health, once=count == 1)
    known = {"target_health": target_health} if target_health else {}
    return _failed(verdict, known | _task_evidence(task, lines, count) | _service_evidence(service))


def explain_unhealthy(
    deployment: Deployment,
    service: dict[str, Any],
    task: dict[str, Any],
    target_health: list[dict[str, Any]],
) -> DeploymentFailed:
    """Why a running task of an ACTIVE deployment does not pass its health checks."""
    lines = _log_lines(deployment.id, task)
    evidence = {"target_health": target_health, "log_lines": lines} | _service_evidence(service)
    # The function that checks health sends no requests and may not read the load balancer.
    return _failed(unhealthy.judge_unhealthy(deployment.spec, target_health, lines), evidence)


def unplaced(
    deployment: Deployment, service: dict[str, Any], since: datetime
) -> DeploymentFailed | None:
    """Why ECS has started no task since then, if the service's events say so."""
    verdict = judge_events(_event_messages(service, since), deployment.spec)
    if verdict is None:
        return None
    return _failed(_with_digest(deployment, verdict), _service_evidence(service))


def log_lines(deployment_id: str) -> list[str]:
    """The last log lines of the newest running task, or of the newest task if none runs."""
    described = tasks.describe(deployment_id, desired=("RUNNING",)) or tasks.describe(deployment_id)
    newest = max(described, key=lambda task: task.get("createdAt", clock.now()), default=None)
    return _log_lines(deployment_id, newest) if newest else []


def service_events(service: dict[str, Any] | None) -> list[str]:
    """The latest events of the ECS service, newest first; empty without a service."""
    return [event["message"] for event in (service or {}).get("events", [])[:SERVICE_EVENTS]]


def began_at(deployment: Deployment) -> datetime:
    """When this path began its work on the service.

    A task that stopped earlier has another reason.
    """
    operation = deployment.operation
    started = operation.step("create_service").started_at or operation.started_at
    return started - CLOCK_MARGIN


def _ending_tasks(
    deployment: Deployment, service: dict[str, Any], since: datetime
) -> list[dict[str, Any]]:
    """The tasks of the service's current task definition that stop or stopped by themselves.

    Tasks of a version that failed do not count, so they cannot fail its rollback.
    """
    return [task for task in _stopping_tasks(deployment, service, since) if stopped_by_itself(task)]


def _stopping_tasks(
    deployment: Deployment, service: dict[str, Any], since: datetime
) -> list[dict[str, Any]]:
    """The tasks of the current task definition that have stopped, or that ECS is stopping."""
    return [
        task
        for task in tasks.describe(deployment.id, desired=("STOPPED",))
        if task["taskDefinitionArn"] == service["taskDefinition"] and _moment_of(task) >= since
    ]


def _moment_of(created: dict[str, Any]) -> datetime:
    """When ECS created a task or wrote a service event."""
    moment: datetime = created.get("createdAt", clock.now())
    return moment


def _judge(
    deployment: Deployment,
    task: dict[str, Any],
    lines: list[str],
    target_health: list[dict[str, Any]],
    *,
    once: bool = False,
) -> Verdict:
    """Why a task stopped. `once`: it is the only one."""
    verified = preflight.has_passed(deployment, preflight.ARCHITECTURE)
    verdict = judge(
        task, lines, deployment.spec, target_health, platform_verified=verified, once=once
    )
    return _with_digest(deployment, verdict)


def _with_digest(deployment: Deployment, verdict: Verdict) -> Verdict:
    """If the image is gone, the tag is not to blame: the task definition pins the digest."""
    if verdict.code is not FailureCode.IMAGE_NOT_FOUND or not deployment.image.digest:
        return verdict
    message, hint = image.digest_gone(deployment.image)
    return replace(verdict, message=message, hint=hint)


def _ended_at(task: dict[str, Any]) -> datetime:
    moment: datetime = task.get("stoppedAt") or task.get("createdAt") or clock.now()
    return moment


def _is_too_late_for_another(deployment: Deployment, verdict: Verdict) -> bool:
    """Whether the deadline comes before the grace period of another task ends.

    Until then, an unhealthy task looks the same as a slow one.
    """
    grace = timedelta(seconds=deployment.spec.health_check.grace)
    unhealthy = verdict.code is FailureCode.HEALTH_CHECK_FAILED
    return unhealthy and clock.now() + grace > deployment.operation.deadline


def _event_messages(service: dict[str, Any], since: datetime) -> list[str]:
    """The events since this path began, newest first."""
    events = service.get("events", [])
    return [event["message"] for event in events if _moment_of(event) >= since]


def _target_health(deployment: Deployment) -> list[dict[str, Any]]:
    """The target health of the previous check, because a target disappears with its task."""
    health: list[dict[str, Any]] = deployment.operation.evidence.get("target_health", [])
    return health


def _log_lines(deployment_id: str, task: dict[str, Any]) -> list[str]:
    stream = log_stream(tasks.task_id(task))
    lines = log_group.last_lines(deployment_id, stream, LOG_LINES)
    return [line[:LINE_LENGTH] for line in lines]


def _task_evidence(task: dict[str, Any], lines: list[str], count: int) -> dict[str, Any]:
    container = container_of(task)
    return {
        "stopped_reason": task.get("stoppedReason"),
        "stop_code": task.get("stopCode"),
        "container_reason": container.get("reason"),
        "exit_code": container.get("exitCode"),
        "stopped_tasks": count,
        "log_lines": lines,
    }


def _service_evidence(service: dict[str, Any]) -> dict[str, Any]:
    return {"service_events": service_events(service)}


def _failed(verdict: Verdict, evidence: dict[str, Any]) -> DeploymentFailed:
    return DeploymentFailed(
        verdict.code,
        verdict.message,
        hint=verdict.hint,
        evidence=evidence,
        unrecognized=verdict.unrecognized,
    )
