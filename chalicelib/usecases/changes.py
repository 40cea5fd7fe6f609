"""Changes of a deployment: each checks, writes the record, and starts an execution.

`fields` are the decoded members of a spec, as a caller sends them. Every function raises
`Forbidden`, `NotFound`, `ValidationFailed`, the conflicts that its transition names, and
`AwsUnavailable` if Step Functions did not start the execution.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Any

from chalicelib.domain import naming
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import AwsUnavailable
from chalicelib.domain.parts import Image
from chalicelib.domain.rates import hourly_rate
from chalicelib.domain.record import Status
from chalicelib.domain.spec import extension, parsing, sources
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform import clock
from chalicelib.platform.observability import logger
from chalicelib.store import deployments as store
from chalicelib.store import table
from chalicelib.store.tokens import Caller
from chalicelib.usecases import patches, stack_limits
from chalicelib.usecases.access import find, require
from chalicelib.workflow import aws_errors, executions

SCOPE = "deploy"


def create(caller: Caller, fields: Any) -> Deployment:
    """Deploys a spec. Also raises `NameTaken` and `QuotaExceeded`."""
    require(caller, SCOPE)
    spec = parsing.parse(fields, **stack_limits.limits(fields))
    deployment = store.create(
        Deployment.create(
            naming.new_id(spec.name), caller.owner, spec, clock.now(), hourly_rate(spec)
        )
    )
    try:
        executions.start(deployment)
    except Exception as error:
        # Remove the record, because without an execution nothing would finish it. A conflict means
        # that the start took effect and only its answer was lost.
        with contextlib.suppress(table.Conflict):
            store.discard(deployment)
            raise _unavailable(error) from error
    return deployment


def update(
    caller: Caller,
    reference: str,
    fields: Any,
    *,
    editions: Collection[int] | None = None,
    keep_members: bool = False,
) -> tuple[Deployment, bool]:
    """Rolls out a spec with these fields changed. Also raises `NameTaken` and `QuotaExceeded`.

    A FAILED deployment is created again with the changed spec. Returns the deployment, and whether
    an operation has started: none does if the fields change nothing.

    Args:
        editions: the change is made only if the record has one of these editions; otherwise raises
            `PreconditionFailed`. None allows any edition.
        keep_members: an object of `fields` (`environment`, `scaling`) changes the members that it
            names and keeps the others. By default it replaces the whole object.
    """
    require(caller, SCOPE)
    found = find(caller, reference)
    limits = stack_limits.limits(fields)

    def changed_spec(deployment: Deployment) -> Spec:
        patches.check_edition(deployment, editions)
        changed = _completed(deployment, fields) if keep_members else fields
        return parsing.patched(deployment.spec, changed, **limits)

    named = _named_image(found, changed_spec(found), fields)

    def change(deployment: Deployment) -> bool | None:
        """Whether it was FAILED; None if only the sources of its values change."""
        spec = changed_spec(deployment)
        is_failed = deployment.status is Status.FAILED
        tried = patches.tried(deployment, spec)
        if not is_failed and not patches.changes(deployment, tried, named):
            if tried.names == deployment.names:
                raise _Unchanged(deployment)
            deployment.set_names(tried.names)
            return None
        patches.apply(deployment, spec, new_image="image" in fields)
        return is_failed

    try:
        deployment, was_failed = store.update_with_result(found.id, change)
    except _Unchanged as unchanged:
        return unchanged.deployment, False
    if was_failed is None:
        return deployment, False
    return _started_again(deployment) if was_failed else _rolled_out(deployment), True


def _named_image(deployment: Deployment, spec: Spec, fields: dict[str, Any]) -> Image | None:
    """The image that the fields name. Its registry is read only if all else is unchanged."""
    if "image" not in fields or deployment.status is Status.FAILED:
        return None
    named = Image(reference=spec.image)
    tried = patches.tried(deployment, spec)
    others = [c for c in patches.changes(deployment, tried, named) if c.field != "image"]
    return named if others else patches.named_image(deployment, spec)


class _Unchanged(Exception):
    """A change changes nothing, so nothing is written."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(deployment.id)
        self.deployment = deployment


def rollback(caller: Caller, reference: str) -> Deployment:
    """Rolls out the version that was ACTIVE before the present one."""
    require(caller, SCOPE)
    deployment_id = find(caller, reference).id
    return _rolled_out(store.update(deployment_id, lambda d: d.roll_back(clock.now())))


def pause(caller: Caller, reference: str) -> Deployment:
    """Stops all tasks and keeps the URL, which answers 503."""
    require(caller, SCOPE)
    deployment_id = find(caller, reference).id
    return _rolled_out(store.update(deployment_id, lambda d: d.pause(clock.now())))


def resume(caller: Caller, reference: str) -> Deployment:
    """Starts the tasks of a paused deployment; its URL serves again."""
    require(caller, SCOPE)
    deployment_id = find(caller, reference).id
    return _rolled_out(store.update(deployment_id, lambda d: d.resume(clock.now())))


def extend(caller: Caller, reference: str, fields: Any) -> Deployment:
    """Starts the time to live again, from now. `fields` is `{"ttl": "8h"}`. No execution runs."""
    require(caller, SCOPE)
    ttl = extension.parse(fields)
    deployment_id = find(caller, reference).id
    return store.update(deployment_id, lambda d: d.extend(ttl, clock.now()))


def retry(caller: Caller, reference: str) -> Deployment:
    """Resumes a FAILED deployment, or the teardown of a DELETE_FAILED one."""
    require(caller, SCOPE)
    deployment_id = find(caller, reference).id
    return _started_again(
        store.update(
            deployment_id,
            lambda d: d.retry(clock.now(), hourly_rate(d.spec, d.wanted_tasks)),
        )
    )


def delete(
    caller: Caller, reference: str, *, editions: Collection[int] | None = None
) -> Deployment:
    """Tears a deployment down, whatever its status; has no effect if it is deleted already.

    A running operation is cancelled. `editions` as for `update`.
    """
    require(caller, SCOPE)
    deployment = find(caller, reference)
    superseded: int | None = None
    if deployment.is_changed_by_delete(clock.now()):
        deployment, superseded = _tear_down(deployment.id, editions)
    else:
        patches.check_edition(deployment, editions)
    if superseded is not None:
        _stop(deployment.id, superseded)
    if deployment.status is Status.DELETING:
        # Also for a teardown that runs already: the function that accepted the first DELETE may
        # have died before it started the execution. A second start has no effect.
        _start(deployment)
    return deployment


def _tear_down(
    deployment_id: str, editions: Collection[int] | None
) -> tuple[Deployment, int | None]:
    """The deployment, and the generation whose execution the teardown supersedes."""

    def change(deployment: Deployment) -> int | None:
        patches.check_edition(deployment, editions)
        superseded = deployment.generation if deployment.is_running else None
        return superseded if deployment.delete(clock.now()) else None

    return store.update_with_result(deployment_id, change)


def _completed(deployment: Deployment, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields, each object completed with the members that the caller set before."""
    current = sources.set_by_caller(deployment.spec, deployment.names)
    return {
        name: {**(current.get(name) or {}), **value} if isinstance(value, dict) else value
        for name, value in fields.items()
    }


def _rolled_out(deployment: Deployment) -> Deployment:
    """Starts the execution of a change to what serves, or takes the change back."""
    try:
        executions.start(deployment)
    except Exception as error:
        generation = deployment.generation
        store.update(deployment.id, lambda d: d.withdraw_update(generation, clock.now()))
        raise _unavailable(error) from error
    return deployment


def _started_again(deployment: Deployment) -> Deployment:
    """Starts the execution of a deployment that had failed. Nothing serves that could be kept."""
    try:
        executions.start(deployment)
    except Exception:
        # The request is accepted: within minutes the reconciler starts what the record says.
        logger.exception("execution not started", extra={"deployment": deployment.id})
    return deployment


def _start(deployment: Deployment) -> None:
    try:
        executions.start(deployment)
    except Exception as error:
        # The record keeps the teardown: the reconciler starts it, or a second DELETE.
        raise _unavailable(error) from error


def _stop(deployment_id: str, generation: int) -> None:
    try:
        executions.stop(deployment_id, generation)
    except Exception as error:
        # The generation is superseded, so its steps stop before they call AWS.
        extra = {"deployment": deployment_id, "reason": str(error)}
        logger.warning("execution not stopped", extra=extra)


def _unavailable(error: Exception) -> Exception:
    reason = aws_errors.workflow_error(error)
    if reason is None:
        return error
    return AwsUnavailable(
        f"AWS did not start the operation: {str(reason).rstrip('.')}. Send the request again.",
        headers=aws_errors.RETRY_AFTER,
    )
