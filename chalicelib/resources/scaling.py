"""Application Auto Scaling of the service.

A scalable target sets the bounds, and a target tracking policy sets the metric. AWS creates the
CloudWatch alarms of the policy (`TargetTracking-service/...`) and deletes them with the policy.
https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking.html
"""

from __future__ import annotations

from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.domain.parts import Resource, ResourceKind
from chalicelib.domain.spec.scaling import Scaling
from chalicelib.platform import aws
from chalicelib.platform.observability import logger
from chalicelib.resources import load_balancer, target_group
from chalicelib.resources.tagging import tags_of

KIND = ResourceKind.SCALABLE_TARGET
METRICS = {
    "requests_per_target": "ALBRequestCountPerTarget",
    "cpu": "ECSServiceAverageCPUUtilization",
}
# A task runs after 30 s and is a healthy target some seconds later. Before a minute has passed, the
# metric does not show the effect of the last scale-out.
SCALE_OUT_COOLDOWN_SECONDS = 60
# AWS's default. Tasks that stop too early are missing at the next peak, and a model loads slowly.
SCALE_IN_COOLDOWN_SECONDS = 300
SUSPENSIONS = (
    "DynamicScalingInSuspended",
    "DynamicScalingOutSuspended",
    "ScheduledScalingSuspended",
)
# Texts of a ValidationException about a resource that does not exist yet, or that a concurrent run
# just created.
_PASSING = ("service doesn't exist", "already exists")


def ensure(deployment: Deployment) -> list[Resource]:
    """Creates or updates the scaling of the service, or deletes it if the spec has none.

    The policy is named after the deployment ID, so a policy with another metric replaces it.
    """
    scaling = deployment.scaling
    if scaling is None:
        _delete_own(deployment)
        return []
    client = aws.client("application-autoscaling")
    try:
        arn = _register(deployment, scaling)
        client.put_scaling_policy(
            **_names(deployment.id),
            PolicyName=deployment.id,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=_tracking(deployment.id, scaling),
        )
    except client.exceptions.ObjectNotFoundException as error:
        raise NotReady(f"{deployment.id} cannot be scaled yet: {aws.message_of(error)}") from None
    except client.exceptions.ValidationException as error:
        message = aws.message_of(error)
        if any(words in message for words in _PASSING):
            raise NotReady(f"{deployment.id} cannot be scaled yet: {message}") from None
        raise
    _delete_policies(deployment.id, but=deployment.id)
    return [Resource(kind=KIND, name=deployment.id, arn=arn)]


def _register(deployment: Deployment, scaling: Scaling) -> str | None:
    """Creates the scalable target with its tags, or updates the existing one; returns its ARN.

    AWS refuses tags for an existing target, even unchanged ones. If the tags have changed, Slipway
    deletes and creates the target: scaling stops for a moment, and the task count stays.
    """
    existing = find_target(deployment.id)
    if existing and deployment.retagged:
        delete(deployment.id)
        existing = None
    tags = {} if existing else {"Tags": tags_of(deployment)}
    answer = aws.client("application-autoscaling").register_scalable_target(
        **_names(deployment.id),
        MinCapacity=scaling.min,
        MaxCapacity=scaling.max,
        SuspendedState=dict.fromkeys(SUSPENSIONS, False),
        **tags,
    )
    arn: str | None = answer.get("ScalableTargetARN")
    return arn


def _tracking(deployment_id: str, scaling: Scaling) -> dict[str, Any]:
    metric = {"PredefinedMetricType": METRICS[scaling.metric]}
    if scaling.metric == "requests_per_target":
        metric["ResourceLabel"] = _resource_label(deployment_id)
    return {
        "TargetValue": float(scaling.target),
        "PredefinedMetricSpecification": metric,
        "ScaleOutCooldown": SCALE_OUT_COOLDOWN_SECONDS,
        "ScaleInCooldown": SCALE_IN_COOLDOWN_SECONDS,
    }


def _resource_label(deployment_id: str) -> str:
    """`app/<load balancer>/<its hash>/targetgroup/<target group>/<its hash>`.

    https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PredefinedMetricSpecification.html
    """
    balancer = load_balancer.get(deployment_id).arn.partition(":loadbalancer/")[2]
    group = target_group.get_arn(deployment_id).rpartition(":")[2]
    return f"{balancer}/{group}"


def _names(deployment_id: str) -> dict[str, str]:
    return {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{deployment_id}/{deployment_id}",
        "ScalableDimension": "ecs:service:DesiredCount",
    }


def find_target(deployment_id: str) -> dict[str, Any] | None:
    """AWS's description of the scalable target, or None."""
    names = _names(deployment_id)
    targets = aws.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace=names["ServiceNamespace"],
        ResourceIds=[names["ResourceId"]],
        ScalableDimension=names["ScalableDimension"],
    )["ScalableTargets"]
    return targets[0] if targets else None


def find_policies(deployment_id: str) -> list[dict[str, Any]]:
    """AWS's description of every scaling policy of the service, created by Slipway or not."""
    client = aws.client("application-autoscaling")
    answer = client.describe_scaling_policies(**_names(deployment_id))
    policies: list[dict[str, Any]] = answer["ScalingPolicies"]
    return policies


def release(deployment: Deployment) -> None:
    """Deletes scaling that would conflict with a rollout that is about to start.

    A scalable target with other bounds would scale the service out of the new bounds. A target
    with the same bounds stays, so the service can scale during the rollout.
    """
    target = find_target(deployment.id)
    if target and not _fits(target, deployment.scaling):
        _delete_own(deployment)


def _fits(target: dict[str, Any], scaling: Scaling | None) -> bool:
    bounds = (target.get("MinCapacity"), target.get("MaxCapacity"))
    return scaling is not None and bounds == (scaling.min, scaling.max)


def difference(deployment: Deployment) -> str:
    """How the scaling of the service differs from the spec, as text; empty if it does not."""
    scaling = deployment.scaling
    if scaling is None:
        return ""
    target = find_target(deployment.id)
    if target is None:
        return "the scalable target was deleted"
    if not _fits(target, scaling):
        return f"the service scales from {target['MinCapacity']} to {target['MaxCapacity']} tasks"
    if any(target.get("SuspendedState", {}).values()):
        return "the scaling is suspended"
    policies = find_policies(deployment.id)
    own = next((p for p in policies if p["PolicyName"] == deployment.id), None)
    if own is None:
        return "the scaling policy was deleted"
    if len(policies) > 1:
        return "the service has another scaling policy"
    tracking = own.get("TargetTrackingScalingPolicyConfiguration", {})
    metric = tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    if (metric, tracking.get("TargetValue")) != (METRICS[scaling.metric], float(scaling.target)):
        return f"the scaling policy has the target {tracking.get('TargetValue')} for {metric}"
    return ""


def delete(deployment_id: str) -> None:
    """Deletes every policy of the service, then the scalable target. Succeeds if there is none.

    AWS deletes policies with the target, but only those that are visible to it by then.
    """
    _delete_policies(deployment_id)
    if find_target(deployment_id) is None:
        return
    client = aws.client("application-autoscaling")
    try:
        client.deregister_scalable_target(**_names(deployment_id))
    except client.exceptions.ObjectNotFoundException:
        return


def _delete_own(deployment: Deployment) -> None:
    """Deletes the scaling like `delete`, but keeps a scalable target that Slipway did not create.

    Such a target lacks the stack's tag, so AWS denies the call. It must not stop the deployment.
    """
    from botocore.exceptions import ClientError

    try:
        delete(deployment.id)
    except ClientError as error:
        if deployment.scaling or deployment.live(KIND) or aws.code_of(error) not in aws.DENIED:
            raise
        logger.warning("foreign scaling kept", extra={"deployment": deployment.id})


def _delete_policies(deployment_id: str, but: str = "") -> None:
    """Deletes every policy except `but`.

    Policies with other names were created by hand, and would scale the service too.
    """
    client = aws.client("application-autoscaling")
    names = [policy["PolicyName"] for policy in find_policies(deployment_id)]
    for name in (name for name in names if name != but):
        try:
            client.delete_scaling_policy(**_names(deployment_id), PolicyName=name)
        except client.exceptions.ObjectNotFoundException:
            continue


def exists(deployment_id: str) -> list[str]:
    """The deployment ID if the service still has a scalable target or a scaling policy."""
    remains = find_target(deployment_id) or find_policies(deployment_id)
    return [deployment_id] if remains else []
