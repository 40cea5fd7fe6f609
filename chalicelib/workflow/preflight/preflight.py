"""What can be known before anything is made is checked first: the deploy fails in seconds then.

The checks are a table, and all of them run: a caller mends all faults at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed
from chalicelib.domain.operation import Path, StepStatus
from chalicelib.platform import aws
from chalicelib.workflow import aws_errors
from chalicelib.workflow.preflight import address, image_platform, quotas, routes, secret_lookup
from chalicelib.workflow.preflight.subject import NotKnown, Subject
from chalicelib.workflow.step import Outcome

NOT_IMPLEMENTED = 501
# A check that AWS does not answer must not hold a deploy up for long.
MOST_TRIES = 4

# True: found well. False: nothing to check. Raises `DeploymentFailed` for a fault, `NotKnown`, and
# whatever botocore raises.
Check = Callable[[Subject], bool]
CHECKS: tuple[tuple[str, Check], ...] = (
    ("architecture", image_platform.check),
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
    """What one check came to.

    Attributes:
        status: "passed", "failed", "not_known", or "skipped" where there was nothing to check.
        message: why it is not known.
        fault: of a check that failed.
        unanswered: what AWS raised that it might not raise when it is asked again.
    """

    check: str
    status: str
    message: str = ""
    fault: DeploymentFailed | None = None
    unanswered: Exception | None = None


def examine(deployment: Deployment) -> list[Finding]:
    """Runs every check, in the table's order; raises nothing that AWS says."""
    subject = Subject(deployment)
    return [_examine(name, function, subject) for name, function in CHECKS]


def check(deployment: Deployment) -> Outcome:
    """The step: the outcome's message says what was checked and what is not known.

    Raises the first fault as `DeploymentFailed`, with the others in `evidence["also"]`. What AWS
    refuses to tell stops nothing; where it throttles or fails, the step is to be tried again.
    """
    if deployment.operation.kind == "pause":
        return Outcome(message="a pause needs nothing of the account", status=StepStatus.SKIPPED)
    if deployment.operation.path is Path.ROLLBACK or deployment.operation.kind == "repair":
        return Outcome(
            message="the way back to what served before is not held up", status=StepStatus.SKIPPED
        )
    findings = examine(deployment)
    faults = [(finding.check, finding.fault) for finding in findings if finding.fault]
    if faults:
        raise _joined(faults)
    unanswered = [finding.unanswered for finding in findings if finding.unanswered]
    if unanswered and deployment.operation.step("preflight").attempts < MOST_TRIES:
        raise unanswered[0]
    passed = ", ".join(f.check for f in findings if f.status == "passed")
    unknown = [f"{f.check} not known: {f.message}" for f in findings if f.status == "not_known"]
    return Outcome(message="; ".join([passed, *unknown]))


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
    """Why AWS does not tell: denied, or an emulator without the API. None for anything else."""
    from botocore.exceptions import ClientError

    if not isinstance(error, ClientError):
        return None
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if aws_errors.is_transient(error) and status != NOT_IMPLEMENTED:
        return None
    return f"{error.operation_name} answers {aws.code_of(error) or status}"


def _joined(faults: list[tuple[str, DeploymentFailed]]) -> DeploymentFailed:
    _, first = faults[0]
    also: list[dict[str, Any]] = [
        {"check": name, "code": fault.code, "message": fault.message, "hint": fault.hint}
        for name, fault in faults[1:]
    ]
    evidence = {**first.evidence, "also": also} if also else first.evidence
    return DeploymentFailed(first.code, first.message, hint=first.hint, evidence=evidence)
