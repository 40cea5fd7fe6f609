"""Why did it fail? From what ECS says of stopped tasks to a reason that a person understands."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

from chalicelib.deployments import naming
from chalicelib.deployments.deployment import Deployment, Status
from chalicelib.deployments.errors import DeploymentFailed, FailureCode
from chalicelib.deployments.operation import CONVERGE_STEPS, DESTROY_STEPS, Path
from chalicelib.deployments.parts import Failure
from chalicelib.resources import log_group, service, tasks

LOG_LINES = 20
# An item of DynamoDB has at most 400 KB, and a container may log megabytes in a line.
LINE_LENGTH = 1000
# Codes of tasks that we, or ECS on our behalf, stopped.
STOPPED_ON_PURPOSE = {
    "UserInitiated",
    "ServiceSchedulerInitiated",
    "SpotInterruption",
    "TerminationNotice",
}
OUT_OF_MEMORY_EXIT = 137

# (pattern in the stopped reason, code, message, hint), the first that matches.
REASONS: tuple[tuple[str, FailureCode, str, str], ...] = (
    (
        r"does not contain descriptor matching platform|exec format error",
        FailureCode.ARCHITECTURE_MISMATCH,
        "The image was built for another CPU architecture.",
        "Build the image for this architecture, or deploy with the other `architecture`.",
    ),
    (
        r"CannotPullContainerError.*(denied|\b40[13] |not authorized)",
        FailureCode.IMAGE_ACCESS_DENIED,
        "The image may not be pulled.",
        "Allow the execution role to read the repository.",
    ),
    (
        r"CannotPullContainerError.*(not found|\b404 |manifest unknown)",
        FailureCode.IMAGE_NOT_FOUND,
        "The image does not exist.",
        "Check the reference, and that the push has ended.",
    ),
    (
        r"CannotPullContainerError",
        FailureCode.NETWORK_MISCONFIGURED,
        "The image could not be pulled.",
        "Check that the subnets have a route to the registry.",
    ),
    (
        r"ResourceInitializationError.*(ecr registry auth|Amazon ECR)",
        FailureCode.NETWORK_MISCONFIGURED,
        "The task could not reach Amazon ECR.",
        "Check that the subnets have a route to ECR, and the stack's AssignPublicIp.",
    ),
    (
        r"ResourceInitializationError.*(secret|ssm|parameter)",
        FailureCode.SECRET_UNAVAILABLE,
        "A secret could not be read.",
        "Check the secret's ARN and that the execution role may read it.",
    ),
    (
        r"ResourceInitializationError",
        FailureCode.NETWORK_MISCONFIGURED,
        "The task could not be set up.",
        "Check that the subnets have a route to the AWS APIs.",
    ),
    (
        r"OutOfMemory",
        FailureCode.OUT_OF_MEMORY,
        "The container used more memory than it has.",
        "Deploy with more `memory`.",
    ),
    (
        r"failed ELB health checks|failed container health checks",
        FailureCode.HEALTH_CHECK_FAILED,
        "The container does not pass its health check.",
        "Check `health_check` and `port`; a slow start needs more `health_check.grace`.",
    ),
    (
        r"Capacity is unavailable|RESOURCE:",
        FailureCode.CAPACITY_UNAVAILABLE,
        "AWS has no Fargate capacity for the task now.",
        "Try again later, or with a smaller size.",
    ),
)


def stopped_by_itself(task: dict[str, Any]) -> bool:
    """Whether a task stopped for a reason of its own, not because a service scaled or rolled."""
    if (
        task.get("stopCode") == "EssentialContainerExited"
        or task.get("stopCode") == "TaskFailedToStart"
    ):
        return True
    reason = task.get("stoppedReason", "")
    if re.search(r"failed .* health checks|Essential container|Error", reason):
        return True
    return task.get("stopCode") not in STOPPED_ON_PURPOSE


def of_stopped_tasks(deployment_id: str, stopped: list[dict[str, Any]]) -> DeploymentFailed:
    """What the stopped tasks of a deployment say, with ECS's own words as evidence."""
    newest = max(stopped, key=lambda task: task.get("stoppedAt", task["createdAt"]))
    container: dict[str, Any] = next(
        (c for c in newest.get("containers", []) if c["name"] == naming.CONTAINER_NAME), {}
    )
    said = " ".join((newest.get("stoppedReason", ""), container.get("reason", "")))
    exit_code = container.get("exitCode")
    lines = log_group.last_lines(
        deployment_id, f"task/{naming.CONTAINER_NAME}/{tasks.task_id(newest)}", LOG_LINES
    )
    evidence = {
        "stopped_reason": newest.get("stoppedReason"),
        "stop_code": newest.get("stopCode"),
        "container_reason": container.get("reason"),
        "exit_code": exit_code,
        "stopped_tasks": len(stopped),
        "log_lines": [line[:LINE_LENGTH] for line in lines],
        "service_events": service_events(deployment_id),
    }
    code, message, hint = _classify(" ".join([said, *lines[-3:]]), said, exit_code)
    return DeploymentFailed(code, message, hint=hint, evidence=evidence)


def _classify(with_logs: str, said: str, exit_code: int | None) -> tuple[FailureCode, str, str]:
    for pattern, code, message, hint in REASONS:
        where = with_logs if code is FailureCode.ARCHITECTURE_MISMATCH else said
        if re.search(pattern, where, re.IGNORECASE):
            return code, message, hint
    if exit_code == OUT_OF_MEMORY_EXIT:
        return (
            FailureCode.OUT_OF_MEMORY,
            "The container was killed (exit code 137), most likely for want of memory.",
            "Deploy with more `memory`.",
        )
    told = f" with exit code {exit_code}" if exit_code is not None else ""
    return (
        FailureCode.CONTAINER_EXITED,
        f"The container stopped by itself{told}, again and again.",
        "The last log lines are in the evidence; run the image on your desk to see it happen.",
    )


def service_events(deployment_id: str) -> list[str]:
    """What the ECS service said last, newest first."""
    found = service.find(deployment_id)
    return [event["message"] for event in (found or {}).get("events", [])[:10]]


def recover(deployment: Deployment, error: dict[str, Any], now: Any) -> Path | None:
    """Turns a failed operation to its way out, and says which path is next; None is the end.

    A create that failed is torn down unless the caller wants to keep it, an update goes back to
    the version before. What fails on the way back, or in a teardown, ends the operation.
    """
    operation = deployment.operation
    if deployment.failure is None:
        deployment.fail(_running_step(deployment), _unexplained(deployment, error), now)
    if (
        operation.path is Path.CONVERGE
        and operation.kind == "create"
        and deployment.spec.on_failure == "teardown"
    ):
        deployment.turn_to(Path.DESTROY, DESTROY_STEPS, now)
        return Path.DESTROY
    if (
        operation.path is Path.CONVERGE
        and deployment.status is Status.UPDATING
        and deployment.last_active
    ):
        steps = tuple(f"rollback_{name}" for name in CONVERGE_STEPS)
        deployment.turn_to(Path.ROLLBACK, steps, now)
        return Path.ROLLBACK
    deployment.end_failed(now)
    return None


def _running_step(deployment: Deployment) -> str:
    running = (s.name for s in deployment.operation.steps if s.status in ("running", "failed"))
    return next(running, deployment.operation.steps[0].name)


def _unexplained(deployment: Deployment, error: dict[str, Any]) -> Failure:
    """A step that died without a word of its own: time-outs, crashes, too many tries."""
    cause = error.get("Cause", "")
    with contextlib.suppress(ValueError):
        told = json.loads(cause)
        cause = told.get("errorMessage", cause) if isinstance(told, dict) else cause
    return Failure(
        code=FailureCode.INTERNAL,
        step=_running_step(deployment),
        message=f"A step ended without an answer: {error.get('Error', 'unknown error')}.",
        hint="Try again; if it stays so, pass the id of the deployment on to the platform team.",
        evidence={"error": error.get("Error"), "cause": str(cause)[:2000]},
    )
