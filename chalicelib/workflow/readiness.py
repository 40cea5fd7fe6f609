"""Is the deployment ready? Load balancer active, wanted tasks healthy, no crash loop: one look."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from chalicelib.clock import now
from chalicelib.deployments.deployment import Deployment
from chalicelib.deployments.errors import DeploymentFailed, FailureCode, NotReady, StillProvisioning
from chalicelib.deployments.parts import Resource
from chalicelib.resources import load_balancer, service, target_group, tasks
from chalicelib.workflow import diagnosis
from chalicelib.workflow.step import Outcome

# No load balancer of 18 that were measured was active before 92 s: until then look rarely.
EARLIEST_ACTIVE = timedelta(seconds=85)
CRASH_LOOP = 3


def await_ready(deployment: Deployment) -> Outcome:
    """Succeeds when the URL can be asked; raises `NotReady` or `StillProvisioning` until then.

    Raises `DeploymentFailed` when AWS gave the load balancer up, or after the third task of
    this operation that stopped by itself.
    """
    balancer = load_balancer.get(deployment.id)
    if balancer.state == "failed":
        raise DeploymentFailed(
            FailureCode.CAPACITY_UNAVAILABLE,
            f"AWS could not provision the load balancer: {balancer.reason}",
            hint="Try again later, or in other subnets.",
            evidence={"load_balancer_state": balancer.state, "reason": balancer.reason},
        )
    found = service.find(deployment.id)
    if found:
        _check_crash_loop(deployment, found)
    waiting = _waiting_for_tasks(deployment, found)
    if balancer.state not in ("active", "active_impaired"):
        message = f"load balancer is {balancer.state}" + (f", {waiting}" if waiting else "")
        created = _created_at(deployment.resources, load_balancer.KIND)
        if created and now() - created < EARLIEST_ACTIVE:
            raise StillProvisioning(message)
        raise NotReady(message)
    if waiting:
        raise NotReady(waiting)

    def change(record: Deployment) -> None:
        record.url = balancer.url

    return Outcome(message=f"{deployment.spec.count} healthy", change=change)


def _waiting_for_tasks(deployment: Deployment, found: dict[str, Any] | None) -> str:
    """What the service still lacks, in words; empty when every wanted task is a healthy target.

    Targets are held against the tasks of this version, and those of the version before must
    have gone: what answers must be what was asked for.
    """
    wanted = deployment.spec.count
    if found is None or found["status"] != "ACTIVE":
        return "the service is not there yet"
    running = next((d["runningCount"] for d in found["deployments"] if d["status"] == "PRIMARY"), 0)
    if running < wanted:
        return f"{running} of {wanted} tasks running"
    if found["runningCount"] > wanted:
        return f"{found['runningCount'] - wanted} task(s) still to stop"
    targets = target_group.targets(deployment.id)
    healthy = {target.address for target in targets if target.state == "healthy"}
    serving = sum(
        tasks.address(task) in healthy
        for task in tasks.describe(deployment.id, desired=("RUNNING",))
        if task["taskDefinitionArn"] == found["taskDefinition"]
    )
    if serving < wanted:
        reasons = ", ".join(sorted({target.reason for target in targets if target.reason}))
        return f"{serving} of {wanted} tasks healthy" + (f" ({reasons})" if reasons else "")
    if len(healthy) > wanted:
        return f"{len(healthy) - wanted} target(s) still to leave"
    return ""


def _check_crash_loop(deployment: Deployment, found: dict[str, Any]) -> None:
    """Only tasks of the version in service: those of a failed one do not fail the way back."""
    stopped = [
        task
        for task in tasks.describe(deployment.id, desired=("STOPPED",))
        if task["lastStatus"] == "STOPPED"
        and task["taskDefinitionArn"] == found["taskDefinition"]
        and task.get("createdAt", now()) >= deployment.operation.started_at
        and diagnosis.stopped_by_itself(task)
    ]
    if len(stopped) >= CRASH_LOOP:
        raise diagnosis.of_stopped_tasks(deployment.id, stopped)


def _created_at(resources: list[Resource], kind: str) -> datetime | None:
    moments = (r.created_at for r in resources if r.kind == kind and not r.deleted_at)
    return next(moments, None)
