"""Application Auto Scaling: a scalable target says between which bounds the service may scale, a
target tracking policy after which metric.

AWS makes the policy's CloudWatch alarms itself (`TargetTracking-service/...`) and deletes them with
it. https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking.html
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
# A task runs after half a minute and is a healthy target some seconds later: sooner than in a
# minute the metric does not show what the last scale-out did.
SCALE_OUT_COOLDOWN_SECONDS = 60
# Tasks that go too soon are missed at the next peak, and a model is slow to load: AWS's default.
SCALE_IN_COOLDOWN_SECONDS = 300
SUSPENSIONS = (
    "DynamicScalingInSuspended",
    "DynamicScalingOutSuspended",
    "ScheduledScalingSuspended",
)
# What AWS says, in a ValidationException, of what is not there yet or was just made by another run.
_PASSING = ("service doesn't exist", "already exists")


def ensure(deployment: Deployment) -> list[Resource]:
    """Has the service scale as the deployment asks for; takes the scaling away where it does not.

    The policy is named by the deployment's id whatever its metric, so another metric replaces it.
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
    """Makes the scalable target with its tags, or changes the present one; its ARN.

    AWS refuses tags for one that exists, though they be the same. So where they have changed it is
    made anew: nothing scales for a moment, and the count stays.
    """
    found = find_target(deployment.id)
    if found and deployment.retagged:
        delete(deployment.id)
        found = None
    tags = {} if found else {"Tags": tags_of(deployment)}
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
    """The scalable target as AWS describes it, or None."""
    names = _names(deployment_id)
    found = aws.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace=names["ServiceNamespace"],
        ResourceIds=[names["ResourceId"]],
        ScalableDimension=names["ScalableDimension"],
    )["ScalableTargets"]
    return found[0] if found else None


def find_policies(deployment_id: str) -> list[dict[str, Any]]:
    """Every scaling policy of the service as AWS describes it, by hand or ours."""
    found: list[dict[str, Any]] = aws.client("application-autoscaling").describe_scaling_policies(
        **_names(deployment_id)
    )["ScalingPolicies"]
    return found


def release(deployment: Deployment) -> None:
    """Takes away what would work against a rollout that is about to begin.

    A scalable target with other bounds would pull the service out of the new ones. One with the
    same goes on: the service may scale while it is rolled.
    """
    found = find_target(deployment.id)
    if found and not _fits(found, deployment.scaling):
        _delete_own(deployment)


def _fits(target: dict[str, Any], scaling: Scaling | None) -> bool:
    bounds = (target.get("MinCapacity"), target.get("MaxCapacity"))
    return scaling is not None and bounds == (scaling.min, scaling.max)


def difference(deployment: Deployment) -> str:
    """How AWS scales the service otherwise than the deployment asks for, in words; or empty."""
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
    found = own.get("TargetTrackingScalingPolicyConfiguration", {})
    metric = found.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    if (metric, found.get("TargetValue")) != (METRICS[scaling.metric], float(scaling.target)):
        return f"the service scales by {metric} of {found.get('TargetValue')}"
    return ""


def delete(deployment_id: str) -> None:
    """Deletes every policy of the service, then the scalable target. Succeeds where there is none.

    AWS deletes the policies along with the target, but only those that it knows of by then.
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
    """As `delete`; but where Slipway has made none and AWS refuses, the scalable target is somebody
    else's, without the stack's tag: it stays, and holds up nothing."""
    from botocore.exceptions import ClientError

    try:
        delete(deployment.id)
    except ClientError as error:
        if deployment.scaling or deployment.live(KIND) or aws.code_of(error) not in aws.DENIED:
            raise
        logger.warning("scaling of others left", extra={"deployment": deployment.id})


def _delete_policies(deployment_id: str, but: str = "") -> None:
    """Policies of other names were added by hand, and would scale the service as well."""
    client = aws.client("application-autoscaling")
    names = [policy["PolicyName"] for policy in find_policies(deployment_id)]
    for name in (name for name in names if name != but):
        try:
            client.delete_scaling_policy(**_names(deployment_id), PolicyName=name)
        except client.exceptions.ObjectNotFoundException:
            continue


def exists(deployment_id: str) -> list[str]:
    """The deployment's id if AWS knows of a scalable target or a policy of its service."""
    found = find_target(deployment_id) or find_policies(deployment_id)
    return [deployment_id] if found else []
