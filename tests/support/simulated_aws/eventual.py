"""Right after a create, reads and dependent calls can return not found.

https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.support.simulated_aws.aws import Answer, AwsError, Call, Clock, Rule
from tests.support.simulated_aws.times import VISIBLE_AFTER, Times

NO_GROUP = "InvalidGroup.NotFound"
NO_BALANCER = ("LoadBalancerNotFound", "One or more load balancers not found")
NO_TARGET_GROUP = ("TargetGroupNotFound", "One or more target groups not found")
NO_CLUSTER = ("ClusterNotFoundException", "Cluster not found.")
NO_RESOURCE = ("ResourceNotFoundException", "The specified resource could not be found.")
NO_SERVICE = ("ServiceNotFoundException", "Service not found.")
# Creates are consistent: they always see an existing resource of the same name.
MADE: dict[str, Callable[[Answer], str]] = {
    "ec2.CreateSecurityGroup": lambda answer: str(answer["GroupId"]),
    "elbv2.CreateLoadBalancer": lambda a: str(a["LoadBalancers"][0]["LoadBalancerArn"]),
    "elbv2.CreateTargetGroup": lambda a: str(a["TargetGroups"][0]["TargetGroupArn"]),
    "elbv2.CreateRule": lambda a: str(a["Rules"][0]["RuleArn"]),
    "ecs.CreateCluster": lambda answer: str(answer["cluster"]["clusterArn"]),
    "ecs.CreateService": lambda answer: str(answer["service"]["serviceArn"]),
}
# The list in each read's response, and the field that identifies an item.
SHOWN = {
    "ec2.DescribeSecurityGroups": ("SecurityGroups", "GroupId"),
    "elbv2.DescribeLoadBalancers": ("LoadBalancers", "LoadBalancerArn"),
    "elbv2.DescribeTargetGroups": ("TargetGroups", "TargetGroupArn"),
    "elbv2.DescribeRules": ("Rules", "RuleArn"),
    "ecs.DescribeClusters": ("clusters", "clusterArn"),
    "ecs.DescribeServices": ("services", "serviceArn"),
}


class Eventual(Rule):
    """Hides a new resource for a random time.

    A resource that a later create of the same name returns is not hidden again.
    """

    def __init__(self, clock: Clock, times: Times) -> None:
        self._clock, self._times = clock, times
        self._visible_at: dict[str, float] = {}

    def before(self, call: Call) -> Answer | None:
        # A delete always sees the resource.
        if self._visible_at and not call.operation.startswith("Delete"):
            for hidden, error in _named(call):
                if self._is_hidden(hidden):
                    raise AwsError(*error)
        return None

    def after(self, call: Call, answer: Answer) -> Answer:
        if call.name in MADE:
            identifier = MADE[call.name](answer)
            if identifier not in self._visible_at:
                now = self._clock.seconds()
                self._visible_at[identifier] = now + self._times.draw(VISIBLE_AFTER)
        if call.name in SHOWN:
            return self._without_hidden(call, answer)
        return answer

    def _is_hidden(self, reference: str) -> bool:
        """`reference` is an ID, an ARN, or the end of an ARN ("cluster/name")."""
        now = self._clock.seconds()
        return any(
            now < at and (known == reference or known.endswith(f":{reference}"))
            for known, at in self._visible_at.items()
        )

    def _without_hidden(self, call: Call, answer: Answer) -> Answer:
        key, identifier = SHOWN[call.name]
        shown = [item for item in answer[key] if not self._is_hidden(item[identifier])]
        hidden = [item for item in answer[key] if item not in shown]
        if not hidden:
            return answer
        if call.name.startswith("elbv2.") and ("Names" in call.params or _arns(call.params)):
            is_balancer = call.operation == "DescribeLoadBalancers"
            raise AwsError(*(NO_BALANCER if is_balancer else NO_TARGET_GROUP))
        if call.name == "ec2.DescribeSecurityGroups" and call.params.get("GroupIds"):
            raise AwsError(*_no_group(hidden[0]["GroupId"]))
        visible = {**answer, key: shown}
        if "failures" in answer:
            missing = [{"arn": item[identifier], "reason": "MISSING"} for item in hidden]
            visible["failures"] = answer["failures"] + missing
        return visible


def _no_group(group: str) -> tuple[str, str]:
    return NO_GROUP, f"The security group '{group}' does not exist"


def _arns(params: dict[str, Any]) -> bool:
    return bool(params.get("LoadBalancerArns") or params.get("TargetGroupArns"))


def _named(call: Call) -> Iterator[tuple[str, tuple[str, str]]]:
    """The resources that a dependent call uses, and AWS's error if one does not exist."""
    params = call.params
    if call.service == "ec2" and "GroupId" in params:
        yield params["GroupId"], _no_group(params["GroupId"])
    if call.name == "ec2.CreateTags":
        yield from ((group, _no_group(group)) for group in params["Resources"])
    if call.service == "elbv2":
        yield from _named_to_elb(params)
    if call.service == "ecs" and "cluster" in params and call.operation != "CreateCluster":
        cluster = params["cluster"].rsplit("/", 1)[-1]
        yield f"cluster/{cluster}", NO_CLUSTER
        if call.operation == "UpdateService":
            name = params["service"].rsplit("/", 1)[-1]
            yield f"service/{cluster}/{name}", NO_SERVICE
    if call.name in ("ecs.TagResource", "ecs.UntagResource"):
        yield params["resourceArn"], NO_RESOURCE


def _named_to_elb(params: dict[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    if "LoadBalancerArn" in params:
        yield params["LoadBalancerArn"], NO_BALANCER
    if "TargetGroupArn" in params:
        yield params["TargetGroupArn"], NO_TARGET_GROUP
    for arn in params.get("ResourceArns", []):
        yield arn, NO_BALANCER if ":loadbalancer/" in arn else NO_TARGET_GROUP
    for group in params.get("SecurityGroups", []):
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
        yield group, ("InvalidSecurityGroup", f"Security group '{group}' does not exist")
    for action in params.get("DefaultActions", []):
        if "TargetGroupArn" in action:
            yield action["TargetGroupArn"], NO_TARGET_GROUP
