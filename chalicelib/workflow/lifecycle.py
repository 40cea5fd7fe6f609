"""The ends of an operation: active, torn down, or failed with its way out."""

from __future__ import annotations

from typing import Any

from chalicelib import store
from chalicelib.clock import now
from chalicelib.deployments.deployment import Deployment
from chalicelib.deployments.errors import NotFound, Superseded
from chalicelib.deployments.operation import Path
from chalicelib.deployments.parts import Leftover
from chalicelib.deployments.pricing import usd_per_hour
from chalicelib.observability import logger
from chalicelib.settings import settings
from chalicelib.workflow import recovery, step, teardown
from chalicelib.workflow.step import Outcome


def finish(deployment: Deployment) -> Outcome:
    """The deployment serves: ACTIVE, at the rate that its size costs."""
    rate = usd_per_hour(deployment.spec, settings().assign_public_ip)

    def change(record: Deployment) -> None:
        record.activate(now(), rate)

    return Outcome(change=change)


def finish_teardown(deployment: Deployment) -> Outcome:
    """Everything is verified gone: DELETED, or FAILED where a create had failed before."""

    def change(record: Deployment) -> None:
        record.end_torn_down(now())

    return Outcome(change=change)


def _leftovers(deployment_id: str) -> list[Leftover]:
    """What is left; that it cannot be looked for is told too, and holds nothing up."""
    try:
        return teardown.find_leftovers(deployment_id)
    except Exception as error:
        logger.exception("leftovers not looked for", extra={"deployment": deployment_id})
        reason = f"AWS could not be asked what is left: {error}"
        return [Leftover(kind="unknown", name=deployment_id, reason=reason)]


STEPS: dict[str, step.Work] = {"finish": finish, "finish_teardown": finish_teardown}


def diagnose(event: dict[str, Any]) -> dict[str, Any]:
    """After a failure: `{"deployment_id", "generation", "path"}`, the path being what comes next.

    `path` is `destroy`, `rollback`, or `end`. Not framed as a step: it belongs to whichever path
    failed, and changes it.
    """
    deployment_id, generation = event["deployment_id"], int(event["generation"])
    failed_path = Path(event["path"])
    answer: dict[str, Any] = {
        "deployment_id": deployment_id,
        "generation": generation,
        "path": "end",
    }
    leftovers: list[Leftover] = []
    if failed_path is Path.DESTROY:
        leftovers = _leftovers(deployment_id)

    def change(record: Deployment) -> None:
        if record.operation.path is not failed_path and record.generation == generation:
            answer["path"] = record.operation.path  # this ran before, and its answer was lost
            return
        record.check_fence(generation, failed_path)
        if failed_path is Path.DESTROY:
            record.settle(teardown.with_reasons(leftovers, record), now())
        answer["path"] = recovery.recover(record, event.get("error", {}), now()) or "end"

    try:
        store.update(deployment_id, change)
    except (Superseded, NotFound) as error:
        logger.info(
            "diagnosis superseded", extra={"deployment": deployment_id, "reason": str(error)}
        )
    return answer
