"""Reads the configuration through the ELBv2 API's public calls."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from local.load_balancers.configuration import (
    DEFAULT_WEIGHT,
    Action,
    Condition,
    Configuration,
    FixedResponse,
    Forward,
    HealthCheck,
    Listener,
    LoadBalancer,
    NotSimulated,
    Redirect,
    Rule,
    TargetGroup,
    Transform,
    ranges,
)
from local.load_balancers.regexes import compiled

Answer = Mapping[str, Any]


class Elbv2(Protocol):
    """The calls of boto3's `elbv2` client that are used. Each blocks, so it runs in a thread."""

    def describe_load_balancers(self, **arguments: Any) -> Answer: ...
    def describe_load_balancer_attributes(self, **arguments: Any) -> Answer: ...
    def describe_listeners(self, **arguments: Any) -> Answer: ...
    def describe_listener_attributes(self, **arguments: Any) -> Answer: ...
    def describe_rules(self, **arguments: Any) -> Answer: ...
    def describe_target_groups(self, **arguments: Any) -> Answer: ...
    def describe_target_group_attributes(self, **arguments: Any) -> Answer: ...
    def describe_target_health(self, **arguments: Any) -> Answer: ...


def read(elbv2: Elbv2) -> Configuration:
    """Read everything. An error of the API is the caller's: something was deleted meanwhile."""
    balancers = tuple(
        _load_balancer(elbv2, answer)
        for answer in _all(elbv2.describe_load_balancers, "LoadBalancers")
        if answer.get("Type", "application") == "application"
    )
    groups = [
        _target_group(elbv2, answer)
        for answer in _all(elbv2.describe_target_groups, "TargetGroups")
        if answer.get("Protocol") in ("HTTP", "HTTPS")
    ]
    return Configuration(balancers, {group.arn: group for group in groups})


def _all(call: Any, key: str, **arguments: Any) -> Iterator[Answer]:
    marker: dict[str, str] = {}
    while True:
        answer = call(**arguments, **marker)
        yield from answer.get(key, ())
        if not answer.get("NextMarker"):
            return
        marker = {"Marker": answer["NextMarker"]}


def _attributes(answer: Answer) -> dict[str, str]:
    return {each["Key"]: each.get("Value", "") for each in answer.get("Attributes", ())}


def _load_balancer(elbv2: Elbv2, answer: Answer) -> LoadBalancer:
    arn = answer["LoadBalancerArn"]
    listeners = _all(elbv2.describe_listeners, "Listeners", LoadBalancerArn=arn)
    return LoadBalancer(
        arn=arn,
        name=answer["LoadBalancerName"],
        dns_name=answer.get("DNSName", answer["LoadBalancerName"]),
        state=answer.get("State", {}).get("Code", "active"),
        zones=tuple(zone["ZoneName"] for zone in answer.get("AvailabilityZones", ())),
        listeners=tuple(_listener(elbv2, each) for each in listeners),
        attributes=_attributes(elbv2.describe_load_balancer_attributes(LoadBalancerArn=arn)),
    )


def _listener(elbv2: Elbv2, answer: Answer) -> Listener:
    arn = answer["ListenerArn"]
    rules = sorted(_all(elbv2.describe_rules, "Rules", ListenerArn=arn), key=_priority)
    return Listener(
        arn=arn,
        port=int(answer["Port"]),
        protocol=answer.get("Protocol", "HTTP"),
        rules=tuple(rule(each) for each in rules),
        attributes=_attributes(elbv2.describe_listener_attributes(ListenerArn=arn)),
    )


def _priority(answer: Answer) -> tuple[bool, int]:
    """The default rule is evaluated last."""
    priority = answer["Priority"]
    return (True, 0) if priority == "default" else (False, int(priority))


def rule(answer: Answer) -> Rule:
    """Read one rule of DescribeRules."""
    return Rule(
        arn=answer["RuleArn"],
        conditions=tuple(condition(each) for each in answer.get("Conditions", ())),
        action=action(answer["Actions"]),
        transforms=tuple(_transform(each) for each in answer.get("Transforms", ())),
    )


# Where the API keeps the values of a condition, by its field.
_CONFIGS = {
    "host-header": "HostHeaderConfig",
    "path-pattern": "PathPatternConfig",
    "http-header": "HttpHeaderConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "query-string": "QueryStringConfig",
    "source-ip": "SourceIpConfig",
}


def condition(answer: Answer) -> Condition:
    """Read one condition: either with its config, or with `Values` beside the field."""
    name = answer["Field"]
    config = answer.get(_CONFIGS.get(name, "")) or {}
    values = config.get("Values") or answer.get("Values") or ()
    regexes = config.get("RegexValues") or answer.get("RegexValues") or ()
    ignore_case = re.IGNORECASE if name == "host-header" else re.NOFLAG
    return Condition(
        field=name,
        values=tuple(each for each in values if isinstance(each, str)),
        pairs=tuple((each.get("Key"), each["Value"]) for each in values if "Value" in each)
        if name == "query-string"
        else (),
        regexes=tuple(compiled(each, ignore_case) for each in regexes),
        networks=tuple(ipaddress.ip_network(each, strict=False) for each in values)
        if name == "source-ip"
        else (),
        name=config.get("HttpHeaderName", "").lower(),
    )


def action(answers: Sequence[Answer]) -> Action:
    """Read a rule's first action. One that authenticates comes first, and is not simulated.

    "The action with the lowest order value is performed first."
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-listeners.html
    """
    first = min(answers, key=lambda each: each.get("Order", 1))
    kind = first["Type"]
    if kind == "fixed-response":
        config = first["FixedResponseConfig"]
        return FixedResponse(
            status=int(config["StatusCode"]),
            content_type=config.get("ContentType") or "text/plain",
            body=config.get("MessageBody") or "",
        )
    if kind == "redirect":
        return _redirect(first["RedirectConfig"])
    if kind == "forward":
        return _forward(first)
    return NotSimulated(kind)


def _redirect(config: Answer) -> Redirect:
    names = ("Protocol", "Host", "Port", "Path", "Query")
    # An absent part keeps its original value; an empty query is a value.
    parts = {name.lower(): config[name] for name in names if config.get(name) is not None}
    return Redirect(status=int(config["StatusCode"].removeprefix("HTTP_")), **parts)


def _forward(answer: Answer) -> Forward:
    config = answer.get("ForwardConfig") or {}
    groups = config.get("TargetGroups") or [{"TargetGroupArn": answer["TargetGroupArn"]}]
    sticky = config.get("TargetGroupStickinessConfig") or {}
    return Forward(
        groups=tuple(
            (each["TargetGroupArn"], int(each.get("Weight", DEFAULT_WEIGHT))) for each in groups
        ),
        sticky_seconds=int(sticky["DurationSeconds"]) if sticky.get("Enabled") else None,
    )


def _transform(answer: Answer) -> Transform:
    config = answer.get("UrlRewriteConfig") or answer.get("HostHeaderRewriteConfig") or {}
    return Transform(
        type=answer["Type"],
        rewrites=tuple(
            (compiled(each["Regex"]), each["Replace"]) for each in config.get("Rewrites", ())
        ),
    )


def _target_group(elbv2: Elbv2, answer: Answer) -> TargetGroup:
    arn, port = answer["TargetGroupArn"], int(answer.get("Port", 80))
    described = elbv2.describe_target_health(TargetGroupArn=arn).get("TargetHealthDescriptions", ())
    registered = (each["Target"] for each in described)
    return TargetGroup(
        arn=arn,
        port=port,
        health_check=health_check(answer),
        targets=tuple((each["Id"], int(each.get("Port", port))) for each in registered),
        attributes=_attributes(elbv2.describe_target_group_attributes(TargetGroupArn=arn)),
    )


def health_check(answer: Answer) -> HealthCheck:
    """Read the settings of a target group's health check, with AWS's defaults.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
    """
    return HealthCheck(
        enabled=answer.get("HealthCheckEnabled", True),
        path=answer.get("HealthCheckPath") or "/",
        port=answer.get("HealthCheckPort") or "traffic-port",
        interval=float(answer.get("HealthCheckIntervalSeconds", 30)),
        timeout=float(answer.get("HealthCheckTimeoutSeconds", 5)),
        healthy_threshold=int(answer.get("HealthyThresholdCount", 5)),
        unhealthy_threshold=int(answer.get("UnhealthyThresholdCount", 2)),
        codes=ranges((answer.get("Matcher") or {}).get("HttpCode") or "200"),
    )
