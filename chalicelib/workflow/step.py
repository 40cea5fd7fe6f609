"""The frame around every step: fence, intent, work, outcome.

The state machine calls a function with `{"step", "deployment_id", "generation", "path"}`. The
frame records that the step runs, does its work, and records what came of it, so that the record
alone tells what happened. A step may run twice, or twice at once: its work converges and its
record changes once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import (
    DeploymentFailed,
    FailureCode,
    NotFound,
    NotReady,
    Superseded,
    WorkflowError,
)
from chalicelib.domain.operation import ROLLBACK_PREFIX, Path
from chalicelib.domain.parts import Failure, Prediction, Resource
from chalicelib.platform.clock import now, rfc3339
from chalicelib.platform.observability import logger
from chalicelib.store import deployments as store
from chalicelib.workflow import aws_errors

# Functions end after 30 s (infra/resources.json); later than this an invocation touches nothing.
INVOCATION_LIMIT = timedelta(seconds=35)
# A teardown goes on past a resource that it cannot remove, to remove the others, which cost money;
# these steps say at the end what came of it.
DECISIVE = {"verify_teardown", "finish_teardown"}


@dataclass
class Outcome:
    """What a step found or made; the frame writes it to the record."""

    message: str = ""
    status: str = "succeeded"
    resources: list[Resource] = field(default_factory=list)
    prediction: Prediction | None = None
    # Applied to the record in the same write, for what only this step knows how to say.
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
        """The call in a Lambda event; steps of a rollback have a prefix."""
        path = Path(event["path"])
        generation = int(event["generation"])
        name = f"{ROLLBACK_PREFIX}{event['step']}" if path is Path.ROLLBACK else event["step"]
        invocation = f"{generation}/{path}/{name}/{request_id}"
        return cls(name, event["deployment_id"], generation, path, invocation)

    @property
    def goes_on(self) -> bool:
        """Whether the steps after it are to be tried though this one fails."""
        return self.path is Path.DESTROY and self.step not in DECISIVE


def run(event: dict[str, Any], request_id: str, work: Work) -> dict[str, Any]:
    """Runs one step. Raises what the state machine's `Retry` and `Catch` name."""
    call = Call.parse(event, request_id)
    log = {"deployment": call.deployment_id, "generation": call.generation, "step": call.step}
    try:
        deployment = _begin(call)
        _wait_for_superseded(deployment, call)
        outcome = _not_tried(deployment, call) or work(deployment)
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
        if call.goes_on and isinstance(raised, DeploymentFailed):
            return {"step": call.step, "status": "failed"}
        raise raised from error
    _record_outcome(call, outcome)
    logger.info("step done", extra={**log, "status": outcome.status, "result": outcome.message})
    return {"step": call.step, "status": outcome.status}


def _begin(call: Call) -> Deployment:
    def change(deployment: Deployment) -> None:
        deployment.check_fence(call.generation, call.path)
        deployment.begin_step(call.step, call.invocation, now() + INVOCATION_LIMIT, now())

    return _update(call.deployment_id, change)[0]


def _wait_for_superseded(deployment: Deployment, call: Call) -> None:
    """A teardown begins when nothing of the cancelled work can create a resource behind it."""
    others = deployment.others_in_flight(call.path, now())
    if others:
        raise NotReady(f"waiting for {len(others)} cancelled step(s) to end")


def _not_tried(deployment: Deployment, call: Call) -> Outcome | None:
    blocking = deployment.operation.blocking(call.step)
    return Outcome(f"not tried, for {blocking} failed", "skipped") if blocking else None


def _record_outcome(call: Call, outcome: Outcome) -> None:
    def change(deployment: Deployment) -> None:
        for resource in outcome.resources:
            deployment.record_resource(resource, now())
        if outcome.prediction:
            deployment.prediction = outcome.prediction
        deployment.finish_step(call.step, now(), outcome.message, outcome.status)
        if outcome.change:
            outcome.change(deployment)

    _record(call, change)


def _record_trouble(call: Call, error: WorkflowError) -> WorkflowError:
    """Records why the step is not done; past the deadline, that becomes the failure."""

    def change(deployment: Deployment) -> WorkflowError:
        raised = error
        if not isinstance(error, DeploymentFailed):
            deployment.describe_step(call.step, str(error), error.evidence)
            if now() > deployment.operation.deadline:
                raised = _deadline_exceeded(deployment, error)
        if isinstance(raised, DeploymentFailed):
            deployment.fail(call.step, failure_of(call.step, raised), now())
        return raised

    return _record(call, change)


def _record(call: Call, change: Callable[[Deployment], Result]) -> Result:
    """Ends the invocation with what came of it, if the step may still tell."""

    def end(deployment: Deployment) -> Result:
        deployment.end_invocation(call.invocation, now())
        deployment.check_fence(call.generation, call.path)
        return change(deployment)

    try:
        return _update(call.deployment_id, end)[1]
    except Superseded:
        _leave(call)
        raise


def _leave(call: Call) -> None:
    """A superseded invocation says that it is over, so that the teardown need not wait it out."""
    with contextlib.suppress(Superseded):  # the record is gone altogether
        _update(call.deployment_id, lambda record: record.end_invocation(call.invocation, now()))


def _update(
    deployment_id: str, change: Callable[[Deployment], Result]
) -> tuple[Deployment, Result]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return store.update_with_result(deployment_id, change)
    except NotFound as error:
        raise Superseded(f"the record of {deployment_id} was taken back") from error
    except (ClientError, BotoCoreError) as error:
        raise _explain(error) from error


def _explain(error: Exception) -> WorkflowError:
    """Any exception as one that the state machine knows."""
    if isinstance(error, WorkflowError):
        return error
    known = aws_errors.workflow_error(error)
    if known:
        return known
    return DeploymentFailed(
        FailureCode.INTERNAL,
        f"A step of Slipway broke: {type(error).__name__}: {error}",
        hint="This is a fault in Slipway: pass the id of the deployment on to the platform team.",
    )


def _deadline_exceeded(deployment: Deployment, error: WorkflowError) -> DeploymentFailed:
    operation = deployment.operation
    return DeploymentFailed(
        FailureCode.DEADLINE_EXCEEDED,
        f"The {operation.kind} did not end by {rfc3339(operation.deadline)}: {error}.",
        hint="The evidence says what AWS told last; retry, and if it stays so, pass the id of the "
        "deployment on to the platform team.",
        evidence={"waiting_for": str(error)},
    )


def failure_of(step_name: str, error: DeploymentFailed) -> Failure:
    """What the record keeps of a failure."""
    return Failure(
        code=error.code,
        step=step_name,
        message=error.message,
        hint=error.hint,
        evidence=error.evidence,
    )
