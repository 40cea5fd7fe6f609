"""Where a failed operation goes from here: torn down, back to the version before, or ended."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import FailureCode, NotReady, Retryable, StillProvisioning, Throttled
from chalicelib.domain.operation import Path
from chalicelib.domain.parts import Failure, Snapshot

# Errors of steps that did answer, and only said that they are not done.
TRIED_AGAIN = {cls.__name__ for cls in (NotReady, StillProvisioning, Throttled, Retryable)}


def recover(deployment: Deployment, error: dict[str, Any], now: datetime) -> Path | None:
    """Turns a failed operation to its way out, and says which path is next; None is the end.

    A create that failed is torn down unless the caller wants to keep it, an update goes back to
    the version before. What fails on the way back, or in a teardown, ends the operation.

    Args:
        error: what the state machine caught: `{"Error": name, "Cause": text}`.
    """
    if deployment.failure is None:
        deployment.fail(_running_step(deployment), _unexplained(deployment, error), now)
    if deployment.operation.path is Path.CONVERGE:
        if deployment.last_active is None and deployment.spec.on_failure == "teardown":
            deployment.switch_path(Path.DESTROY, now)
            return Path.DESTROY
        if _has_version_before(deployment):
            deployment.switch_path(Path.ROLLBACK, now)
            return Path.ROLLBACK
    deployment.end_failed(now)
    return None


def _has_version_before(deployment: Deployment) -> bool:
    """Whether there is something else to go back to: another version, or paused or not."""
    present = Snapshot(spec=deployment.spec, image=deployment.image)
    before = deployment.last_active
    if before is None:
        return False
    return before.paused != deployment.paused or not before.is_same_version(present)


def _running_step(deployment: Deployment) -> str:
    steps = deployment.operation.steps
    told = (step.name for step in steps if step.status in ("running", "failed"))
    return next(told, steps[0].name)


def _unexplained(deployment: Deployment, error: dict[str, Any]) -> Failure:
    """A step that died without a word of its own: time-outs, crashes, too many tries."""
    name, cause = error.get("Error", "unknown error"), error.get("Cause", "")
    running = _running_step(deployment)
    with contextlib.suppress(ValueError):
        told = json.loads(cause)
        cause = told.get("errorMessage", cause) if isinstance(told, dict) else cause
    if name in TRIED_AGAIN:
        told = deployment.operation.step(running).message
        message = f"The step {running} was tried again and again without success: {told}."
    else:
        message = f"The step {running} ended without an answer: {name}."
    return Failure(
        code=FailureCode.INTERNAL,
        step=running,
        message=message,
        hint="Retry; if it stays so, pass the id of the deployment on to the platform team.",
        evidence={"error": name, "cause": str(cause)[:2000]},
    )
