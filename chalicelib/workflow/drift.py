"""Finds resources of a deployment that somebody changed or deleted by hand."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.resources import (
    listener,
    load_balancer,
    pause_rule,
    scaling,
    service,
    target_group,
    task_definition,
)


def find(deployment: Deployment, ecs_service: dict[str, Any] | None) -> str:
    """A text that says how AWS differs from the record; empty if it does not.

    `ecs_service` is the service as ECS describes it, or None.
    """
    if ecs_service is None or ecs_service["status"] != "ACTIVE":
        return "the service was deleted"
    return _of_service(deployment, ecs_service) or _of_route(deployment, ecs_service)


def _of_service(deployment: Deployment, ecs_service: dict[str, Any]) -> str:
    least, most = deployment.wanted_tasks, deployment.most_tasks
    if not least <= ecs_service["desiredCount"] <= most:
        expected = f"{least}" if least == most else f"{least} to {most}"
        return f"the desired count of the service is {ecs_service['desiredCount']}, not {expected}"
    if ecs_service["taskDefinition"] != _recorded_revision(deployment):
        revision = ecs_service["taskDefinition"].rsplit("/", 1)[-1]
        return f"the service runs another task definition revision: {revision}"
    return ""


def _of_route(deployment: Deployment, ecs_service: dict[str, Any]) -> str:
    """Load balancer, target group, listener, and the pause rule."""
    balancer = load_balancer.find(deployment.id)
    if balancer is None:
        return "the load balancer was deleted"
    group = target_group.find_arn(deployment.id)
    if group is None:
        return "the target group was deleted"
    if service.target_groups(ecs_service) != [group]:
        return "the service registers its tasks in another target group"
    changed = listener.drift(deployment, balancer.arn, group)
    return changed or _of_rules(deployment) or scaling.difference(deployment)


def _of_rules(deployment: Deployment) -> str:
    front = listener.serving(deployment)
    rule = pause_rule.find(deployment, front["ListenerArn"]) if front else None
    if deployment.paused and not (rule and pause_rule.is_in_force(rule)):
        return "the listener does not return 503, although the deployment is paused"
    if rule and not deployment.paused:
        return "the listener returns 503, although the deployment is not paused"
    return ""


def _recorded_revision(deployment: Deployment) -> str | None:
    """The revision that was rolled out, not what the spec would give now.

    A new version of Slipway may register more. It must not roll out every service by itself.
    """
    revisions = deployment.live(task_definition.KIND)
    return revisions[0].arn if revisions else None
