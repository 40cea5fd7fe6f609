"""Load balancers: they take minutes to become active, and their interfaces outlive them.

This module also answers for the health of their targets.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.simulated_aws.aws import Answer, AwsError, Call, ServiceRule
from tests.support.simulated_aws.interfaces import LOAD_BALANCER, NetworkInterfaces
from tests.support.simulated_aws.order import groups_in
from tests.support.simulated_aws.targets import (
    DELAY,
    NOT_REGISTERED,
    REGISTERING,
    Group,
    Probe,
    Targets,
)
from tests.support.simulated_aws.timeline import Timeline
from tests.support.simulated_aws.times import INTERFACES_GONE, LOAD_BALANCER_ACTIVE, Times

ACTIVE = {"active", "active_impaired"}


@dataclass
class Balancer:
    """One load balancer; `state` and `reason` as DescribeLoadBalancers shows them.

    Attributes:
        forwards: listener or rule ARN -> the target groups that it forwards to.
        fixed: rule ARN -> its fixed response, which needs no target.
    """

    arn: str
    name: str
    state: str = "provisioning"
    reason: str = ""
    forwards: dict[str, set[str]] = field(default_factory=dict)
    fixed: dict[str, Answer] = field(default_factory=dict)


class LoadBalancers(ServiceRule):
    """The behaviour of Elastic Load Balancing.

    Args:
        raw: service -> a boto3 client straight to the emulator.
        probe: returns the result of a request to a target now.
        emulator_keeps_targets: the local stack has load balancers of its own, which check targets.
    """

    service = "elbv2"

    def __init__(
        self,
        raw: Callable[[str], Any],
        timeline: Timeline,
        times: Times,
        interfaces: NetworkInterfaces,
        probe: Probe,
        *,
        emulator_keeps_targets: bool = False,
    ) -> None:
        self._raw, self._timeline, self._times = raw, timeline, times
        self._interfaces, self._keeps = interfaces, emulator_keeps_targets
        self.balancers: dict[str, Balancer] = {}
        self.targets = Targets(timeline, times, probe, self._is_used, self._is_serving)
        self._ends: list[str] = []
        self._stuck = 0

    def fail_next(self, reason: str) -> None:
        """The next new load balancer becomes `failed` with `reason`."""
        self._ends.append(reason)

    def hang_next(self) -> None:
        """The next new load balancer stays `provisioning` forever."""
        self._stuck += 1

    def before(self, call: Call) -> Answer | None:
        self._timeline.catch_up()
        if call.service != "elbv2":
            return None
        if self._keeps:
            return None
        if call.operation == "DescribeTargetHealth":
            return self._target_health(self._group(call.params["TargetGroupArn"]), call.params)
        if call.operation in ("RegisterTargets", "DeregisterTargets"):
            # "If the specified target does not exist, the action returns successfully."
            # https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeregisterTargets.html
            self._group(call.params["TargetGroupArn"])
            return {}
        return None

    # Load balancers

    def _after_CreateLoadBalancer(self, params: Answer, answer: Answer) -> Answer:
        shown = answer["LoadBalancers"][0]
        if shown["LoadBalancerArn"] not in self.balancers:
            self._made(params, shown)
        return self._after_DescribeLoadBalancers(params, answer)

    def _made(self, params: Answer, shown: Answer) -> None:
        balancer = Balancer(shown["LoadBalancerArn"], params["Name"])
        self.balancers[balancer.arn] = balancer
        subnets = params.get("Subnets") or [m["SubnetId"] for m in params.get("SubnetMappings", [])]
        # At least one node, and so one interface, in each subnet.
        for subnet in subnets:
            self._interfaces.attach(
                subnet=subnet,
                groups=tuple(params.get("SecurityGroups", ())),
                description=LOAD_BALANCER.format(
                    name=balancer.name, id=balancer.arn.rsplit("/", 1)[-1]
                ),
                owner=balancer.arn,
                at=self._timeline.moment(),
                public=params.get("Scheme") != "internal",
            )
        if self._stuck:
            self._stuck -= 1
            return
        delay = self._times.draw(LOAD_BALANCER_ACTIVE)
        reason = self._ends.pop(0) if self._ends else ""
        self._timeline.after(delay, lambda: self._provisioned(balancer, reason))

    def _provisioned(self, balancer: Balancer, reason: str) -> None:
        balancer.state, balancer.reason = ("failed", reason) if reason else ("active", "")
        if balancer.state == "active" and balancer.arn in self.balancers:
            for groups in balancer.forwards.values():
                self._begin_checks(groups)

    def _begin_checks(self, groups: set[str]) -> None:
        for arn in groups & set(self.targets.groups):
            self.targets.begin_all(self.targets.groups[arn])

    def _after_DescribeLoadBalancers(self, params: Answer, answer: Answer) -> Answer:
        shown = []
        for item in answer["LoadBalancers"]:
            balancer = self.balancers.get(item["LoadBalancerArn"])
            state = {"Code": balancer.state} if balancer else item.get("State")
            if balancer and balancer.reason:
                state = {"Code": balancer.state, "Reason": balancer.reason}
            shown.append({**item, "State": state})
        return {**answer, "LoadBalancers": shown}

    def _after_DeleteLoadBalancer(self, params: Answer, answer: Answer) -> None:
        balancer = self.balancers.pop(params["LoadBalancerArn"], None)
        if balancer:
            # https://github.com/hashicorp/terraform-provider-aws/issues/9101
            self._timeline.after(
                self._times.draw(INTERFACES_GONE), lambda: self._interfaces.detach(balancer.arn)
            )

    # Listeners and rules: a target group is in use if one of them forwards to it

    def _after_CreateListener(self, params: Answer, answer: Answer) -> None:
        for listener in answer["Listeners"]:
            self._forward(listener, listener.get("DefaultActions") or params["DefaultActions"])

    _after_ModifyListener = _after_CreateListener

    def _after_CreateRule(self, params: Answer, answer: Answer) -> None:
        for rule in answer["Rules"]:
            self._forward({"ListenerArn": params["ListenerArn"], **rule}, params["Actions"])
            self._answer(rule["RuleArn"], params["Actions"])

    def _after_ModifyRule(self, params: Answer, answer: Answer) -> None:
        self._answer(params["RuleArn"], params.get("Actions", []))

    def _answer(self, rule: str, actions: list[Answer]) -> None:
        # As a listener's: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Rule.html
        owner = rule.replace(":listener-rule/", ":loadbalancer/").rsplit("/", 2)[0]
        for action in actions:
            if owner in self.balancers and "FixedResponseConfig" in action:
                self.balancers[owner].fixed[rule] = action["FixedResponseConfig"]

    def _forward(self, shown: Answer, actions: list[Answer]) -> None:
        # A listener's ARN is its load balancer's ARN plus one more part.
        owner = shown["ListenerArn"].replace(":listener/", ":loadbalancer/").rsplit("/", 1)[0]
        balancer = self.balancers.get(owner)
        if balancer:
            groups = groups_in(actions)
            balancer.forwards[shown.get("RuleArn") or shown["ListenerArn"]] = groups
            if balancer.state in ACTIVE:
                self._begin_checks(groups)

    def _after_DeleteListener(self, params: Answer, answer: Answer) -> None:
        for balancer in self.balancers.values():
            balancer.forwards.pop(params["ListenerArn"], None)
            balancer.fixed.clear()

    def _after_DeleteRule(self, params: Answer, answer: Answer) -> None:
        for balancer in self.balancers.values():
            balancer.forwards.pop(params["RuleArn"], None)
            balancer.fixed.pop(params["RuleArn"], None)

    def _is_used(self, group: str) -> bool:
        return any(group in f for b in self.balancers.values() for f in b.forwards.values())

    def _is_serving(self, group: str) -> bool:
        return any(
            group in forwards
            for balancer in self.balancers.values()
            if balancer.state in ACTIVE
            for forwards in balancer.forwards.values()
        )

    # Target groups and targets

    def _after_DescribeTargetGroups(self, params: Answer, answer: Answer) -> None:
        for shown in answer["TargetGroups"]:
            arn = shown["TargetGroupArn"]
            self.targets.groups.setdefault(arn, Group(arn, shown)).settings = shown

    _after_CreateTargetGroup = _after_DescribeTargetGroups
    _after_ModifyTargetGroup = _after_DescribeTargetGroups

    def _after_ModifyTargetGroupAttributes(self, params: Answer, answer: Answer) -> None:
        for attribute in params["Attributes"]:
            if attribute["Key"] == DELAY:
                self._group(params["TargetGroupArn"]).delay = float(attribute["Value"])

    def _after_DeleteTargetGroup(self, params: Answer, answer: Answer) -> None:
        self.targets.groups.pop(params["TargetGroupArn"], None)

    def _after_RegisterTargets(self, params: Answer, answer: Answer) -> None:
        group = self._group(params["TargetGroupArn"])
        for target in params["Targets"]:
            self.targets.register(group, target["Id"], target.get("Port", group.port))

    def _after_DeregisterTargets(self, params: Answer, answer: Answer) -> None:
        group = self._group(params["TargetGroupArn"])
        for target in params["Targets"]:
            self.targets.deregister(group, target["Id"], target.get("Port", group.port))

    def _after_DescribeTargetHealth(self, params: Answer, answer: Answer) -> Answer:
        group = self._group(params["TargetGroupArn"])
        if not self._keeps:
            return self._target_health(group, params)
        if self._is_serving(group.arn) or not self._is_used(group.arn):
            return answer
        return {
            "TargetHealthDescriptions": [
                {**entry, "TargetHealth": REGISTERING.described()}
                for entry in answer["TargetHealthDescriptions"]
            ]
        }

    def _target_health(self, group: Group, params: Answer) -> Answer:
        asked = params.get("Targets")
        keys = [(t["Id"], t.get("Port", group.port)) for t in asked] if asked else group.targets
        return {
            "TargetHealthDescriptions": [
                {
                    "Target": {"Id": address, "Port": port},
                    "HealthCheckPort": str(port),
                    "TargetHealth": self._health(group, (address, port)).described(),
                }
                for address, port in keys
            ],
        }

    def _health(self, group: Group, key: tuple[str, int]) -> Any:
        target = group.targets.get(key)
        return self.targets.health(group, target) if target else NOT_REGISTERED

    def _group(self, arn: str) -> Group:
        if arn not in self.targets.groups:
            elbv2 = self._raw("elbv2")
            try:
                description = elbv2.describe_target_groups(TargetGroupArns=[arn])
            except elbv2.exceptions.TargetGroupNotFoundException:
                message = "One or more target groups not found"
                raise AwsError("TargetGroupNotFound", message) from None
            self._after_DescribeTargetGroups({}, description)
        return self.targets.groups[arn]
