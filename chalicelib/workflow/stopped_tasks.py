"""What the words of ECS about a stopped task mean, for a person who has never seen ECS.

The wordings: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
and https://docs.aws.amazon.com/AmazonECS/latest/developerguide/resource-initialization-error.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from chalicelib.domain import naming
from chalicelib.domain.errors import FailureCode
from chalicelib.domain.parts import IN_EVIDENCE
from chalicelib.domain.spec.fargate import PLATFORMS
from chalicelib.domain.spec.spec import Spec

# Codes of tasks that we, or ECS on our behalf, stopped.
STOPPED_ON_PURPOSE = {
    "UserInitiated",
    "ServiceSchedulerInitiated",
    "SpotInterruption",
    "TerminationNotice",
}
OUT_OF_MEMORY_EXIT = 137


@dataclass(frozen=True)
class Verdict:
    """Why a task stopped; `final`: the next one would stop for the same reason."""

    code: FailureCode
    message: str
    hint: str
    final: bool = False


_UNREACHABLE = r"i/o timeout|context deadline|connection (issue|refused|timed out)|no such host"
# What any task of this image and this network would meet again.
_BEFORE_THE_START: tuple[tuple[str, Verdict], ...] = (
    (
        rf"(CannotPullContainerError|ResourceInitializationError).*({_UNREACHABLE})",
        Verdict(
            FailureCode.NETWORK_MISCONFIGURED,
            "The task could not reach the registry or an AWS API that it starts with.",
            "Ask the platform team whether the subnets have a route out, or VPC endpoints for ECR, "
            "S3 and CloudWatch Logs, and whether the stack's AssignPublicIp fits.",
        ),
    ),
    (
        r"CannotPullContainerError.*(toomanyrequests|too many requests|rate limit|\b429 )",
        Verdict(
            FailureCode.IMAGE_ACCESS_DENIED,
            "The registry limits how often {image} may be pulled, and the limit is reached.",
            "Push the image to Amazon ECR and deploy it from there.",
            final=True,
        ),
    ),
    (
        r"no space left on device",
        Verdict(
            FailureCode.CONTAINER_EXITED,
            "The image {image} does not fit on the task's disk of 20 GiB, compressed and unpacked.",
            "Make the image smaller: leave build tools and data out of it.",
            final=True,
        ),
    ),
    (
        r"CannotPullContainerError.*(denied|\b40[13] |not authorized|no basic auth)",
        Verdict(
            FailureCode.IMAGE_ACCESS_DENIED,
            "ECS may not pull {image}.",
            "Allow the stack's task execution role in the repository's policy.",
            final=True,
        ),
    ),
    (
        r"CannotPullContainerError.*(not found|\b404 |manifest unknown)",
        Verdict(
            FailureCode.IMAGE_NOT_FOUND,
            "The image {image} does not exist.",
            "Check the tag, and that the push has ended, then deploy again.",
            final=True,
        ),
    ),
    (
        r"CannotPullContainerError",
        Verdict(
            FailureCode.NETWORK_MISCONFIGURED,
            "The image {image} could not be pulled.",
            "See `evidence.stopped_reason`; most often the subnets have no route to the registry.",
        ),
    ),
    (
        r"ResourceInitializationError.*(secret from|secrets manager|ssm|parameter)",
        Verdict(
            FailureCode.SECRET_UNAVAILABLE,
            "A secret of the deployment could not be read when the task started.",
            "Check the ARN in `secrets`, that the secret has a value, that the stack's "
            "AllowedSecrets names it, and that its KMS key lets the task execution role decrypt.",
            final=True,
        ),
    ),
    (
        r"ResourceInitializationError.*log group does not exist",
        Verdict(
            FailureCode.INTERNAL,
            "The deployment's log group is gone, and a task does not start without it.",
            "Retry: the log group is made again.",
            final=True,
        ),
    ),
    (
        r"ResourceInitializationError",
        Verdict(
            FailureCode.NETWORK_MISCONFIGURED,
            "The task could not be set up.",
            "See `evidence.stopped_reason`; most often the subnets have no route to the AWS APIs.",
        ),
    ),
    (
        r"CannotStartContainerError|CannotCreateContainerError",
        Verdict(
            FailureCode.CONTAINER_EXITED,
            "The container could not be started.",
            "See `evidence.container_reason`: most often `command` names a program that the image "
            "does not have.",
            final=True,
        ),
    ),
    (
        r"Capacity is unavailable|RESOURCE:",
        Verdict(
            FailureCode.CAPACITY_UNAVAILABLE,
            "AWS has no Fargate capacity for a task of this size now.",
            "Retry later, or with a smaller `cpu` and `memory`.",
        ),
    ),
)
_WRONG_ARCHITECTURE = r"descriptor matching platform|exec format error"
_UNHEALTHY = r"failed ELB health checks|failed container health checks"


def stopped_by_itself(task: dict[str, Any]) -> bool:
    """Whether a task stopped for a reason of its own, not because a service scaled or rolled."""
    if task.get("stopCode") in ("EssentialContainerExited", "TaskFailedToStart"):
        return True
    if re.search(r"failed .* health checks|Essential container|Error", said_by(task)):
        return True
    return task.get("stopCode") not in STOPPED_ON_PURPOSE


def container_of(task: dict[str, Any]) -> dict[str, Any]:
    """The task's one container as ECS describes it; empty before it exists."""
    containers = task.get("containers", [])
    return next((c for c in containers if c["name"] == naming.CONTAINER_NAME), {})


def said_by(task: dict[str, Any]) -> str:
    """Everything that ECS says of why the task stopped."""
    return " ".join((task.get("stoppedReason", ""), container_of(task).get("reason", ""))).strip()


def judge(
    task: dict[str, Any], lines: list[str], spec: Spec, target_health: list[dict[str, Any]]
) -> Verdict:
    """Why `task` stopped, by ECS's words, its exit code, its last log `lines`, and what the load
    balancer had said of the targets."""
    said, exit_code = said_by(task), container_of(task).get("exitCode")
    if re.search(_WRONG_ARCHITECTURE, " ".join([said, *lines[-3:]]), re.IGNORECASE):
        return _wrong_architecture(spec)
    for pattern, verdict in _BEFORE_THE_START:
        if re.search(pattern, said, re.IGNORECASE):
            message = verdict.message.format(image=spec.image)
            return Verdict(verdict.code, message, verdict.hint, verdict.final)
    if re.search(_UNHEALTHY, said, re.IGNORECASE):
        return unhealthy(spec, target_health)
    if "OutOfMemory" in said or exit_code == OUT_OF_MEMORY_EXIT:
        return Verdict(
            FailureCode.OUT_OF_MEMORY,
            f"The container was killed (exit code {exit_code}): it used more than its "
            f"{spec.memory} MiB of memory.",
            f'Deploy with more memory, such as "memory": {spec.memory * 2}.',
        )
    if task.get("stopCode") == "TaskFailedToStart" and exit_code is None:
        return Verdict(
            FailureCode.INTERNAL,
            f"AWS could not start the task: {said.rstrip('.')}.",
            "Retry; if it stays so, pass the id of the deployment on to the platform team.",
        )
    return _exited(exit_code, lines)


def _wrong_architecture(spec: Spec) -> Verdict:
    platform = PLATFORMS[spec.architecture]
    other = next(name for name in PLATFORMS if name != spec.architecture)
    return Verdict(
        FailureCode.ARCHITECTURE_MISMATCH,
        f"The image was built for another CPU architecture than {spec.architecture}.",
        f"Build it with `docker buildx build --platform {platform}`, or deploy with "
        f'"architecture": "{other}".',
        final=True,
    )


def unhealthy(spec: Spec, target_health: list[dict[str, Any]]) -> Verdict:
    """Why the load balancer does not take a task for healthy."""
    check = spec.health_check
    told = next((t for t in target_health if t.get("reason")), {})
    reason, description = told.get("reason", ""), told.get("description", "")
    asked = f"GET {check.path} on port {spec.port}"
    slow = f"a model that starts slowly needs more than {check.grace} s of `health_check.grace`"
    if reason == "Target.ResponseCodeMismatch":
        message = f"{asked} does not answer with {check.status}: {description}."
        hint = f"Set `health_check.path` to a path that answers {check.status}."
    elif reason == "Target.Timeout":
        message = f"{asked} is not answered within {check.timeout} s."
        hint = f"Raise `health_check.timeout`, or ask a lighter path; {slow}."
    elif reason == "Target.FailedHealthChecks":
        message = f"{asked} has no answer: nothing listens there."
        hint = f"Set `port` to the container's port, and listen on 0.0.0.0; {slow}."
    else:
        message = f"{asked} does not pass the health check."
        hint = f"Check `health_check` and `port`; {slow}."
    return Verdict(FailureCode.HEALTH_CHECK_FAILED, message, hint)


def _exited(exit_code: int | None, lines: list[str]) -> Verdict:
    told = f" with exit code {exit_code}" if exit_code is not None else ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    message = f"The container stops by itself{told}, again and again"
    run = "Run the image on your own machine to see it happen."
    return Verdict(
        FailureCode.CONTAINER_EXITED,
        f"{message}; its last words: {last[:200].rstrip('.')}." if last else f"{message}.",
        f"The last log lines are {IN_EVIDENCE}; {run[0].lower()}{run[1:]}" if last else run,
    )
