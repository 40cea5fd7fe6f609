"""What can be known before anything is made is checked first: the deploy fails in seconds then.

The checks are a table, and all of them run: a caller mends all faults at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chalicelib import aws
from chalicelib.deployments.deployment import Deployment
from chalicelib.deployments.errors import DeploymentFailed, Retryable, Throttled
from chalicelib.deployments.operation import Path
from chalicelib.workflow import architecture_check, network_check, quota_check, secrets_check
from chalicelib.workflow.checking import NotKnown, Subject
from chalicelib.workflow.step import Outcome

NOT_IMPLEMENTED = 501

# True: found well. False: nothing to check. Raises `DeploymentFailed` for a fault, `NotKnown`, and
# whatever botocore raises.
Check = Callable[[Subject], bool]
CHECKS: tuple[tuple[str, Check], ...] = (
    ("architecture", architecture_check.check),
    ("secrets", secrets_check.check),
    ("subnets and routes", network_check.check_routes),
    ("free addresses", network_check.check_room),
    ("load balancer quota", quota_check.check_load_balancers),
    ("target group quota", quota_check.check_target_groups),
    ("Fargate vCPU quota", quota_check.check_fargate),
)


def check(deployment: Deployment) -> Outcome:
    """Runs every check; the outcome's message says what was checked and what is not known.

    Raises the first fault as `DeploymentFailed`, with the others in `evidence["also"]`. What AWS
    refuses to tell stops nothing; where it throttles or fails, the step is to be tried again.
    """
    if deployment.operation.path is Path.ROLLBACK:
        return Outcome(
            message="the way back to what served before is not held up", status="skipped"
        )
    subject = Subject(deployment)
    checked: list[str] = []
    unknown: list[str] = []
    faults: list[tuple[str, DeploymentFailed]] = []
    passing: list[Exception] = []
    for name, function in CHECKS:
        try:
            checked += [name] if function(subject) else []
        except NotKnown as error:
            unknown.append(f"{name} not known: {error}")
        except DeploymentFailed as fault:
            faults.append((name, fault))
        except Exception as error:
            if (reason := _refusal(error)) is None:
                passing.append(error)
            else:
                unknown.append(f"{name} not known: {reason}")
    if faults:
        raise _joined(faults)
    if passing:
        raise passing[0]
    return Outcome(message="; ".join([", ".join(checked), *unknown]))


def _refusal(error: Exception) -> str | None:
    """Why AWS does not tell: denied, or an emulator without the API. None for anything else."""
    known = aws.workflow_error(error)
    status = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode")
    if known is None or (isinstance(known, Throttled | Retryable) and status != NOT_IMPLEMENTED):
        return None
    return f"{getattr(error, 'operation_name', 'AWS')} answers {aws.code_of(error) or status}"


def _joined(faults: list[tuple[str, DeploymentFailed]]) -> DeploymentFailed:
    _, first = faults[0]
    also: list[dict[str, Any]] = [
        {"check": name, "code": fault.code, "message": fault.message, "hint": fault.hint}
        for name, fault in faults[1:]
    ]
    evidence = {**first.evidence, "also": also} if also else first.evidence
    return DeploymentFailed(first.code, first.message, hint=first.hint, evidence=evidence)
