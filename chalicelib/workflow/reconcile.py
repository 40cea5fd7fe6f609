"""The reconciler: compares the records with AWS, and repairs or reports differences.

It runs every five minutes, and when an execution fails. It only changes records and starts
executions; AWS resources are changed by the steps of the executions. So it may die anywhere, run
twice, and run concurrently with anything else.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from chalicelib.domain import naming
from chalicelib.domain.deployment import SETTLED, Deployment
from chalicelib.domain.errors import Superseded
from chalicelib.domain.health import CHECK_INTERVAL
from chalicelib.domain.operation import Path
from chalicelib.domain.parts import Leftover
from chalicelib.domain.rates import hourly_rate
from chalicelib.domain.record import Status
from chalicelib.domain.spec import time_to_live
from chalicelib.platform import clock
from chalicelib.platform.observability import logger
from chalicelib.resources import service
from chalicelib.store import deployments as store
from chalicelib.workflow import drift, executions, lifecycle, orphans, teardown

# The API starts an execution right after it writes the record. For this long it may still do so.
START_PATIENCE = timedelta(seconds=60)
# Steps end an operation at its deadline. If they have not done so by then, the execution hangs.
OVERDUE = timedelta(minutes=15)
# If executions of an operation die this often, another one does not help.
MOST_TAKEOVERS = 3
# The tagging API lists deleted resources for a while, and a teardown may just have ended.
# https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
ORPHAN_PATIENCE = timedelta(minutes=10)

EXPIRED = "the time to live has passed"

Finding = dict[str, str]


def run(event: dict[str, Any]) -> dict[str, Any]:
    """Checks every deployment, or the one whose execution the event is about.

    Args:
        event: from EventBridge: of a schedule, or a "Step Functions Execution Status Change".

    Returns:
        `{"checked": how many deployments, "findings": [{deployment, finding}]}`, as logged.
    """
    execution = event.get("detail", {}).get("executionArn", "") if event else ""
    if execution:
        deployment_id = execution.rsplit(":", 1)[-1].rpartition("-")[0]
        deployment = store.get(deployment_id)
        findings = _each([deployment] if deployment else [], _check)
        checked = 1
    else:
        deployments = list(store.all_deployments())
        checked = len(deployments)
        findings = _each(deployments, _check) + _check_orphans()
    return {"checked": checked, "findings": findings}


def _each(items: Iterable[Any], check: Callable[[Any], str]) -> list[Finding]:
    """The findings of `check` for all items. If one cannot be checked, the others still are."""
    findings = []
    for item in items:
        try:
            finding = check(item)
        except Superseded:
            continue  # the record changed in the meantime: the next run checks it again
        except Exception as error:
            logger.exception("not reconciled", extra={"deployment": item.id})
            finding = f"could not be checked: {error}"
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
        return _check_drift(deployment) or _begin_checks(deployment)
    return ""


def _begin_checks(deployment: Deployment) -> str:
    """Starts the checks of health of a record that a version without them has written.

    The first ones are spread over the interval, because AWS limits the account's reads.
    """
    if deployment.can_be_checked and deployment.health_due_at is None:
        due = zlib.crc32(deployment.id.encode()) % CHECK_INTERVAL.seconds

        def change(record: Deployment) -> None:
            if not record.can_be_checked:
                raise Superseded("the deployment is being changed")
            record.request_check(clock.now() + timedelta(seconds=due))

        store.update(deployment.id, change)
    return ""


# --- time to live --------------------------------------------------------------------------


def _check_expiry(deployment: Deployment) -> str:
    """Tears down an expired deployment in any status. Announces the expiry an hour before."""
    moment = clock.now()
    if not deployment.expires_at or moment < deployment.expires_at - time_to_live.NOTICE:
        return ""
    if moment < deployment.expires_at:
        if not deployment.expiry_told:
            store.update(deployment.id, lambda record: record.announce_expiry(clock.now()))
        return ""
    if deployment.status in (Status.DELETING, Status.DELETE_FAILED):
        return ""

    def change(record: Deployment) -> None:
        if not record.expires_at or clock.now() < record.expires_at:
            raise Superseded("the time to live was extended")
        if not record.delete(clock.now(), EXPIRED):
            raise Superseded("the deployment is already being deleted")

    executions.start(store.update(deployment.id, change))
    return EXPIRED


# --- executions ----------------------------------------------------------------------------


def _check_execution(deployment: Deployment) -> str:
    """A running operation needs a running execution."""
    moment, generation = clock.now(), deployment.generation
    status = executions.status(deployment.id, generation)
    if status is None:
        if moment - deployment.updated_at < START_PATIENCE:
            return ""
        if moment <= deployment.operation.deadline:
            executions.start(deployment)
            return "the execution was never started"
        status = "could not be started"
    if status == "RUNNING":
        if moment < deployment.operation.deadline + OVERDUE:
            return ""
        executions.stop(deployment.id, generation)
        status = "overdue"
    return _continue(
        deployment, f"execution {naming.execution(deployment.id, generation)} {status}"
    )


def _continue(deployment: Deployment, reason: str) -> str:
    """Starts another execution: a rollback or teardown if the operation can no longer succeed."""
    generation, path = deployment.generation, deployment.operation.path
    destroying = path is Path.DESTROY
    leftovers = (
        teardown.find_leftovers_or_unknown(deployment.id, deployment.domains) if destroying else []
    )

    def change(record: Deployment) -> None:
        operation = record.operation
        if (record.generation, operation.path, record.is_running) != (generation, path, True):
            raise Superseded("the execution has ended in the meantime")
        # It died after it recorded the failure and before it switched the path.
        failed = path is Path.CONVERGE and record.failure is not None
        late = clock.now() > operation.deadline
        if failed or late or operation.takeovers >= MOST_TAKEOVERS:
            lifecycle.turn(record, {"Error": "ExecutionDied", "Cause": reason}, leftovers)
        if record.is_running:
            record.continue_operation(reason, clock.now())

    continued = store.update(deployment.id, change)
    if continued.is_running:
        executions.start(continued)
    return reason


# --- drift ---------------------------------------------------------------------------------


def _check_drift(deployment: Deployment) -> str:
    """Repairs an ACTIVE or PAUSED deployment after somebody changed or deleted a resource by hand.

    The repair ends with the same status.
    """
    ecs_service = service.find(deployment.id)
    reason = drift.find(deployment, ecs_service)
    if not reason:
        if ecs_service and deployment.scaling:
            _follow_cost(deployment, ecs_service["desiredCount"])
        return ""

    def change(record: Deployment) -> None:
        if (record.generation, record.status) != (deployment.generation, deployment.status):
            raise Superseded("the deployment is being changed")
        record.repair(reason, clock.now())

    executions.start(store.update(deployment.id, change))
    return reason


def _follow_cost(deployment: Deployment, tasks: int) -> None:
    """Sets the cost meter to the number of tasks that the scaling wants now."""
    rate = hourly_rate(deployment.spec, tasks)
    if rate == deployment.meter.usd_per_hour:
        return

    def change(record: Deployment) -> None:
        if (record.generation, record.status) != (deployment.generation, Status.ACTIVE):
            raise Superseded("the deployment is being changed")
        record.meter.set_rate(rate, clock.now())

    store.update(deployment.id, change)


# --- resources without a record ------------------------------------------------------------


def _check_orphans() -> list[Finding]:
    try:
        listed = orphans.find()
    except Exception:
        logger.exception("orphans not looked for")  # the next run tries again
        return []
    return _each(listed, _check_orphan)


def _check_orphan(orphan: orphans.Orphan) -> str:
    """Reports resources with the stack's tag that no live record covers. They are removed if the
    deletion of their deployment was requested."""
    record = store.get(orphan.id)
    if record and (record.is_running or record.status not in (Status.DELETED, Status.FAILED)):
        return ""
    torn_down = record is not None and all(r.verified_gone for r in record.resources)
    if record and (not torn_down or clock.now() - record.updated_at < ORPHAN_PATIENCE):
        return ""
    # The tagging API also lists resources that are already deleted.
    leftovers = teardown.find_leftovers(orphan.id, record.domains if record else ())
    if not leftovers:
        return ""
    finding = "AWS has " + ", ".join(f"{item.kind} {item.name}" for item in leftovers)
    if record is None:
        last = store.last_event(orphan.id)
        adopted = Deployment.adopt(orphan.id, orphan.owner, leftovers, clock.now(), last)
        return f"{finding}, but the table has no record" if store.adopt(adopted) else ""
    return _report(record, leftovers, finding)


def _report(deployment: Deployment, leftovers: list[Leftover], finding: str) -> str:
    """Tears a DELETED deployment down again; reports the leftovers of a FAILED one."""

    def change(record: Deployment) -> None:
        if (record.generation, record.is_running) != (deployment.generation, False):
            raise Superseded("an operation has started")
        if record.status is Status.DELETED:
            record.restart_teardown(finding, clock.now())
        else:
            record.report_leftovers(leftovers, clock.now())

    changed = store.update(deployment.id, change)
    if changed.is_running:
        executions.start(changed)
    return f"{finding}, after the teardown"
