"""Why tasks of an ACTIVE deployment are missing, with the codes and evidence of an operation."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.parts import Failure
from chalicelib.platform import clock
from chalicelib.resources import tasks
from chalicelib.workflow import step
from chalicelib.workflow.diagnosis import diagnosis, health_results
from chalicelib.workflow.diagnosis.stopped_tasks import stopped_by_itself
from chalicelib.workflow.health.task_look import Look, ended_at
from chalicelib.workflow.step import failure_of

# What `failure.step` says: no step of an operation failed.
STEP = "health"
REPAIRED = "Wait for Slipway, which repairs this within five minutes."
IF_IT_STAYS = "If it stays so, give the deployment ID to your platform team."


def find(deployment: Deployment, ecs_service: dict[str, Any] | None, look: Look) -> Failure | None:
    """The latest reason that AWS gives; None if it gives none."""
    error = _of_service(deployment, ecs_service) or _of_tasks(deployment, ecs_service or {}, look)
    if error is None:
        return None
    failure = failure_of(STEP, error)
    if error.unrecognized and failure.message != _known_message(deployment):
        step.log_unrecognized(error, deployment=deployment.id, step=STEP)
    return failure


def _known_message(deployment: Deployment) -> str:
    """The message of the failure that the previous check found, so that a text is logged once."""
    known = deployment.health.failure if deployment.health else None
    return known.message if known else ""


def _of_service(
    deployment: Deployment, ecs_service: dict[str, Any] | None
) -> DeploymentFailed | None:
    """Somebody changed the service by hand."""
    if ecs_service is None or ecs_service["status"] != "ACTIVE":
        return DeploymentFailed(
            FailureCode.CONTAINER_EXITED,
            "The ECS service was deleted outside of Slipway, so no task runs.",
            hint=REPAIRED,
        )
    desired, least = ecs_service["desiredCount"], deployment.wanted_tasks
    if desired < least:
        return DeploymentFailed(
            FailureCode.CONTAINER_EXITED,
            f"The ECS service was scaled to {desired} tasks outside of Slipway. The spec needs "
            f"{least}.",
            hint=REPAIRED,
            evidence={"service_events": diagnosis.service_events(ecs_service)},
        )
    return None


def _of_tasks(
    deployment: Deployment, ecs_service: dict[str, Any], look: Look
) -> DeploymentFailed | None:
    newest = max(look.stopped, key=ended_at, default=None)
    since = ended_at(newest) if newest else _known_until(deployment)
    # A task that failed to start says more than the event that repeats its reason.
    failed_to_start = newest is not None and newest.get("stopCode") == "TaskFailedToStart"
    unplaced = None if failed_to_start else diagnosis.unplaced(deployment, ecs_service, since)
    if unplaced:
        return unplaced
    unhealthy = [asdict(each) for each in look.targets if each.state == "unhealthy"]
    if look.failing and unhealthy:
        return diagnosis.explain_unhealthy(deployment, ecs_service, look.failing[0], unhealthy)
    if newest is None:
        return _late(look)
    if not stopped_by_itself(newest):
        return _stopped_by_hand(newest)
    events = [event["message"] for event in ecs_service.get("events", [])]
    in_events = health_results.target_health_in(events, newest)
    known = in_events or unhealthy or _targets_before(deployment)
    return diagnosis.explain_stop(deployment, ecs_service, newest, len(look.stopped), known)


def _known_until(deployment: Deployment) -> datetime:
    health = deployment.health
    return (health and health.healthy_at) or deployment.operation.started_at


def _targets_before(deployment: Deployment) -> list[dict[str, Any]]:
    """The unhealthy targets of the previous check, because a target disappears with its task."""
    failure = deployment.health.failure if deployment.health else None
    known: list[dict[str, Any]] = failure.evidence.get("target_health", []) if failure else []
    return known


def _stopped_by_hand(task: dict[str, Any]) -> DeploymentFailed:
    reason = task.get("stoppedReason", "").rstrip(".")
    return DeploymentFailed(
        FailureCode.CONTAINER_EXITED,
        f"A person or a script stopped a task: {reason}.",
        hint="Wait for ECS, which starts another task.",
        evidence={"stopped_reason": reason, "stop_code": task.get("stopCode")},
    )


def _late(look: Look) -> DeploymentFailed | None:
    """No task has stopped, and no target is unhealthy, but a task does not serve in time."""
    late = next(iter(look.failing), None)
    if late is None:
        return None
    evidence = {"target_health": [asdict(each) for each in look.targets]}
    target = next((each for each in look.targets if each.address == tasks.address(late)), None)
    if "startedAt" in late and (target is None or target.state == "unused"):
        said = target.description.rstrip(".") if target else "it is not in the target group"
        return DeploymentFailed(
            FailureCode.NETWORK_MISCONFIGURED,
            f"A task runs, but the load balancer sends it no requests: {said}.",
            hint="A person or a script has changed or deleted the load balancer, a listener or the "
            f"target group. {REPAIRED} {IF_IT_STAYS}",
            evidence=evidence,
        )
    minutes = round((clock.now() - late.get("createdAt", clock.now())).total_seconds() / 60)
    return DeploymentFailed(
        FailureCode.DEADLINE_EXCEEDED,
        f"A task has been {late['lastStatus']} for {minutes} minutes and does not serve yet.",
        hint=f"Wait, or read `/tasks` and `/logs`. {IF_IT_STAYS}",
        evidence=evidence,
    )
