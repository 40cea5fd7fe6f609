"""Is the deployment ready? Load balancer active, wanted tasks healthy, no crash loop: one look."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode, NotReady, StillProvisioning
from chalicelib.platform import clock
from chalicelib.resources import load_balancer, service, target_group, tasks
from chalicelib.resources.target_group import Target
from chalicelib.workflow import diagnosis
from chalicelib.workflow.step import Outcome

# No load balancer of 18 that were measured was active before 92 s: until then look rarely.
EARLIEST_ACTIVE = timedelta(seconds=85)


def await_ready(deployment: Deployment) -> Outcome:
    """Succeeds when the URL can be asked; raises `NotReady` or `StillProvisioning` until then.

    Raises `DeploymentFailed` when AWS gave the load balancer up, or when the service cannot come
    up (see `diagnosis.check_service`).
    """
    balancer = load_balancer.get(deployment.id)
    if balancer.state == "failed":
        raise DeploymentFailed(
            FailureCode.CAPACITY_UNAVAILABLE,
            f"AWS could not provision the load balancer: {balancer.reason.rstrip('.')}.",
            hint="Retry later, or ask the platform team for other subnets.",
            evidence={"load_balancer_state": balancer.state, "reason": balancer.reason},
        )
    found = service.find(deployment.id)
    targets = target_group.targets(deployment.id)
    if found:
        diagnosis.check_service(deployment, found)
    waiting = _waiting_for_tasks(deployment, found, targets)
    evidence = _evidence(deployment, found, targets)
    if balancer.state not in ("active", "active_impaired"):
        message = f"load balancer is {balancer.state}" + (f", {waiting}" if waiting else "")
        created = next((r.created_at for r in deployment.live(load_balancer.KIND)), None)
        if created and clock.now() - created < EARLIEST_ACTIVE:
            raise StillProvisioning(message, evidence=evidence)
        raise NotReady(message, evidence=evidence)
    if waiting:
        raise NotReady(waiting, evidence=evidence)

    def change(record: Deployment) -> None:
        if record.spec.domain is None:  # else it is told when the domain leads here
            record.url = balancer.url(record.spec)

    return Outcome(message=f"{deployment.wanted_tasks} healthy", change=change)


def _waiting_for_tasks(
    deployment: Deployment, found: dict[str, Any] | None, targets: list[Target]
) -> str:
    """What the service still lacks, in words; empty when every wanted task is a healthy target.

    Targets are held against the tasks of this version, and those of the version before must
    have gone: what answers must be what was asked for.
    """
    # Where the service scales by itself, that it does so meanwhile makes it no less ready.
    wanted, most = deployment.wanted_tasks, deployment.most_tasks
    if found is None or found["status"] != "ACTIVE":
        return "the service is not there yet"
    running = next((d["runningCount"] for d in found["deployments"] if d["status"] == "PRIMARY"), 0)
    if running < wanted:
        return f"{running} of {wanted} tasks running"
    if extra := max(found["runningCount"] - min(running, most), 0):
        return f"{extra} task(s) still to stop"
    healthy = {target.address for target in targets if target.state == "healthy"}
    serving = sum(
        tasks.address(task) in healthy
        for task in tasks.describe(deployment.id, desired=("RUNNING",))
        if task["taskDefinitionArn"] == found["taskDefinition"]
    )
    if serving < wanted:
        reasons = ", ".join(sorted({target.reason for target in targets if target.reason}))
        return f"{serving} of {wanted} tasks healthy" + (f" ({reasons})" if reasons else "")
    if not wanted and (left := tasks.unstopped(deployment.id)):
        return f"{len(left)} task(s) still to stop"
    if extra := max(len(healthy) - min(serving, most), 0):
        return f"{extra} target(s) still to leave"
    return ""


def _evidence(
    deployment: Deployment, found: dict[str, Any] | None, targets: list[Target]
) -> dict[str, Any]:
    """What would be gone by the time that somebody asks why it was never ready."""
    evidence: dict[str, Any] = {"service_events": diagnosis.service_events(found)}
    unhealthy = [target for target in targets if target.state == "unhealthy"]
    if unhealthy:
        evidence["target_health"] = [asdict(target) for target in unhealthy]
    if clock.now() > deployment.operation.deadline:
        evidence["log_lines"] = diagnosis.log_lines(deployment.id)
    return evidence
