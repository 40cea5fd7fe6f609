"""The ends of an operation: active, torn down, or failed and on the next path."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotFound, Superseded
from chalicelib.domain.operation import Path
from chalicelib.domain.parts import Leftover
from chalicelib.domain.rates import hourly_rate
from chalicelib.platform import clock
from chalicelib.platform.observability import logger
from chalicelib.resources import service
from chalicelib.store import deployments as store
from chalicelib.workflow import recovery, teardown
from chalicelib.workflow.step import Outcome

# The answer of `diagnose` if no path comes next.
END = "end"


def finish(deployment: Deployment) -> Outcome:
    """The deployment becomes ACTIVE or PAUSED, and the meter runs at the rate of its tasks."""
    scaled = service.find(deployment.id) if deployment.scaling else None
    tasks = scaled["desiredCount"] if scaled else deployment.wanted_tasks
    rate = hourly_rate(deployment.spec, tasks)

    def change(record: Deployment) -> None:
        record.activate(clock.now(), rate, tasks)

    return Outcome(change=change)


def finish_teardown(deployment: Deployment) -> Outcome:
    """AWS has none of the resources: DELETED, or FAILED if a create had failed."""

    def change(record: Deployment) -> None:
        record.end_torn_down(clock.now())

    return Outcome(change=change)


def turn(deployment: Deployment, error: dict[str, Any], leftovers: list[Leftover]) -> Path | None:
    """Ends a failed operation, or turns it to the next path and returns that path.

    Args:
        error: `{"Error", "Cause"}`, as the state machine caught it.
        leftovers: what AWS still has after a failed teardown. If it is empty, the teardown has
            succeeded.
    """
    if deployment.operation.path is Path.DESTROY:
        deployment.settle(teardown.with_reasons(leftovers, deployment), clock.now())
        if not leftovers and not deployment.others_in_flight(Path.DESTROY, clock.now()):
            deployment.end_torn_down(clock.now())
            return None
    return recovery.recover(deployment, error, clock.now())


def diagnose(event: dict[str, Any]) -> dict[str, Any]:
    """After a failure: returns `{"deployment_id", "generation", "path"}` with the next path.

    `path` is `destroy`, `rollback`, or `end`. This is not a step of its own, because it belongs to
    the path that failed, and changes it.
    """
    deployment_id, generation = event["deployment_id"], int(event["generation"])
    failed_path = Path(event["path"])
    leftovers: list[Leftover] = []
    if failed_path is Path.DESTROY:
        known = store.get(deployment_id)
        domains = known.domains if known else ()
        leftovers = teardown.find_leftovers_or_unknown(deployment_id, domains)

    def change(record: Deployment) -> str:
        if record.operation.path is not failed_path and record.generation == generation:
            return record.operation.path  # an earlier call changed it, and its answer was lost
        record.check_fence(generation, failed_path)
        return turn(record, event.get("error", {}), leftovers) or END

    path = END
    try:
        _, path = store.update_with_result(deployment_id, change)
    except (Superseded, NotFound) as error:
        logger.info(
            "diagnosis superseded", extra={"deployment": deployment_id, "reason": str(error)}
        )
    return {"deployment_id": deployment_id, "generation": generation, "path": path}
