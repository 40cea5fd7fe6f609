"""The ECS service: it keeps the desired number of tasks running behind the target group."""

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
    """Creates the service, or updates the existing one to the spec. Does not wait for tasks."""
    definition = task_definition.find(deployment)
    if definition is None:
        raise NotReady(f"task definition {deployment.id} is not visible yet")
    service = find(deployment.id)
    if service is None or service["status"] == "INACTIVE":
        arn = _create(deployment, definition)
    elif service["status"] == "DRAINING":
        raise NotReady(f"a service named {deployment.id} is still draining")
    else:
        arn = _update(deployment, definition, service)
    return Resource(kind=KIND, name=deployment.id, arn=arn)


def _create(deployment: Deployment, definition: str) -> str:
    ecs = aws.client("ecs")
    _, group_id = security_groups.ids(deployment.id)
    try:
        answer = ecs.create_service(
            cluster=deployment.id,
            serviceName=deployment.id,
            # The token of an earlier generation still refers to the service of that time, which may
            # have been deleted by hand.
            clientToken=naming.execution(deployment.id, deployment.generation),
            taskDefinition=definition,
            desiredCount=deployment.wanted_tasks,
            launchType="FARGATE",
            deploymentConfiguration=_deployment_configuration(),
            healthCheckGracePeriodSeconds=_grace_period(deployment),
            loadBalancers=_load_balancers(deployment),
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": list(network.find().subnet_ids),
                    "securityGroups": [group_id],
                    # Without a NAT gateway, a task in a public subnet pulls its image through its
                    # own public address.
                    "assignPublicIp": "ENABLED" if settings().assign_public_ip else "DISABLED",
                }
            },
            propagateTags="SERVICE",
            tags=lower(tags_of(deployment)),
        )
    except ecs.exceptions.ClusterNotFoundException:
        raise NotReady(f"cluster {deployment.id} is not visible yet") from None
    except ecs.exceptions.InvalidParameterException as error:
        # Either the response of an earlier CreateService call was lost, or ECS does not see the
        # target group's listener yet. The next attempt resolves both.
        # https://github.com/aws/aws-cdk/issues/1160
        message = aws.message_of(error)
        passing = ("not idempotent", "associated load balancer", "still Draining")
        if any(words in message for words in passing):
            raise NotReady(message) from None
        raise
    return answer["service"]["serviceArn"]


def _update(deployment: Deployment, definition: str, service: dict[str, Any]) -> str:
    scaling.release(deployment)
    wanted = {
        "taskDefinition": definition,
        "desiredCount": _count(deployment, service),
        "healthCheckGracePeriodSeconds": _grace_period(deployment),
    }
    changes: dict[str, Any] = {k: value for k, value in wanted.items() if service.get(k) != value}
    load_balancers = _load_balancers(deployment)
    if _places(service.get("loadBalancers", [])) != _places(load_balancers):
        changes["loadBalancers"] = load_balancers  # a new target group, or another port
    given_up = any(r.get("rolloutState") == "FAILED" for r in service["deployments"][:1])
    if given_up and "taskDefinition" not in changes:
        # The circuit breaker starts no more tasks until a new ECS deployment is forced.
        changes["forceNewDeployment"] = True
    # Before the update, because tasks copy the service's tags when they start. Running tasks keep
    # their tags.
    retag_ecs(deployment, service["serviceArn"])
    ecs = aws.client("ecs")
    try:
        if changes:
            ecs.update_service(cluster=deployment.id, service=deployment.id, **changes)
    except (ecs.exceptions.ServiceNotActiveException, ecs.exceptions.ServiceNotFoundException):
        raise NotReady(f"service {deployment.id} is being deleted") from None
    return service["serviceArn"]


def _count(deployment: Deployment, service: dict[str, Any]) -> int:
    """The desired count. If the service scales, a rollout must not reset its current count."""
    if deployment.scaling:
        return deployment.scaling.hold(service["desiredCount"])
    return deployment.wanted_tasks


def _grace_period(deployment: Deployment) -> int:
    """How long ECS ignores failing health checks after a task has started.

    A model may take `grace` until it answers, and the load balancer notices a little later. A
    change of this value starts no tasks:
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
    """
    check = deployment.spec.health_check
    return check.grace + check.notice_seconds


def _load_balancers(deployment: Deployment) -> list[dict[str, Any]]:
    return [
        {
            "targetGroupArn": target_group.get_arn(deployment.id),
            "containerName": naming.CONTAINER_NAME,
            "containerPort": deployment.spec.container_port,
        }
    ]


def _places(load_balancers: list[dict[str, Any]]) -> list[tuple[str | None, int | None]]:
    return [(entry.get("targetGroupArn"), entry.get("containerPort")) for entry in load_balancers]


def target_groups(service: dict[str, Any]) -> list[str]:
    """The ARNs of the target groups in which a service registers its tasks."""
    return [entry.get("targetGroupArn", "") for entry in service.get("loadBalancers", [])]


def _deployment_configuration() -> dict[str, Any]:
    return {
        # ECS starts new tasks before it stops old ones: no request is dropped, even with one task.
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        # Slipway rolls back and reports it. ECS would report its own rollback as a success.
        "deploymentCircuitBreaker": {
            "enable": True,
            "rollback": False,
            "thresholdConfiguration": {"type": "COUNT", "value": BREAKER_FAILURES},
        },
    }


def find(deployment_id: str) -> dict[str, Any] | None:
    """ECS's description of the service, or None.

    ECS reports a missing service in `failures`; it raises no error.
    """
    ecs = aws.client("ecs")
    try:
        answer = ecs.describe_services(cluster=deployment_id, services=[deployment_id])
    except ecs.exceptions.ClusterNotFoundException:
        return None
    return answer["services"][0] if answer["services"] else None


def delete(deployment_id: str) -> None:
    """Deletes the service and its tasks. Does not wait for them. Succeeds if there is none."""
    ecs = aws.client("ecs")
    service = find(deployment_id)
    if service is None or service["status"] != "ACTIVE":
        return
    try:
        ecs.delete_service(cluster=deployment_id, service=deployment_id, force=True)
    except (ecs.exceptions.ServiceNotFoundException, ecs.exceptions.ClusterNotFoundException):
        return


def exists(deployment_id: str) -> list[str]:
    """The name of the service unless AWS deleted it: a deleted one is INACTIVE for a while."""
    service = find(deployment_id)
    return [deployment_id] if service and service["status"] != "INACTIVE" else []
