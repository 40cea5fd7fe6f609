"""Explain why a task stopped, for a person who has never seen ECS.

ECS's texts: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
and https://docs.aws.amazon.com/AmazonECS/latest/developerguide/resource-initialization-error.html
"""

from __future__ import annotations

import re
from typing import Any

from chalicelib.domain import naming
from chalicelib.domain.errors import FailureCode
from chalicelib.domain.parts import IN_EVIDENCE
from chalicelib.domain.spec.fargate import PLATFORMS
from chalicelib.domain.spec.spec import Spec
from chalicelib.workflow.unhealthy import judge_unhealthy
from chalicelib.workflow.verdict import Verdict

# Stop codes of tasks that Slipway stopped, or that ECS stopped as Slipway asked.
STOPPED_ON_PURPOSE = {
    "UserInitiated",
    "ServiceSchedulerInitiated",
    "SpotInterruption",
    "TerminationNotice",
}
OUT_OF_MEMORY_EXIT = 137


_UNREACHABLE = r"i/o timeout|context deadline|connection (issue|refused|timed out)|no such host"
# (pattern of ECS's reason, verdict) for tasks that stopped before their program ran. The first
# match counts.
_BEFORE_THE_START: tuple[tuple[str, Verdict], ...] = (
    (
        rf"(CannotPullContainerError|ResourceInitializationError).*({_UNREACHABLE})",
        Verdict(
            FailureCode.NETWORK_MISCONFIGURED,
            "The task could not reach the registry, or an AWS API that it needs to start.",
            "Ask your platform team to check AssignPublicIp and the routes of the subnets. The "
            "tasks need the internet, or VPC endpoints for ECR, S3 and CloudWatch Logs.",
        ),
    ),
    (
        r"CannotPullContainerError.*(toomanyrequests|too many requests|rate limit|\b429 )",
        Verdict(
            FailureCode.IMAGE_ACCESS_DENIED,
            "The registry's rate limit for pulling {image} is reached.",
            "Push the image to Amazon ECR and deploy it from there.",
            final=True,
        ),
    ),
    (
        r"no space left on device",
        Verdict(
            FailureCode.CONTAINER_EXITED,
            "The image {image} does not fit on the task's 20 GiB disk. The disk needs room for the "
            "compressed and the unpacked image.",
            "Make the image smaller, for example by removing build tools and data.",
            final=True,
        ),
    ),
    (
        r"CannotPullContainerError.*(denied|\b40[13] |not authorized|no basic auth)",
        Verdict(
            FailureCode.IMAGE_ACCESS_DENIED,
            "ECS is not allowed to pull {image}.",
            "Allow the stack's task execution role in the repository policy.",
            final=True,
        ),
    ),
    (
        r"CannotPullContainerError.*(not found|\b404 |manifest unknown)",
        Verdict(
            FailureCode.IMAGE_NOT_FOUND,
            "The image {image} does not exist.",
            "Check that the tag is correct and the push is complete, then deploy again.",
            final=True,
        ),
    ),
    (
        r"CannotPullContainerError",
        Verdict(
            FailureCode.NETWORK_MISCONFIGURED,
            "ECS could not pull the image {image}.",
            "Read `evidence.stopped_reason`. Most often the subnets have no route to the registry.",
        ),
    ),
    (
        r"ResourceInitializationError.*(secret from|secrets manager|ssm|parameter)",
        Verdict(
            FailureCode.SECRET_UNAVAILABLE,
            "ECS could not read a secret of the deployment when the task started.",
            "Check that the ARN in `secrets` is correct, that the secret has a value, and that the "
            "stack's AllowedSecrets includes it. Its KMS key must allow the task execution role to "
            "decrypt.",
            final=True,
        ),
    ),
    (
        r"ResourceInitializationError.*log group does not exist",
        Verdict(
            FailureCode.INTERNAL,
            "The deployment's log group was deleted, and no task starts without it.",
            "Retry. Slipway then creates the log group again.",
            final=True,
        ),
    ),
    (
        r"ResourceInitializationError",
        Verdict(
            FailureCode.NETWORK_MISCONFIGURED,
            "ECS could not initialize the task.",
            "Read `evidence.stopped_reason`. Most often the subnets have no route to the AWS APIs.",
        ),
    ),
    (
        r"CannotStartContainerError|CannotCreateContainerError",
        Verdict(
            FailureCode.CONTAINER_EXITED,
            "ECS could not start the container.",
            "Read `evidence.container_reason`. Most often `command` names a program that is not in "
            "the image.",
            final=True,
        ),
    ),
    (
        r"Capacity is unavailable|RESOURCE:",
        Verdict(
            FailureCode.CAPACITY_UNAVAILABLE,
            "AWS has no Fargate capacity for a task of this size at the moment.",
            "Retry later, or deploy with less `cpu` and `memory`.",
        ),
    ),
)
_WRONG_ARCHITECTURE = r"descriptor matching platform|exec format error"
_UNHEALTHY = r"failed ELB health checks|failed container health checks"


def stopped_by_itself(task: dict[str, Any]) -> bool:
    """Whether a task stopped for its own reason, not because its service scaled or replaced it."""
    if task.get("stopCode") in ("EssentialContainerExited", "TaskFailedToStart"):
        return True
    if re.search(r"failed .* health checks|Essential container|Error", reasons_of(task)):
        return True
    return task.get("stopCode") not in STOPPED_ON_PURPOSE


def container_of(task: dict[str, Any]) -> dict[str, Any]:
    """The task's only container as ECS describes it; empty before it exists."""
    containers = task.get("containers", [])
    return next((c for c in containers if c["name"] == naming.CONTAINER_NAME), {})


def reasons_of(task: dict[str, Any]) -> str:
    """The reasons that ECS gives for a stopped task and its container, in one text."""
    return " ".join((task.get("stoppedReason", ""), container_of(task).get("reason", ""))).strip()


def judge(
    task: dict[str, Any], lines: list[str], spec: Spec, target_health: list[dict[str, Any]]
) -> Verdict:
    """Why `task` stopped.

    Judged by ECS's reasons, the exit code, the last log `lines`, and the target health that the
    load balancer reported earlier.
    """
    reasons, exit_code = reasons_of(task), container_of(task).get("exitCode")
    if re.search(_WRONG_ARCHITECTURE, " ".join([reasons, *lines[-3:]]), re.IGNORECASE):
        return _wrong_architecture(spec)
    for pattern, verdict in _BEFORE_THE_START:
        if re.search(pattern, reasons, re.IGNORECASE):
            message = verdict.message.format(image=spec.image)
            return Verdict(verdict.code, message, verdict.hint, verdict.final)
    if re.search(_UNHEALTHY, reasons, re.IGNORECASE):
        return judge_unhealthy(spec, target_health, lines)
    if "OutOfMemory" in reasons or exit_code == OUT_OF_MEMORY_EXIT:
        return Verdict(
            FailureCode.OUT_OF_MEMORY,
            f"The container was killed (exit code {exit_code}) because it used more than its "
            f"{spec.memory} MiB of memory.",
            f'Deploy with more memory, for example "memory": {spec.memory * 2}.',
        )
    if task.get("stopCode") == "TaskFailedToStart" and exit_code is None:
        return Verdict(
            FailureCode.INTERNAL,
            f"AWS could not start the task: {reasons.rstrip('.')}.",
            "Retry. If it fails again, give the deployment ID to your platform team.",
        )
    return _exited(exit_code, lines)


def _wrong_architecture(spec: Spec) -> Verdict:
    platform = PLATFORMS[spec.architecture]
    other = next(name for name in PLATFORMS if name != spec.architecture)
    return Verdict(
        FailureCode.ARCHITECTURE_MISMATCH,
        f"The image is not built for {spec.architecture}, the deployment's CPU architecture.",
        f"Build the image with `docker buildx build --platform {platform}`, or deploy with "
        f'"architecture": "{other}".',
        final=True,
    )


def _exited(exit_code: int | None, lines: list[str]) -> Verdict:
    code = f" with exit code {exit_code}" if exit_code is not None else ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    message = f"The container keeps exiting{code}."
    hint = "Run the image on your own machine to reproduce it."
    if last:
        message += f" Last log line: {last[:200].rstrip('.')}."
        hint = f"Read the last log lines {IN_EVIDENCE}. {hint}"
    return Verdict(FailureCode.CONTAINER_EXITED, message, hint)
