"""The path of an operation after a failure: teardown, rollback, or none."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import FailureCode, NotReady, Retryable, StillProvisioning, Throttled
from chalicelib.domain.operation import Path, Step, StepStatus
from chalicelib.domain.parts import Failure, Snapshot

# Errors of steps that did answer: they are not done yet.
NOT_DONE = {cls.__name__ for cls in (NotReady, StillProvisioning, Throttled, Retryable)}


def recover(deployment: Deployment, error: dict[str, Any], now: datetime) -> Path | None:
    """Turns a failed operation to the next path and returns it; None if the operation has ended.

    A failed create is torn down unless the caller wants to keep it. A failed update is rolled back
    to the previous version. A failure of a rollback or of a teardown ends the operation.

    Args:
        error: what the state machine caught: `{"Error": name, "Cause": text}`.
    """
    if deployment.failure is None:
        step = _failed_step(deployment)
        deployment.fail(step.name, _unexplained(step, error), now)
    if deployment.operation.path is Path.CONVERGE:
        if deployment.last_active is None and deployment.spec.on_failure == "teardown":
            deployment.switch_path(Path.DESTROY, now)
            return Path.DESTROY
        if _has_previous_version(deployment):
            deployment.switch_path(Path.ROLLBACK, now)
            return Path.ROLLBACK
    deployment.end_failed(now)
    return None


def _has_previous_version(deployment: Deployment) -> bool:
    """Whether a rollback would change anything: the version, or whether it is paused."""
    present = Snapshot(spec=deployment.spec, image=deployment.image)
    previous = deployment.last_active
    if previous is None:
        return False
    return previous.paused != deployment.paused or not previous.is_same_version(present)


def _failed_step(deployment: Deployment) -> Step:
    steps = deployment.operation.steps
    suspects = (s for s in steps if s.status in (StepStatus.RUNNING, StepStatus.FAILED))
    return next(suspects, steps[0])


def _unexplained(step: Step, error: dict[str, Any]) -> Failure:
    """The failure of a step that recorded none: it timed out, crashed or used up its retries."""
    name, cause = error.get("Error", "unknown error"), error.get("Cause", "")
    with contextlib.suppress(ValueError):
        document = json.loads(cause)
        cause = document.get("errorMessage", cause) if isinstance(document, dict) else cause
    if name in NOT_DONE:
        message = f"The step {step.full_name} failed after all retries: {step.message}."
    else:
        message = f"The step {step.full_name} ended without a result: {name}."
    return Failure(
        code=FailureCode.INTERNAL,
        step=step.full_name,
        message=message,
        hint="Retry. If it fails again, give the deployment ID to your platform team.",
        evidence={"error": name, "cause": str(cause)[:2000]},
    )
