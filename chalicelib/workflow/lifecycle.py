"""The ends of an operation: active, torn down, or failed with its way out."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotFound, Superseded
from chalicelib.domain.operation import Path
from chalicelib.domain.parts import Leftover
from chalicelib.domain.rates import hourly_rate
from chalicelib.platform.clock import now
from chalicelib.platform.observability import logger
from chalicelib.resources import service
from chalicelib.store import deployments as store
from chalicelib.workflow import recovery, step, teardown
from chalicelib.workflow.step import Outcome


def finish(deployment: Deployment) -> Outcome:
    """The deployment serves: ACTIVE, or is PAUSED, at the rate that its tasks cost."""
    found = service.find(deployment.id) if deployment.scaling else None
    tasks = found["desiredCount"] if found else deployment.wanted_tasks
    rate = hourly_rate(deployment.spec, tasks)

    def change(record: Deployment) -> None:
        record.activate(now(), rate)

    return Outcome(change=change)


def finish_teardown(deployment: Deployment) -> Outcome:
    """Everything is verified gone: DELETED, or FAILED where a create had failed before."""

    def change(record: Deployment) -> None:
        record.end_torn_down(now())

    return Outcome(change=change)


STEPS: dict[str, step.Work] = {"finish": finish, "finish_teardown": finish_teardown}


def turn(deployment: Deployment, error: dict[str, Any], left: list[Leftover]) -> Path | None:
    """Takes a failed operation to its way out, or ends it; answers the path that comes next.

    Args:
        error: `{"Error", "Cause"}`, as the state machine caught it.
        left: what AWS still has, where a teardown failed. With nothing left, it has not.
    """
    if deployment.operation.path is Path.DESTROY:
        deployment.settle(teardown.with_reasons(left, deployment), now())
        if not left and not deployment.others_in_flight(Path.DESTROY, now()):
            deployment.end_torn_down(now())
            return None
    return recovery.recover(deployment, error, now())


def diagnose(event: dict[str, Any]) -> dict[str, Any]:
    """After a failure: `{"deployment_id", "generation", "path"}`, the path being what comes next.

    `path` is `destroy`, `rollback`, or `end`. Not framed as a step: it belongs to whichever path
    failed, and changes it.
    """
    deployment_id, generation = event["deployment_id"], int(event["generation"])
    failed_path = Path(event["path"])
    leftovers: list[Leftover] = []
    if failed_path is Path.DESTROY:
        known = store.get(deployment_id)
        leftovers = teardown.told_leftovers(deployment_id, known.domains if known else ())

    def change(record: Deployment) -> str:
        if record.operation.path is not failed_path and record.generation == generation:
            return record.operation.path  # this ran before, and its answer was lost
        record.check_fence(generation, failed_path)
        return turn(record, event.get("error", {}), leftovers) or "end"

    try:
        _, path = store.update_with_result(deployment_id, change)
    except (Superseded, NotFound) as error:
        path = "end"
        logger.info(
            "diagnosis superseded", extra={"deployment": deployment_id, "reason": str(error)}
        )
    return {"deployment_id": deployment_id, "generation": generation, "path": path}
