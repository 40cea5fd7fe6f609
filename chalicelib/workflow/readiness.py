"""Check once whether a deployment is ready: load balancer active, tasks healthy, no crash loop."""

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

# Of 18 load balancers measured, none was active before 92 s. Until then, check rarely.
EARLIEST_ACTIVE = timedelta(seconds=85)


def await_ready(deployment: Deployment) -> Outcome:
    """Succeeds when the URL can serve requests.

    Raises `NotReady` or `StillProvisioning` until then.
    Raises `DeploymentFailed` if AWS could not provision the load balancer, or if the service cannot
    start (see `diagnosis.check_service`).
    """
    balancer = load_balancer.get(deployment.id)
    if balancer.state == "failed":
        raise DeploymentFailed(
            FailureCode.CAPACITY_UNAVAILABLE,
            f"AWS could not provision the load balancer: {balancer.reason.rstrip('.')}.",
            hint="Retry later, or ask your platform team for other subnets.",
            evidence={"load_balancer_state": balancer.state, "reason": balancer.reason},
        )
    described = service.find(deployment.id)
    targets = target_group.targets(deployment.id)
    if described:
        diagnosis.check_service(deployment, described)
    waiting = _waiting_for_tasks(deployment, described, targets)
    evidence = _evidence(deployment, described, targets)
    if balancer.state not in ("active", "active_impaired"):
        message = f"load balancer is {balancer.state}" + (f", {waiting}" if waiting else "")
        created = next((r.created_at for r in deployment.live(load_balancer.KIND)), None)
        if created and clock.now() - created < EARLIEST_ACTIVE:
            raise StillProvisioning(message, evidence=evidence)
        raise NotReady(message, evidence=evidence)
    if waiting:
        raise NotReady(waiting, evidence=evidence)

    def change(record: Deployment) -> None:
        if record.spec.domain is None:  # else `domain_binding` sets the URL
            record.url = balancer.url(record.spec)

    return Outcome(message=f"{deployment.wanted_tasks} task(s) healthy", change=change)


def _waiting_for_tasks(
    deployment: Deployment, described: dict[str, Any] | None, targets: list[Target]
) -> str:
    """What the service still waits for; empty when every wanted task is a healthy target.

    Only targets that are tasks of the current task definition count. The tasks of the previous
    version must be gone, so that only the requested version serves.
    """
    # With autoscaling, any number of tasks between the two bounds is ready.
    wanted, most = deployment.wanted_tasks, deployment.most_tasks
    if described is None or described["status"] != "ACTIVE":
        return "the service is not active yet"
    rollouts = described["deployments"]
    running = next((d["runningCount"] for d in rollouts if d["status"] == "PRIMARY"), 0)
    if running < wanted:
        return f"{running} of {wanted} tasks running"
    if extra := max(described["runningCount"] - min(running, most), 0):
        return f"waiting for {extra} task(s) to stop"
    healthy = {target.address for target in targets if target.state == "healthy"}
    serving = sum(
        tasks.address(task) in healthy
        for task in tasks.describe(deployment.id, desired=("RUNNING",))
        if task["taskDefinitionArn"] == described["taskDefinition"]
    )
    if serving < wanted:
        reasons = ", ".join(sorted({target.reason for target in targets if target.reason}))
        return f"{serving} of {wanted} tasks healthy" + (f" ({reasons})" if reasons else "")
    if not wanted and (unstopped := tasks.unstopped(deployment.id)):
        return f"waiting for {len(unstopped)} task(s) to stop"
    if extra := max(len(healthy) - min(serving, most), 0):
        return f"waiting for {extra} target(s) to deregister"
    return ""


def _evidence(
    deployment: Deployment, described: dict[str, Any] | None, targets: list[Target]
) -> dict[str, Any]:
    """Why the deployment is not ready, saved now because AWS forgets it."""
    evidence: dict[str, Any] = {"service_events": diagnosis.service_events(described)}
    unhealthy = [target for target in targets if target.state == "unhealthy"]
    if unhealthy:
        evidence["target_health"] = [asdict(target) for target in unhealthy]
    if clock.now() > deployment.operation.deadline:
        evidence["log_lines"] = diagnosis.log_lines(deployment.id)
    return evidence
