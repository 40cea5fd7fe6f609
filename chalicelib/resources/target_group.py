"""The target group: the tasks behind the load balancer, and their health check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.domain.parts import Resource, ResourceKind
from chalicelib.domain.spec.health_check import HEALTHY_THRESHOLD
from chalicelib.domain.spec.request_timeout import deregistration_delay
from chalicelib.platform import aws
from chalicelib.platform.observability import logger
from chalicelib.resources import network
from chalicelib.resources.tagging import retag_elbv2, tags_of, upper

KIND = ResourceKind.TARGET_GROUP
DELAY = "deregistration_delay.timeout_seconds"


@dataclass(frozen=True)
class Target:
    """A registered task: its address, and its health as the load balancer reports it."""

    address: str
    port: int
    state: str
    reason: str
    description: str


def ensure(deployment: Deployment) -> Resource:
    """Creates the target group, or updates the existing one to the spec."""
    elbv2 = aws.client("elbv2")
    arn = find_arn(deployment.id)
    try:
        if arn:
            elbv2.modify_target_group(TargetGroupArn=arn, **_health_check(deployment))
            retag_elbv2(deployment, arn)
        else:
            arn = _create(deployment)
        _set_delay(arn, max(map(deregistration_delay, deployment.request_timeouts)))
    except elbv2.exceptions.TargetGroupNotFoundException:
        raise NotReady(f"target group {deployment.id} is not visible yet") from None
    return Resource(kind=KIND, name=deployment.id, arn=arn)


def _create(deployment: Deployment) -> str:
    elbv2 = aws.client("elbv2")
    try:
        answer = elbv2.create_target_group(
            Name=deployment.id,
            Protocol="HTTP",
            Port=deployment.spec.container_port,
            VpcId=network.vpc_id(),
            TargetType="ip",
            HealthCheckProtocol="HTTP",
            Tags=upper(tags_of(deployment)),
            **_health_check(deployment),
        )
    except elbv2.exceptions.DuplicateTargetGroupNameException:
        raise NotReady(f"target group {deployment.id} exists but is not visible yet") from None
    return answer["TargetGroups"][0]["TargetGroupArn"]


def _health_check(deployment: Deployment) -> dict[str, Any]:
    check = deployment.spec.health_check
    return {
        "HealthCheckPath": check.path,
        "HealthCheckIntervalSeconds": check.interval,
        "HealthCheckTimeoutSeconds": check.timeout,
        "HealthyThresholdCount": HEALTHY_THRESHOLD,
        "UnhealthyThresholdCount": 2,
        "Matcher": {"HttpCode": check.status},
    }


def find_arn(deployment_id: str) -> str | None:
    """The ARN of the deployment's target group, or None."""
    elbv2 = aws.client("elbv2")
    try:
        groups = elbv2.describe_target_groups(Names=[deployment_id])["TargetGroups"]
    except elbv2.exceptions.TargetGroupNotFoundException:
        return None
    return groups[0]["TargetGroupArn"] if groups else None


def get_arn(deployment_id: str) -> str:
    """The ARN. Raises `NotReady` if AWS does not show the target group yet."""
    arn = find_arn(deployment_id)
    if arn is None:
        raise NotReady(f"target group {deployment_id} is not visible yet")
    return arn


def targets(deployment_id: str) -> list[Target]:
    """Every registered target with its health; none if there is no target group."""
    arn = find_arn(deployment_id)
    return targets_of(arn) if arn else []


def targets_of(arn: str) -> list[Target]:
    """Every target of a target group with its health; none if the target group does not exist."""
    elbv2 = aws.client("elbv2")
    try:
        answer = elbv2.describe_target_health(TargetGroupArn=arn)
    except elbv2.exceptions.TargetGroupNotFoundException:
        return []
    return [
        Target(
            address=entry["Target"]["Id"],
            port=entry["Target"].get("Port", 0),
            state=entry["TargetHealth"]["State"],
            reason=entry["TargetHealth"].get("Reason", ""),
            description=entry["TargetHealth"].get("Description", ""),
        )
        for entry in answer["TargetHealthDescriptions"]
    ]


def shorten_delay(deployment: Deployment) -> None:
    """Sets the deregistration delay of the spec, if that of the replaced version was longer.

    Raises `NotReady` while targets drain: their requests may take as long as that version allowed.
    """
    delay = deregistration_delay(deployment.spec.request_timeout)
    longest = max(map(deregistration_delay, deployment.request_timeouts))
    if delay == longest:
        return
    arn = find_arn(deployment.id)
    if arn is None:
        raise NotReady(f"target group {deployment.id} is not visible yet")
    if draining := sum(target.state == "draining" for target in targets_of(arn)):
        raise NotReady(f"{draining} target(s) finish requests that may take {longest} s")
    _set_delay(arn, delay)


def stop_draining(deployment_id: str) -> None:
    """Lets targets leave without time for their open requests; for a teardown.

    Succeeds if there is no target group, or if AWS denies the change: the teardown is only slower
    then, and the tasks must not run and cost money for that.
    """
    elbv2 = aws.client("elbv2")
    arn = find_arn(deployment_id)
    if arn is None:
        return
    try:
        _set_delay(arn, 0)
    except elbv2.exceptions.TargetGroupNotFoundException:
        return
    except elbv2.exceptions.ClientError as error:
        if aws.code_of(error) not in aws.DENIED:
            raise
        logger.warning("draining not stopped", extra={"reason": aws.message_of(error)})


def _set_delay(arn: str, seconds: int) -> None:
    aws.client("elbv2").modify_target_group_attributes(
        TargetGroupArn=arn, Attributes=[{"Key": DELAY, "Value": str(seconds)}]
    )


def delete(deployment_id: str) -> None:
    """Deletes the target group. Raises `NotReady` while AWS is deleting a listener that uses it."""
    elbv2 = aws.client("elbv2")
    arn = find_arn(deployment_id)
    if arn is None:
        return
    try:
        elbv2.delete_target_group(TargetGroupArn=arn)
    except elbv2.exceptions.ResourceInUseException:
        raise NotReady(f"a listener still uses target group {deployment_id}") from None


def exists(deployment_id: str) -> list[str]:
    """The name of the target group if it still exists."""
    return [deployment_id] if find_arn(deployment_id) else []
