"""Did somebody change or delete a part of a serving deployment by hand?"""

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


def find(deployment: Deployment, found: dict[str, Any] | None) -> str:
    """How AWS differs from the record, in words; empty where it does not.

    `found` is the service as AWS describes it.
    """
    return _of_service(deployment, found) or _of_way_to_it(deployment, found)


def _of_service(deployment: Deployment, found: dict[str, Any] | None) -> str:
    if found is None or found["status"] != "ACTIVE":
        return "the service was deleted"
    least, most = deployment.wanted_tasks, deployment.most_tasks
    if not least <= found["desiredCount"] <= most:
        told = f"{least}" if least == most else f"{least} to {most}"
        return f"the service wants {found['desiredCount']} tasks, not {told}"
    if found["taskDefinition"] != _recorded_revision(deployment):
        return f"the service runs {found['taskDefinition'].rsplit('/', 1)[-1]}"
    return ""


def _of_way_to_it(deployment: Deployment, found: dict[str, Any] | None) -> str:
    """Load balancer, target group, listener, and the rule while it is paused."""
    balancer = load_balancer.find(deployment.id)
    if balancer is None:
        return "the load balancer was deleted"
    group = target_group.find_arn(deployment.id)
    if group is None:
        return "the target group was deleted"
    if service.target_groups(found or {}) != [group]:
        return "the service registers its tasks elsewhere"
    changed = listener.drift(deployment, balancer.arn, group)
    return changed or _of_rules(deployment) or scaling.difference(deployment)


def _of_rules(deployment: Deployment) -> str:
    front = listener.serving(deployment)
    rule = pause_rule.find(deployment, front["ListenerArn"]) if front else None
    if deployment.paused and not (rule and pause_rule.is_in_force(rule)):
        return "the listener does not answer that it is paused"
    if rule and not deployment.paused:
        return "the listener answers that it is paused"
    return ""


def _recorded_revision(deployment: Deployment) -> str | None:
    """As it was rolled out, not as the spec would be registered today: a new version of Slipway
    that registers something more must not roll every service by itself."""
    return next((made.arn for made in deployment.live(task_definition.KIND)), None)
