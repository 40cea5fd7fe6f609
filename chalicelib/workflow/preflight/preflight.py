"""The preflight step: it finds faults before a deploy creates resources, within seconds.

All checks of the table run, so that a caller can fix all faults at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed
from chalicelib.domain.operation import Kind, Path, StepStatus
from chalicelib.platform import aws
from chalicelib.workflow.preflight import address, image_platform, quotas, routes, secret_lookup
from chalicelib.workflow.preflight.subject import NotKnown, Subject
from chalicelib.workflow.step import Outcome

# If AWS does not answer a check, the deploy continues after this many attempts.
MOST_TRIES = 4

# Returns True if the check passed, and False if there was nothing to check. Raises
# `DeploymentFailed` for a fault, `NotKnown`, or any error of botocore.
Check = Callable[[Subject], bool]
ARCHITECTURE = "architecture"
CHECKS: tuple[tuple[str, Check], ...] = (
    (ARCHITECTURE, image_platform.check),
    ("secrets", secret_lookup.check),
    ("certificate", address.check_certificate),
    ("DNS record", address.check_domain),
    ("subnets and routes", routes.check_routes),
    ("free addresses", routes.check_room),
    ("load balancer quota", quotas.check_load_balancers),
    ("target group quota", quotas.check_target_groups),
    ("Fargate vCPU quota", quotas.check_fargate),
)


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        status: "passed", "failed", "not_known", or "skipped" if there was nothing to check.
        message: why the result is not known.
        fault: the error of a failed check.
        unanswered: an error of AWS that a retry may avoid.
    """

    check: str
    status: str
    message: str = ""
    fault: DeploymentFailed | None = None
    unanswered: Exception | None = None


def examine(deployment: Deployment) -> list[Finding]:
    """Runs every check in the order of the table. Errors of AWS become findings."""
    subject = Subject(deployment)
    return [_examine(name, function, subject) for name, function in CHECKS]


def check(deployment: Deployment) -> Outcome:
    """Runs the step. The message of the outcome lists the passed checks and the unknown results.

    Raises the first fault as `DeploymentFailed`, with the others in `evidence["also"]`. A denied
    call does not stop the deploy. If AWS throttles or fails, raises its error so that the step is
    retried.
    """
    if deployment.operation.kind is Kind.PAUSE:
        return Outcome(message="not run: a pause creates no resources", status=StepStatus.SKIPPED)
    if deployment.operation.path is Path.ROLLBACK or deployment.operation.kind is Kind.REPAIR:
        return Outcome(
            message="not run: a rollback or a repair must not wait for checks",
            status=StepStatus.SKIPPED,
        )
    findings = examine(deployment)
    faults = [(finding.check, finding.fault) for finding in findings if finding.fault]
    if faults:
        raise _joined(faults)
    unanswered = [finding.unanswered for finding in findings if finding.unanswered]
    if unanswered and deployment.operation.step("preflight").attempts < MOST_TRIES:
        raise unanswered[0]
    passed = ", ".join(f.check for f in findings if f.status == "passed")
    unknown = [f"{f.check} unknown: {f.message}" for f in findings if f.status == "not_known"]
    return Outcome(message="; ".join([passed, *unknown]))


def has_passed(deployment: Deployment, name: str) -> bool:
    """Whether the step of this operation ran the check `name`, and it passed."""
    steps = [step for step in deployment.operation.steps if step.name == "preflight"]
    passed = steps[-1].message.partition(";")[0] if steps else ""
    return name in passed.split(", ")


def _examine(name: str, function: Check, subject: Subject) -> Finding:
    try:
        return Finding(name, "passed" if function(subject) else "skipped")
    except NotKnown as error:
        return Finding(name, "not_known", str(error))
    except DeploymentFailed as fault:
        return Finding(name, "failed", fault=fault)
    except Exception as error:
        if (reason := _refusal(error)) is not None:
            return Finding(name, "not_known", reason)
        return Finding(name, "not_known", str(error), unanswered=error)


def _refusal(error: Exception) -> str | None:
    """Why AWS refuses the call: access denied, or an API that an emulator lacks; else None."""
    if not aws.is_refusal(error):
        return None
    return f"{aws.operation_of(error)} returned {aws.code_of(error) or 'an error'}"


def _joined(faults: list[tuple[str, DeploymentFailed]]) -> DeploymentFailed:
    _, first = faults[0]
    also: list[dict[str, Any]] = [
        {"check": name, "code": fault.code, "message": fault.message, "hint": fault.hint}
        for name, fault in faults[1:]
    ]
    evidence = {**first.evidence, "also": also} if also else first.evidence
    return DeploymentFailed(first.code, first.message, hint=first.hint, evidence=evidence)
