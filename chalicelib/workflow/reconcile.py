"""The reconciler: every five minutes, and when an execution ends badly, it holds what the records
say against what AWS says, and repairs or tells.

It changes records and starts executions; AWS resources are changed by the steps of those alone. So
it may die anywhere, run twice, and run at once with anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from chalicelib.domain import naming
from chalicelib.domain.deployment import SETTLED, Deployment
from chalicelib.domain.errors import Superseded
from chalicelib.domain.operation import Path
from chalicelib.domain.parts import Leftover
from chalicelib.domain.rates import hourly_rate
from chalicelib.domain.record import Status
from chalicelib.domain.spec import time_to_live
from chalicelib.platform.clock import now
from chalicelib.platform.observability import logger
from chalicelib.resources import service
from chalicelib.store import deployments as store
from chalicelib.workflow import drift, executions, lifecycle, orphans, teardown

# The API starts an execution right after it wrote the record: this long it may still be about to.
START_PATIENCE = timedelta(seconds=60)
# Steps end an operation at its deadline by themselves; so long after it they did not.
OVERDUE = timedelta(minutes=15)
# An operation whose executions die again and again has a cause that another one does not mend.
MOST_TAKEOVERS = 3
# Tags of deleted resources are listed for a while, and a teardown may just have ended.
# https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
ORPHAN_PATIENCE = timedelta(minutes=10)

EXPIRED = "its time to live has passed"

Finding = dict[str, str]


def run(event: dict[str, Any]) -> dict[str, Any]:
    """Looks at every deployment, or at the one whose execution the event is about.

    Args:
        event: of EventBridge: a schedule's, or an "Step Functions Execution Status Change".

    Returns:
        `{"checked": how many deployments, "findings": [{deployment, finding}]}`, as logged.
    """
    execution = event.get("detail", {}).get("executionArn", "") if event else ""
    if execution:
        deployment_id = execution.rsplit(":", 1)[-1].rpartition("-")[0]
        deployment = store.get(deployment_id)
        found = _each([deployment] if deployment else [], _check)
        checked = 1
    else:
        deployments = list(store.all_deployments())
        checked = len(deployments)
        found = _each(deployments, _check) + _check_orphans()
    return {"checked": checked, "findings": found}


def _each(items: Iterable[Any], check: Callable[[Any], str]) -> list[Finding]:
    """What `check` found of each; one that cannot be looked at holds up no other."""
    findings = []
    for item in items:
        try:
            finding = check(item)
        except Superseded:
            continue  # somebody moved on meanwhile, and the next look sees where to
        except Exception as error:
            logger.exception("not reconciled", extra={"deployment": item.id})
            finding = f"could not be looked at: {error}"
        if finding:
            findings.append({"deployment": item.id, "finding": finding})
            logger.warning("reconciled", extra=findings[-1])
    return findings


def _check(deployment: Deployment) -> str:
    if expired := _check_expiry(deployment):
        return expired
    if deployment.is_running:
        return _check_execution(deployment)
    if deployment.status in SETTLED:
        return _check_drift(deployment)
    return ""


# --- time to live --------------------------------------------------------------------------


def _check_expiry(deployment: Deployment) -> str:
    """Tears down what has lived its time, whatever it is at; tells of it an hour before."""
    moment = now()
    if not deployment.expires_at or moment < deployment.expires_at - time_to_live.NOTICE:
        return ""
    if moment < deployment.expires_at:
        if not deployment.expiry_told:
            store.update(deployment.id, lambda record: record.tell_expiry(now()))
        return ""
    if deployment.status in (Status.DELETING, Status.DELETE_FAILED):
        return ""

    def change(record: Deployment) -> None:
        if not record.expires_at or now() < record.expires_at:
            raise Superseded("it was extended meanwhile")
        if not record.delete(now(), EXPIRED):
            raise Superseded("it is being deleted")

    executions.start(store.update(deployment.id, change))
    return EXPIRED


# --- executions ----------------------------------------------------------------------------


def _check_execution(deployment: Deployment) -> str:
    """A running operation needs a running execution."""
    moment, generation = now(), deployment.generation
    status = executions.status(deployment.id, generation)
    if status is None:
        if moment - deployment.updated_at < START_PATIENCE:
            return ""
        if moment <= deployment.operation.deadline:
            executions.start(deployment)
            return "its execution had never been started"
        status = "could never be started"
    if status == "RUNNING":
        if moment < deployment.operation.deadline + OVERDUE:
            return ""
        executions.stop(deployment.id, generation)
        status = "overdue"
    return _take_up(deployment, f"execution {naming.execution(deployment.id, generation)} {status}")


def _take_up(deployment: Deployment, reason: str) -> str:
    """Lets another execution go on, on the way out where the operation can no longer succeed."""
    generation, path = deployment.generation, deployment.operation.path
    destroying = path is Path.DESTROY
    left = (
        teardown.find_leftovers_or_unknown(deployment.id, deployment.domains) if destroying else []
    )

    def change(record: Deployment) -> None:
        operation = record.operation
        if (record.generation, operation.path, record.is_running) != (generation, path, True):
            raise Superseded("its execution ended in order after all")
        # It died between telling why it failed and turning to its way out.
        failed = path is Path.CONVERGE and record.failure is not None
        late = now() > operation.deadline
        if failed or late or operation.takeovers >= MOST_TAKEOVERS:
            lifecycle.turn(record, {"Error": "ExecutionDied", "Cause": reason}, left)
        if record.is_running:
            record.take_up(reason, now())

    taken = store.update(deployment.id, change)
    if taken.is_running:
        executions.start(taken)
    return reason


# --- what serves ---------------------------------------------------------------------------


def _check_drift(deployment: Deployment) -> str:
    """Repairs an ACTIVE or PAUSED deployment of which somebody changed or deleted a part by hand.

    It stays what it is.
    """
    found = service.find(deployment.id)
    reason = drift.find(deployment, found)
    if not reason:
        if found and deployment.scaling:
            _follow_cost(deployment, found["desiredCount"])
        return ""

    def change(record: Deployment) -> None:
        if (record.generation, record.status) != (deployment.generation, deployment.status):
            raise Superseded("it is being changed")
        record.repair(reason, now())

    executions.start(store.update(deployment.id, change))
    return reason


def _follow_cost(deployment: Deployment, tasks: int) -> None:
    """Has the meter run at the rate of the tasks that the scaling wants by now."""
    rate = hourly_rate(deployment.spec, tasks)
    if rate == deployment.meter.usd_per_hour:
        return

    def change(record: Deployment) -> None:
        if (record.generation, record.status) != (deployment.generation, Status.ACTIVE):
            raise Superseded("it is being changed")
        record.meter.set_rate(rate, now())

    store.update(deployment.id, change)


# --- what nobody knows of ------------------------------------------------------------------


def _check_orphans() -> list[Finding]:
    try:
        found = orphans.find()
    except Exception:
        logger.exception("orphans not looked for")  # the next run looks again
        return []
    return _each(found, _check_orphan)


def _check_orphan(orphan: orphans.Orphan) -> str:
    """Resources with the stack's tag that no record answers for: told, and removed where their
    deletion was asked for."""
    record = store.get(orphan.id)
    if record and (record.is_running or record.status not in (Status.DELETED, Status.FAILED)):
        return ""
    torn_down = record is not None and all(r.verified_gone for r in record.resources)
    if record and (not torn_down or now() - record.updated_at < ORPHAN_PATIENCE):
        return ""
    # The tagging API goes on listing what was deleted.
    left = teardown.find_leftovers(orphan.id, record.domains if record else ())
    if not left:
        return ""
    told = "AWS has " + ", ".join(f"{item.kind} {item.name}" for item in left)
    if record is None:
        last = store.last_event(orphan.id)
        adopted = Deployment.adopt(orphan.id, orphan.owner, left, now(), last)
        return f"{told}, without a record" if store.adopt(adopted) else ""
    return _reopen(record, left, told)


def _reopen(deployment: Deployment, left: list[Leftover], told: str) -> str:
    def change(record: Deployment) -> None:
        if (record.generation, record.is_running) != (deployment.generation, False):
            raise Superseded("it is being worked on")
        if record.status is Status.DELETED:
            record.reopen(told, now())
        else:
            record.tell_leftovers(left, now())

    changed = store.update(deployment.id, change)
    if changed.is_running:
        executions.start(changed)
    return f"{told}, after its teardown"
