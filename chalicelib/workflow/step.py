"""The frame around every step: fence, intent, work, outcome.

The state machine calls a function with `{"step", "deployment_id", "generation", "path"}`. The
frame records that the step runs, does its work, and records the outcome. So the record alone shows
what happened. A step may run twice, even concurrently: its work converges and its record changes
once.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from chalicelib.domain import plan
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import (
    DeploymentFailed,
    FailureCode,
    NotFound,
    NotReady,
    Retryable,
    Superseded,
    WorkflowError,
)
from chalicelib.domain.operation import Path, StepStatus, full_name
from chalicelib.domain.parts import Failure, Prediction, Resource
from chalicelib.platform import clock
from chalicelib.platform.observability import logger
from chalicelib.platform.settings import settings
from chalicelib.store import deployments as store
from chalicelib.workflow import aws_errors, young_resources

# AWS ends a function after at most 30 s (`lambda_timeout` in .chalice/config.json). After this time
# an invocation makes no more calls.
INVOCATION_LIMIT = timedelta(seconds=35)
_DURATION = re.compile(r"\b\d+ (s|ms|min|seconds|minutes)\b")


@dataclass
class Outcome:
    """The result of a step, which the frame writes to the record."""

    message: str = ""
    status: StepStatus = StepStatus.SUCCEEDED
    resources: list[Resource] = field(default_factory=list)
    prediction: Prediction | None = None
    # A further change of the record, applied in the same write.
    change: Callable[[Deployment], None] | None = None


Work = Callable[[Deployment], Outcome]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Call:
    """One invocation of a step."""

    step: str
    deployment_id: str
    generation: int
    path: Path
    invocation: str

    @classmethod
    def parse(cls, event: dict[str, Any], request_id: str) -> Call:
        """The call in a Lambda event."""
        step, path, generation = event["step"], Path(event["path"]), int(event["generation"])
        invocation = f"{generation}/{path}/{step}/{request_id}"
        return cls(step, event["deployment_id"], generation, path, invocation)

    @property
    def full_name(self) -> str:
        """The step's name as clients see it."""
        return full_name(self.step, self.path)


def run(event: dict[str, Any], request_id: str, work: Work) -> dict[str, Any]:
    """Runs one step. Raises the errors that the state machine's `Retry` and `Catch` name."""
    call = Call.parse(event, request_id)
    log = {"deployment": call.deployment_id, "generation": call.generation, "step": call.full_name}
    try:
        deployment = _begin(call)
        _wait_for_superseded(deployment, call)
        outcome = _skip_if_blocked(deployment, call) or work(deployment)
    except Superseded as error:
        _leave(call)
        logger.info("step superseded", extra={**log, "reason": str(error)})
        raise
    except Exception as error:
        raised = _record_trouble(call, _explain(error))
        logger.warning(
            "step not done",
            exc_info=not isinstance(error, WorkflowError),
            extra={**log, "error": type(raised).__name__, "reason": str(raised)},
        )
        if isinstance(raised, DeploymentFailed) and raised.unrecognized:
            log_unrecognized(raised, **log)  # once, because the failure ends the operation
        if isinstance(raised, DeploymentFailed) and not plan.STEPS[call.step].decisive:
            return {"step": call.full_name, "status": StepStatus.FAILED}
        raise raised from error
    _record_outcome(call, outcome)
    logger.info("step done", extra={**log, "status": outcome.status, "result": outcome.message})
    return {"step": call.full_name, "status": outcome.status}


def _begin(call: Call) -> Deployment:
    def change(deployment: Deployment) -> None:
        deployment.check_fence(call.generation, call.path)
        moment = clock.now()
        deployment.begin_step(call.step, call.invocation, moment + INVOCATION_LIMIT, moment)

    return _update(call.deployment_id, change)[0]


def _wait_for_superseded(deployment: Deployment, call: Call) -> None:
    """A step starts when no step of cancelled work can create a resource after it."""
    others = deployment.others_in_flight(call.path, clock.now())
    if others:
        raise NotReady(f"waiting for {len(others)} cancelled step(s) to end")


def _skip_if_blocked(deployment: Deployment, call: Call) -> Outcome | None:
    blocking = deployment.operation.blocking(call.step)
    if not blocking:
        return None
    return Outcome(f"skipped because {blocking} did not succeed", StepStatus.SKIPPED)


def _record_outcome(call: Call, outcome: Outcome) -> None:
    def change(deployment: Deployment) -> None:
        for resource in outcome.resources:
            deployment.record_resource(resource, clock.now())
        if outcome.prediction:
            deployment.prediction = outcome.prediction
        deployment.finish_step(call.step, clock.now(), outcome.message, outcome.status)
        if outcome.change:
            outcome.change(deployment)

    _record(call, change)


def _record_trouble(call: Call, error: WorkflowError) -> WorkflowError:
    """Records why the step is not done, and returns the error to raise.

    After the deadline, any error becomes a failure.
    """

    def change(deployment: Deployment) -> WorkflowError:
        raised = _unless_passing(error, deployment, call)
        if not isinstance(raised, DeploymentFailed):
            deployment.describe_step(call.step, str(raised), raised.evidence)
            if clock.now() > deployment.operation.deadline:
                raised = _deadline_exceeded(deployment, raised)
        if isinstance(raised, DeploymentFailed):
            deployment.fail(call.step, failure_of(call.full_name, raised), clock.now())
        return raised

    return _record(call, change)


def _unless_passing(error: WorkflowError, deployment: Deployment, call: Call) -> WorkflowError:
    """The error, or one that lets the step run again if AWS may allow the call soon."""
    if not isinstance(error, DeploymentFailed):
        return error
    if not young_resources.may_pass(error, deployment, call.step, clock.now()):
        return error
    return Retryable(f"{error.message} AWS may not show the tags of a new resource yet")


def _record(call: Call, change: Callable[[Deployment], Result]) -> Result:
    """Ends the invocation and applies `change`. Raises `Superseded` if the fence has moved."""

    def end(deployment: Deployment) -> Result:
        deployment.end_invocation(call.invocation, clock.now())
        deployment.check_fence(call.generation, call.path)
        return change(deployment)

    try:
        return _update(call.deployment_id, end)[1]
    except Superseded:
        _leave(call)
        raise


def _leave(call: Call) -> None:
    """Records that a superseded invocation has ended, so that the teardown does not wait for it."""

    def change(deployment: Deployment) -> None:
        deployment.end_invocation(call.invocation, clock.now())

    with contextlib.suppress(Superseded):  # the record no longer exists
        _update(call.deployment_id, change)


def _update(
    deployment_id: str, change: Callable[[Deployment], Result]
) -> tuple[Deployment, Result]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return store.update_with_result(deployment_id, change)
    except NotFound as error:
        raise Superseded(f"the record of {deployment_id} was discarded") from error
    except (ClientError, BotoCoreError) as error:
        raise _explain(error) from error


def _explain(error: Exception) -> WorkflowError:
    """Any exception as one that the state machine can retry or catch."""
    if isinstance(error, WorkflowError):
        return error
    known = aws_errors.workflow_error(error)
    if known:
        return known
    return DeploymentFailed(
        FailureCode.INTERNAL,
        f"Slipway failed with an unexpected error: {type(error).__name__}: {error}",
        hint="Report this defect in Slipway to your platform team, with the deployment ID.",
    )


def _deadline_exceeded(deployment: Deployment, error: WorkflowError) -> DeploymentFailed:
    operation, reason = deployment.operation, str(error).rstrip(".")
    return DeploymentFailed(
        FailureCode.DEADLINE_EXCEEDED,
        f"The {operation.kind} did not end by {clock.rfc3339(operation.deadline)}: {reason}.",
        hint="See `evidence` for AWS's last response. Retry. If it fails again, give the "
        "deployment ID to your platform team.",
        evidence={"waiting_for": str(error)},
    )


def log_unrecognized(error: DeploymentFailed, **where: object) -> None:
    """Logs a text of AWS that no known text matches, so that an operator can report it."""
    logger.warning("unknown AWS text", extra={**where, "aws_text": error.unrecognized})


def failure_of(step_name: str, error: DeploymentFailed) -> Failure:
    """A failure as the record keeps it; `step_name` is the step's full name.

    A local stack scales the waits of AWS. So a failure that states durations says this.
    """
    scale = settings().time_scale
    is_scaled = scale != 1 and _DURATION.search(f"{error.message} {error.hint}")
    scaled = f" This local stack scales the waits of AWS by {scale:g}." if is_scaled else ""
    return Failure(
        code=error.code,
        step=step_name,
        message=error.message,
        hint=error.hint + scaled,
        evidence=error.evidence,
    )
