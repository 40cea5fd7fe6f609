"""Application Auto Scaling for ECS services: its resources, refusals and scaling.

No load is simulated: a test sets the number of tasks that the load needs (`ask_for`).
https://docs.aws.amazon.com/autoscaling/application/APIReference/Welcome.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.simulated_aws.aws import Answer, AwsError, Call, ServiceRule

INVALID, MISSING = "ValidationException", "ObjectNotFoundException"
ARN = "arn:aws:application-autoscaling:us-east-1:123456789012:scalable-target/"


@dataclass
class Target:
    """A scalable target, with its policies by name."""

    arn: str
    least: int
    most: int
    tags: dict[str, str]
    suspended: dict[str, bool]
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)


class Scaling(ServiceRule):
    """Answers every call to the service without the emulator.

    Args:
        ask: calls ECS and ELB as they are now.

    Attributes:
        targets: by resource ID, such as "service/<cluster>/<service>".
    """

    service = "application-autoscaling"

    def __init__(self, ask: Callable[[Call], Answer]) -> None:
        self._ask = ask
        self._made = 0
        self.targets: dict[str, Target] = {}

    def ask_for(self, deployment_id: str, count: int) -> None:
        """The load needs `count` tasks: AWS sets the desired count, within the bounds."""
        target = self.targets.get(f"service/{deployment_id}/{deployment_id}")
        if target is None or not target.policies or any(target.suspended.values()):
            return
        service = self._service(deployment_id, deployment_id)
        if service is None or service["status"] != "ACTIVE":
            return
        desired = max(target.least, min(count, target.most))
        named = {"cluster": deployment_id, "service": deployment_id}
        self._ask(Call("ecs", "UpdateService", {**named, "desiredCount": desired}))

    def bounds(self, deployment_id: str) -> tuple[int, int] | None:
        """A deployment's minimum and maximum tasks; None if AWS does not scale it."""
        target = self.targets.get(f"service/{deployment_id}/{deployment_id}")
        return (target.least, target.most) if target and target.policies else None

    def _service(self, cluster: str, name: str) -> Answer | None:
        try:
            answer = self._ask(
                Call("ecs", "DescribeServices", {"cluster": cluster, "services": [name]})
            )
        except AwsError:
            return None
        return answer["services"][0] if answer["services"] else None

    def _before_RegisterScalableTarget(self, params: Answer) -> Answer:
        """https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html"""
        resource = params["ResourceId"]
        service = self._service(*resource.split("/")[1:])
        if service is None or service["status"] == "INACTIVE":
            raise AwsError(INVALID, f"ECS service doesn't exist: {resource}")
        known = self.targets.get(resource)
        if known and params.get("Tags"):
            # https://github.com/terraform-aws-modules/terraform-aws-rds-aurora/pull/420
            raise AwsError(
                INVALID,
                "The scalable target that you tried to tag already exists. To update tags on an "
                "existing scalable target, use the TagResource API.",
            )
        if known is None:
            self._made += 1
            tags = dict(params.get("Tags", {}))
            known = Target(f"{ARN}{self._made:036d}", 0, 0, tags, {})
        known.least = params.get("MinCapacity", known.least)
        known.most = params.get("MaxCapacity", known.most)
        known.suspended = {**known.suspended, **params.get("SuspendedState", {})}
        if known.least > known.most:
            raise AwsError(INVALID, "Maximum capacity cannot be less than minimum capacity")
        self.targets[resource] = known
        return {"ScalableTargetARN": known.arn}

    def _before_DescribeScalableTargets(self, params: Answer) -> Answer:
        resources = params.get("ResourceIds") or list(self.targets)
        return {
            "ScalableTargets": [
                {
                    "ServiceNamespace": "ecs",
                    "ResourceId": resource,
                    "ScalableDimension": "ecs:service:DesiredCount",
                    "MinCapacity": target.least,
                    "MaxCapacity": target.most,
                    "SuspendedState": dict(target.suspended),
                    "ScalableTargetARN": target.arn,
                }
                for resource, target in self.targets.items()
                if resource in resources
            ]
        }

    def _before_PutScalingPolicy(self, params: Answer) -> Answer:
        """https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScalingPolicy.html"""
        target = self._get(params)
        tracking = params["TargetTrackingScalingPolicyConfiguration"]
        metric = tracking["PredefinedMetricSpecification"]
        if metric["PredefinedMetricType"] == "ALBRequestCountPerTarget":
            self._check_label(metric.get("ResourceLabel", ""))
        target.policies[params["PolicyName"]] = {
            "PolicyName": params["PolicyName"],
            "PolicyType": params["PolicyType"],
            "TargetTrackingScalingPolicyConfiguration": tracking,
        }
        return {"PolicyARN": f"{target.arn}:policyName/{params['PolicyName']}", "Alarms": []}

    def _check_label(self, label: str) -> None:
        """https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PredefinedMetricSpecification.html"""
        balancer, _, group = label.partition("/targetgroup/")
        for operation, key, arn, end in (
            (
                "DescribeLoadBalancers",
                "LoadBalancers",
                "LoadBalancerArn",
                f":loadbalancer/{balancer}",
            ),
            ("DescribeTargetGroups", "TargetGroups", "TargetGroupArn", f":targetgroup/{group}"),
        ):
            items = self._ask(Call("elbv2", operation, {}))[key]
            if not any(item[arn].endswith(end) for item in items):
                raise AwsError(INVALID, f"Invalid resource label: {label}")

    def _before_DescribeScalingPolicies(self, params: Answer) -> Answer:
        target = self.targets.get(params["ResourceId"])
        return {"ScalingPolicies": list(target.policies.values()) if target else []}

    def _before_DeleteScalingPolicy(self, params: Answer) -> Answer:
        target = self._get(params)
        if target.policies.pop(params["PolicyName"], None) is None:
            raise AwsError(MISSING, f"No scaling policy found: {params['PolicyName']}")
        return {}

    def _before_DeregisterScalableTarget(self, params: Answer) -> Answer:
        """Remove the target and its policies."""
        self._get(params)
        del self.targets[params["ResourceId"]]
        return {}

    def _get(self, params: Answer) -> Target:
        resource = params["ResourceId"]
        if resource not in self.targets:
            raise AwsError(
                MISSING,
                f"No scalable target registered for service namespace: ecs, resource ID: "
                f"{resource}, scalable dimension: {params['ScalableDimension']}",
            )
        return self.targets[resource]
