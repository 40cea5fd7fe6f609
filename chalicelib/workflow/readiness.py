"""Check once whether a deployment is ready: load balancer active, tasks healthy, no crash loop."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode, NotReady, StillProvisioning
from chalicelib.platform import clock
from chalicelib.resources import load_balancer, service, target_group, tasks
from chalicelib.resources.target_group import Target
from chalicelib.workflow.diagnosis import diagnosis, health_results
from chalicelib.workflow.step import Outcome

# Of 18 load balancers measured, none was active before 92 s. Until then, check rarely.
EARLIEST_ACTIVE = timedelta(seconds=85)


def await_ready(deployment: Deployment) -> Outcome:
    """Succeeds when the URL can serve requests.

    Raises `NotReady` or `StillProvisioning` until then.
    Raises `DeploymentFailed` if AWS could not provision the load balancer, or if the service cannot
    start or serve (see `diagnosis.check_service` and `diagnosis.check_health`).
    """
    described = service.find(deployment.id)
    if described:
        # Before the load balancer, because exits and pull errors do not depend on it.
        diagnosis.check_service(deployment, described)
    balancer = load_balancer.get(deployment.id)
    if balancer.state == "failed":
        raise DeploymentFailed(
            FailureCode.CAPACITY_UNAVAILABLE,
            f"AWS could not provision the load balancer: {balancer.reason.rstrip('.')}.",
            hint="Retry later, or ask your platform team for other subnets.",
            evidence={"load_balancer_state": balancer.state, "reason": balancer.reason},
        )
    look = _look(deployment, described)
    if described:
        diagnosis.check_health(deployment, described, look.started, look.results)
    waiting = _waiting_for_tasks(deployment, described, look)
    evidence = _evidence(deployment, described, look)
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


@dataclass(frozen=True)
class Look:
    """What AWS says at this moment.

    Attributes:
        targets: every target, also those of the previous version.
        own: the running tasks of the service's task definition, as ECS describes them.
        started: those of them that this operation started.
        results: what health checks have said about them until now.
    """

    targets: list[Target]
    own: list[dict[str, Any]]
    started: list[dict[str, Any]]
    results: health_results.Results


def _look(deployment: Deployment, described: dict[str, Any] | None) -> Look:
    targets = target_group.targets(deployment.id)
    running = tasks.describe(deployment.id, desired=("RUNNING",)) if described else []
    definition = (described or {}).get("taskDefinition")
    own = [task for task in running if task["taskDefinitionArn"] == definition]
    since = diagnosis.began_at(deployment)
    started = [task for task in own if task.get("createdAt", clock.now()) >= since]
    results = health_results.observe(deployment, started, targets)
    return Look(targets, own, started, results)


def _waiting_for_tasks(deployment: Deployment, described: dict[str, Any] | None, look: Look) -> str:
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
    healthy = {target.address for target in look.targets if target.state == "healthy"}
    serving = sum(tasks.address(task) in healthy for task in look.own)
    if serving < wanted:
        return f"{serving} of {wanted} tasks healthy{_reasons(look)}"
    if extra := max(described["runningCount"] - min(running, most), 0):
        return f"waiting for {extra} task(s) to stop"
    if not wanted and (unstopped := tasks.unstopped(deployment.id)):
        return f"waiting for {len(unstopped)} task(s) to stop"
    if extra := max(len(healthy) - min(serving, most), 0):
        return f"waiting for {extra} target(s) to deregister"
    return ""


def _reasons(look: Look) -> str:
    """Why tasks of this version are not healthy, in parentheses; empty if they are."""
    addresses = {tasks.address(task) for task in look.own}
    targets = (each for each in look.targets if each.address in addresses)
    reasons = sorted({words for each in targets if (words := health_results.words(each))})
    return f" ({', '.join(reasons)})" if reasons else ""


def _evidence(
    deployment: Deployment, described: dict[str, Any] | None, look: Look
) -> dict[str, Any]:
    """Why the deployment is not ready, saved now because AWS forgets it."""
    evidence: dict[str, Any] = {"service_events": diagnosis.service_events(described)}
    unhealthy = [target for target in look.targets if target.state == "unhealthy"]
    if unhealthy:
        evidence["target_health"] = [asdict(target) for target in unhealthy]
    if clock.now() > deployment.operation.deadline:
        evidence["log_lines"] = diagnosis.log_lines(deployment.id)
    return evidence | health_results.as_evidence(look.results)
