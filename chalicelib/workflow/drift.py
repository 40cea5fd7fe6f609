"""Did somebody change or delete a part of a serving deployment by hand?"""

from __future__ import annotations

from chalicelib.deployments.deployment import Deployment
from chalicelib.resources import listener, load_balancer, service, target_group, task_definition


def find(deployment: Deployment) -> str:
    """How AWS differs from the record, in words; empty where it does not."""
    found = service.find(deployment.id)
    if found is None or found["status"] != "ACTIVE":
        return "the service was deleted"
    if found["desiredCount"] != deployment.wanted_tasks:
        return f"the service wants {found['desiredCount']} tasks, not {deployment.wanted_tasks}"
    if found["taskDefinition"] != _recorded_revision(deployment):
        return f"the service runs {found['taskDefinition'].rsplit('/', 1)[-1]}"
    balancer = load_balancer.find(deployment.id)
    if balancer is None:
        return "the load balancer was deleted"
    group = target_group.find_arn(deployment.id)
    if group is None:
        return "the target group was deleted"
    if service.target_groups(found) != [group]:
        return "the service registers its tasks elsewhere"
    return listener.drift(deployment, balancer.arn, group)


def _recorded_revision(deployment: Deployment) -> str | None:
    """As it was rolled out, not as the spec would be registered today: a new version of Slipway
    that registers something more must not roll every service by itself."""
    made = (r for r in deployment.resources if r.kind == task_definition.KIND and not r.deleted_at)
    return next((resource.arn for resource in made), None)
