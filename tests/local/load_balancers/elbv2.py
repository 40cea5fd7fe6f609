"""An ELBv2 API in memory: what the load balancers read, with shapes as boto3 returns them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

PREFIX = "arn:aws:elasticloadbalancing:us-east-1:123456789012"


def forward(*groups: str | tuple[str, int], sticky: int | None = None) -> dict[str, Any]:
    """A forward action to target groups: ARNs, or pairs of ARN and weight."""
    pairs = [(each, 1) if isinstance(each, str) else each for each in groups]
    config: dict[str, Any] = {
        "TargetGroups": [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in pairs]
    }
    if sticky:
        config["TargetGroupStickinessConfig"] = {"Enabled": True, "DurationSeconds": sticky}
    return {"Type": "forward", "ForwardConfig": config}


def fixed(status: int, body: str = "", content_type: str = "text/plain") -> dict[str, Any]:
    """A fixed response."""
    config = {"StatusCode": str(status), "MessageBody": body, "ContentType": content_type}
    return {"Type": "fixed-response", "FixedResponseConfig": config}


class MemoryElbv2:
    """Keeps the resources as the answers of the describe calls."""

    def __init__(self) -> None:
        self._balancers: dict[str, dict[str, Any]] = {}
        self._listeners: dict[str, dict[str, Any]] = {}
        self._rules: dict[str, dict[str, Any]] = {}
        self._groups: dict[str, dict[str, Any]] = {}
        self._targets: dict[str, list[dict[str, Any]]] = {}
        self._attributes: dict[str, dict[str, str]] = {}
        self._numbers = itertools.count(1)

    # How tests change it.

    def balancer(self, name: str = "web", state: str = "active", **attributes: str) -> str:
        """Add a load balancer; attributes with "_" for "."."""
        arn = f"{PREFIX}:loadbalancer/app/{name}/{next(self._numbers):016x}"
        self._balancers[arn] = {
            "LoadBalancerArn": arn,
            "LoadBalancerName": name,
            "DNSName": f"{name}-1.us-east-1.elb.amazonaws.com",
            "State": {"Code": state},
            "Type": "application",
            "AvailabilityZones": [{"ZoneName": "us-east-1a"}, {"ZoneName": "us-east-1b"}],
        }
        self._attributes[arn] = {}
        return arn

    def listener(
        self, balancer: str, default: Mapping[str, Any], port: int = 80, protocol: str = "HTTP"
    ) -> str:
        """Add a listener with its default action."""
        arn = f"{balancer.replace(':loadbalancer/', ':listener/')}/{next(self._numbers):016x}"
        self._listeners[arn] = {
            "ListenerArn": arn,
            "LoadBalancerArn": balancer,
            "Port": port,
            "Protocol": protocol,
            "DefaultActions": [default],
        }
        self._attributes[arn] = {}
        self.rule(arn, "default", default)
        return arn

    def rule(
        self,
        listener: str,
        priority: int | str,
        action: Mapping[str, Any],
        conditions: list[dict[str, Any]] | None = None,
        transforms: list[dict[str, Any]] | None = None,
    ) -> str:
        """Add a rule, or replace the default rule's action."""
        arn = f"{listener.replace(':listener/', ':listener-rule/')}/{priority}"
        self._rules[arn] = {
            "RuleArn": arn,
            "ListenerArn": listener,
            "Priority": str(priority),
            "Conditions": conditions or [],
            "Actions": [action],
            "Transforms": transforms or [],
            "IsDefault": priority == "default",
        }
        return arn

    def group(self, name: str, **settings: Any) -> str:
        """Add a target group, with settings such as `HealthCheckPath`."""
        arn = f"{PREFIX}:targetgroup/{name}/{next(self._numbers):016x}"
        self._groups[arn] = {
            "TargetGroupArn": arn,
            "TargetGroupName": name,
            "Protocol": "HTTP",
            "Port": 80,
            **settings,
        }
        self._targets[arn] = []
        self._attributes[arn] = {}
        return arn

    def set(self, arn: str, key: str, value: str | int) -> None:
        """Set an attribute."""
        self._attributes[arn][key] = str(value)

    def modify(self, group: str, **settings: Any) -> None:
        """Change settings of a target group."""
        self._groups[group] |= settings

    def activate(self, balancer: str) -> None:
        """End the provisioning of a load balancer."""
        self._balancers[balancer]["State"] = {"Code": "active"}

    def register(self, group: str, target_id: str, port: int) -> None:
        """Register a target."""
        self._targets[group].append({"Id": target_id, "Port": port})

    def deregister(self, group: str, target_id: str) -> None:
        """Deregister a target: it is not listed from now on, as in MiniStack."""
        self._targets[group] = [each for each in self._targets[group] if each["Id"] != target_id]

    def delete(self, arn: str) -> None:
        """Delete a load balancer, a rule or a target group."""
        for resources in (self._balancers, self._rules, self._groups):
            resources.pop(arn, None)

    # What the load balancers call.

    def describe_load_balancers(self, **_: Any) -> dict[str, Any]:
        return {"LoadBalancers": list(self._balancers.values())}

    def describe_listeners(self, LoadBalancerArn: str, **_: Any) -> dict[str, Any]:
        all_listeners = self._listeners.values()
        found = [each for each in all_listeners if each["LoadBalancerArn"] == LoadBalancerArn]
        return {"Listeners": found}

    def describe_rules(self, ListenerArn: str, **_: Any) -> dict[str, Any]:
        found = [each for each in self._rules.values() if each["ListenerArn"] == ListenerArn]
        return {"Rules": found}

    def describe_target_groups(self, **_: Any) -> dict[str, Any]:
        return {"TargetGroups": list(self._groups.values())}

    def describe_target_health(self, TargetGroupArn: str, **_: Any) -> dict[str, Any]:
        targets = self._targets[TargetGroupArn]
        healthy = [{"Target": each, "TargetHealth": {"State": "healthy"}} for each in targets]
        return {"TargetHealthDescriptions": healthy}

    def describe_load_balancer_attributes(self, LoadBalancerArn: str) -> dict[str, Any]:
        return self._attributes_of(LoadBalancerArn)

    def describe_listener_attributes(self, ListenerArn: str) -> dict[str, Any]:
        return self._attributes_of(ListenerArn)

    def describe_target_group_attributes(self, TargetGroupArn: str) -> dict[str, Any]:
        return self._attributes_of(TargetGroupArn)

    def _attributes_of(self, arn: str) -> dict[str, Any]:
        pairs = self._attributes[arn].items()
        return {"Attributes": [{"Key": key, "Value": value} for key, value in pairs]}
