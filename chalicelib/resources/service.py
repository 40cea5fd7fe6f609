"""The ECS service: it keeps the wanted number of tasks running behind the target group."""

from __future__ import annotations

from typing import Any

from chalicelib.domain import naming
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.domain.parts import Resource, ResourceKind
from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.resources import network, scaling, security_groups, target_group, task_definition
from chalicelib.resources.tagging import lower, retag_ecs, tags_of

KIND = ResourceKind.SERVICE
BREAKER_FAILURES = 3


def ensure(deployment: Deployment) -> Resource:
    """Creates the service, or rolls the one of this name to the spec; does not wait for tasks."""
    definition = task_definition.find(deployment)
    if definition is None:
        raise NotReady(f"task definition {deployment.id} is not visible yet")
    found = find(deployment.id)
    if found is None or found["status"] == "INACTIVE":
        arn = _create(deployment, definition)
    elif found["status"] == "DRAINING":
        raise NotReady(f"a service named {deployment.id} is still draining")
    else:
        arn = _update(deployment, definition, found)
    return Resource(kind=KIND, name=deployment.id, arn=arn)


def _create(deployment: Deployment, definition: str) -> str:
    ecs, spec = aws.client("ecs"), deployment.spec
    _, group_id = security_groups.ids(deployment.id)
    try:
        answer = ecs.create_service(
            cluster=deployment.id,
            serviceName=deployment.id,
            # Another one after a service was deleted by hand: the old one stands for that.
            clientToken=naming.execution(deployment.id, deployment.generation),
            taskDefinition=definition,
            desiredCount=deployment.wanted_tasks,
            launchType="FARGATE",
            deploymentConfiguration=_deployment_configuration(),
            healthCheckGracePeriodSeconds=spec.health_check.grace,
            loadBalancers=_load_balancers(deployment),
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": list(network.find().subnet_ids),
                    "securityGroups": [group_id],
                    # Without a NAT gateway a task in a public subnet pulls through its own address.
                    "assignPublicIp": "ENABLED" if settings().assign_public_ip else "DISABLED",
                }
            },
            propagateTags="SERVICE",
            tags=lower(tags_of(deployment)),
        )
    except ecs.exceptions.ClusterNotFoundException:
        raise NotReady(f"cluster {deployment.id} is not visible yet") from None
    except ecs.exceptions.InvalidParameterException as error:
        # The service was created by a run of this step whose answer was lost, or the target
        # group's listener is not visible to ECS yet: the next look finds out which.
        # https://github.com/aws/aws-cdk/issues/1160
        message = aws.message_of(error)
        passing = ("not idempotent", "associated load balancer", "still Draining")
        if any(words in message for words in passing):
            raise NotReady(message) from None
        raise
    return answer["service"]["serviceArn"]


def _update(deployment: Deployment, definition: str, found: dict[str, Any]) -> str:
    scaling.release(deployment)
    wanted = {
        "taskDefinition": definition,
        "desiredCount": _count(deployment, found),
        "healthCheckGracePeriodSeconds": deployment.spec.health_check.grace,
    }
    changes: dict[str, Any] = {k: value for k, value in wanted.items() if found.get(k) != value}
    load_balancers = _load_balancers(deployment)
    if _places(found.get("loadBalancers", [])) != _places(load_balancers):
        changes["loadBalancers"] = load_balancers  # the group was made anew, or the port is another
    given_up = any(r.get("rolloutState") == "FAILED" for r in found["deployments"][:1])
    if given_up and "taskDefinition" not in changes:
        # The circuit breaker starts no more tasks until it is told to begin anew.
        changes["forceNewDeployment"] = True
    # First, for tasks take the service's tags when they start. Those that run keep theirs.
    retag_ecs(deployment, found["serviceArn"])
    ecs = aws.client("ecs")
    try:
        if changes:
            ecs.update_service(cluster=deployment.id, service=deployment.id, **changes)
    except (ecs.exceptions.ServiceNotActiveException, ecs.exceptions.ServiceNotFoundException):
        raise NotReady(f"service {deployment.id} is being deleted") from None
    return found["serviceArn"]


def _count(deployment: Deployment, found: dict[str, Any]) -> int:
    """Where the service scales by itself, a rollout must not throw its live count back."""
    if deployment.scaling:
        return deployment.scaling.hold(found["desiredCount"])
    return deployment.wanted_tasks


def _load_balancers(deployment: Deployment) -> list[dict[str, Any]]:
    return [
        {
            "targetGroupArn": target_group.get_arn(deployment.id),
            "containerName": naming.CONTAINER_NAME,
            "containerPort": deployment.spec.port,
        }
    ]


def _places(load_balancers: list[dict[str, Any]]) -> list[tuple[str | None, int | None]]:
    return [(entry.get("targetGroupArn"), entry.get("containerPort")) for entry in load_balancers]


def target_groups(found: dict[str, Any]) -> list[str]:
    """ARNs of the target groups in which a service registers its tasks."""
    return [entry.get("targetGroupArn", "") for entry in found.get("loadBalancers", [])]


def _deployment_configuration() -> dict[str, Any]:
    return {
        # New tasks first, then the old ones go: no request is dropped, and one task is enough.
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        # Rolling back is ours to do and to tell: ECS would report its own as a success.
        "deploymentCircuitBreaker": {
            "enable": True,
            "rollback": False,
            "thresholdConfiguration": {"type": "COUNT", "value": BREAKER_FAILURES},
        },
    }


def find(deployment_id: str) -> dict[str, Any] | None:
    """The service as ECS describes it, or None: a missing one is told in `failures`, not raised."""
    ecs = aws.client("ecs")
    try:
        answer = ecs.describe_services(cluster=deployment_id, services=[deployment_id])
    except ecs.exceptions.ClusterNotFoundException:
        return None
    return answer["services"][0] if answer["services"] else None


def delete(deployment_id: str) -> None:
    """Deletes the service with its tasks; it drains by itself. Succeeds where there is none."""
    ecs = aws.client("ecs")
    found = find(deployment_id)
    if found is None or found["status"] != "ACTIVE":
        return
    try:
        ecs.delete_service(cluster=deployment_id, service=deployment_id, force=True)
    except (ecs.exceptions.ServiceNotFoundException, ecs.exceptions.ClusterNotFoundException):
        return


def exists(deployment_id: str) -> list[str]:
    """The name of the service if it lives: AWS shows a deleted one as INACTIVE for a while."""
    found = find(deployment_id)
    return [deployment_id] if found and found["status"] != "INACTIVE" else []
