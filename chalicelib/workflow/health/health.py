"""The function `health`: checks ACTIVE deployments after a task stopped, and at least regularly.

Two events start it:

- EventBridge reports that a task of some service of the account has stopped. That alone proves
  nothing, so the function checks the deployment, if the service belongs to one.
- A schedule runs it every minute for the checks that are due: the regular ones, and the follow-ups
  until tasks serve again.

Nothing is lost. Before a check that a stopped task asks for, the record says that the check is due.
If the function dies or AWS throttles it, the next sweep finds the check. If it runs twice, the
second write changes nothing or is refused. A check only reads AWS and writes the record, and it
writes only if no operation has started since it read the record.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from chalicelib.domain import naming
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotFound, Superseded
from chalicelib.domain.health import FOLLOW_UP, Observation
from chalicelib.platform import clock
from chalicelib.platform.observability import logger
from chalicelib.resources import service
from chalicelib.store import deployments as store
from chalicelib.store import keys, work
from chalicelib.workflow import aws_errors
from chalicelib.workflow.health import health_reasons, task_look

# A sweep runs one check after another, and each reads ELBv2 once. So the checks take at most one of
# the ten reads per second that an account has. More checks wait for the next sweep.
MOST_CHECKS = 60
# The function ends after 60 s (.chalice/config.json), and a check takes some calls.
LAST_START = timedelta(seconds=45)


def run(event: dict[str, Any]) -> dict[str, Any]:
    """Checks the deployment whose task has stopped, or those whose check is due.

    Args:
        event: from EventBridge: an "ECS Task State Change", or of a schedule.

    Returns:
        `{"checked": [IDs of deployments]}`, as logged.
    """
    is_stop = event.get("source") == "aws.ecs"
    checked = _check_after_stop(event["detail"]) if is_stop else _sweep()
    if checked:
        logger.info("health checked", extra={"deployments": checked})
    return {"checked": checked}


def _check_after_stop(task: dict[str, Any]) -> list[str]:
    """Checks the deployment of a stopped task; nothing if the task belongs to no deployment.

    The event has no tags. The cluster of a deployment has its ID as its name.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html
    """
    deployment_id = task["clusterArn"].rpartition("/")[2]
    if not naming.ID_PATTERN.fullmatch(deployment_id):
        return []
    deployment = store.get(deployment_id)
    if deployment is None or not deployment.can_be_checked:
        return []  # of another program, or an operation checks its tasks
    _request_check(deployment_id)
    # Many tasks stop at once when services scale in. Those checks can wait for the sweep.
    return [deployment_id] if task_look.is_missed(task) and _try(deployment_id) else []


def _request_check(deployment_id: str) -> None:
    def change(record: Deployment) -> None:
        if not record.can_be_checked:
            raise Superseded("an operation has started")
        record.request_check(clock.now())

    try:
        store.update(deployment_id, change)
    except (Superseded, NotFound):
        return


def _sweep() -> list[str]:
    until, checked = clock.now() + LAST_START, []
    for number, (pk, _) in enumerate(work.all_due(work.HEALTH)):
        if number >= MOST_CHECKS or clock.now() >= until:
            logger.warning("checks of health are left for the next run")
            break
        deployment_id = keys.identifier(pk)
        if _try(deployment_id):
            checked.append(deployment_id)
    return checked


def _try(deployment_id: str) -> bool:
    """Checks one deployment. Returns False if it cannot be checked now; never raises."""
    try:
        return _check(deployment_id)
    except (Superseded, NotFound):
        return False  # the record changed, and the next check is due accordingly
    except Exception as error:
        transient = aws_errors.is_transient(error)
        logger.warning(
            "health not checked", exc_info=not transient, extra={"deployment": deployment_id}
        )
        _postpone(deployment_id)
        return False


def _check(deployment_id: str) -> bool:
    deployment = store.get(deployment_id)
    if deployment is None or not deployment.can_be_checked:
        return False
    seen = observe(deployment)

    def change(record: Deployment) -> None:
        if record.generation != deployment.generation or not record.can_be_checked:
            raise Superseded("an operation has started")
        if not record.record_health(seen, clock.now()):
            raise Superseded("a later check is recorded already")

    store.update(deployment_id, change)
    return True


def _postpone(deployment_id: str) -> None:
    """Lets other checks go first, if this one cannot be done."""

    def change(record: Deployment) -> None:
        if not record.can_be_checked:
            raise Superseded("an operation has started")
        record.health_due_at = clock.now() + FOLLOW_UP

    try:
        store.update(deployment_id, change)
    except Exception:
        logger.warning("check not postponed", extra={"deployment": deployment_id})


def observe(deployment: Deployment) -> Observation:
    """What ECS and the target group say about the tasks now. Raises botocore's errors."""
    moment = clock.now()
    ecs_service = service.find(deployment.id)
    look = task_look.look(deployment, moment)
    wanted = _wanted(deployment, ecs_service)
    absent = max(wanted - look.alive, 0)
    excused = look.excused + min(absent, _newly_wanted(deployment, wanted))
    missing = max(wanted - len(look.serving) - excused, 0)
    return Observation(
        at=moment,
        running=len(look.serving),
        wanted=wanted,
        missing=missing,
        failure=health_reasons.find(deployment, ecs_service, look) if missing else None,
        is_settled=not (missing or absent or look.starting or look.stopping),
    )


def _newly_wanted(deployment: Deployment, wanted: int) -> int:
    """How many more tasks are wanted than at the last check.

    ECS starts a task some seconds after a scale-out has raised the desired count. If it has not
    done so by the next check, the task is missing.
    """
    return max(wanted - deployment.health.wanted, 0) if deployment.health else 0


def _wanted(deployment: Deployment, ecs_service: dict[str, Any] | None) -> int:
    """The desired count of the service, within the bounds of the spec.

    A count outside of the bounds was set by hand, and the reconciler repairs it.
    """
    desired = ecs_service["desiredCount"] if ecs_service else 0
    return int(min(max(desired, deployment.wanted_tasks), deployment.most_tasks))
