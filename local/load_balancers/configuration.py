"""What the load balancers are configured to do: values read from the ELBv2 API, never changed.

All times are AWS's, in seconds; the classes that wait apply the local time scale.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_WEIGHT = 1
TRAFFIC_PORT = "traffic-port"


@dataclass(frozen=True)
class Condition:
    """One condition of a rule. `values` and `regexes` are alternatives: one match satisfies it.

    Attributes:
        name: the header's name, lower case, if the field is `http-header`.
        values: wildcard patterns, methods or networks. For `query-string`: the patterns of values.
        pairs: for `query-string`: pairs of key pattern (None for any key) and value pattern.
        regexes: regular expressions; only for `host-header`, `http-header` and `path-pattern`.
        networks: for `source-ip`.
    """

    field: str
    values: tuple[str, ...] = ()
    pairs: tuple[tuple[str | None, str], ...] = ()
    regexes: tuple[re.Pattern[str], ...] = ()
    networks: tuple[Network, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Transform:
    """A rewrite of the request before it is sent to a target.

    Attributes:
        type: `url-rewrite` or `host-header-rewrite`.
        rewrites: pairs of regular expression and replacement, e.g. `^/a(/.*)$` and `$1`.
    """

    type: str
    rewrites: tuple[tuple[re.Pattern[str], str], ...]


@dataclass(frozen=True)
class FixedResponse:
    status: int
    content_type: str
    body: str


@dataclass(frozen=True)
class Redirect:
    """The parts of the new URL. They may contain `#{host}` and so on."""

    status: int
    protocol: str = "#{protocol}"
    host: str = "#{host}"
    port: str = "#{port}"
    path: str = "/#{path}"
    query: str = "#{query}"


@dataclass(frozen=True)
class Forward:
    """Where requests go.

    Attributes:
        groups: pairs of target group ARN and weight (0 to 999).
        sticky_seconds: how long a client stays with its target group; None if not sticky.
    """

    groups: tuple[tuple[str, int], ...]
    sticky_seconds: int | None = None


@dataclass(frozen=True)
class NotSimulated:
    """An action that the local stack does not have, e.g. `authenticate-oidc`."""

    type: str


Action = FixedResponse | Redirect | Forward | NotSimulated


@dataclass(frozen=True)
class Rule:
    """A rule of a listener. The default rule has no conditions and is the last one."""

    arn: str
    conditions: tuple[Condition, ...]
    action: Action
    transforms: tuple[Transform, ...] = ()


@dataclass(frozen=True)
class Listener:
    """A listener with its rules in the order in which they are evaluated.

    Attributes:
        protocol: `HTTP` or `HTTPS`.
    """

    arn: str
    port: int
    protocol: str
    rules: tuple[Rule, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadBalancer:
    """An application load balancer.

    Attributes:
        state: `active`, `active_impaired`, `provisioning` or `failed`.
        zones: the names of its availability zones.
    """

    arn: str
    name: str
    dns_name: str
    state: str
    zones: tuple[str, ...]
    listeners: tuple[Listener, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def dimension(self) -> str:
        """The value of the CloudWatch dimension `LoadBalancer`: `app/<name>/<id>`."""
        return self.arn.partition(":loadbalancer/")[2]

    @property
    def idle_timeout(self) -> float:
        return float(self.attributes.get("idle_timeout.timeout_seconds", 60))

    @property
    def is_active(self) -> bool:
        """Whether it routes traffic; only then does its DNS name resolve."""
        return self.state in ("active", "active_impaired")

    def is_on(self, attribute: str) -> bool:
        return self.attributes.get(attribute) == "true"

    def listener(self, port: int) -> Listener | None:
        return next((each for each in self.listeners if each.port == port), None)

    def target_groups(self) -> Iterator[str]:
        """The ARN of each target group that a rule forwards to, also with a weight of 0."""
        for listener in self.listeners:
            for rule in listener.rules:
                if isinstance(rule.action, Forward):
                    yield from (arn for arn, _ in rule.action.groups)


@dataclass(frozen=True)
class HealthCheck:
    """How the targets of a group are checked.

    Attributes:
        port: `traffic-port` or a number.
        codes: the statuses that count as healthy: inclusive ranges.
    """

    enabled: bool = True
    path: str = "/"
    port: str = TRAFFIC_PORT
    interval: float = 30
    timeout: float = 5
    healthy_threshold: int = 5
    unhealthy_threshold: int = 2
    codes: tuple[tuple[int, int], ...] = ((200, 200),)

    def accepts(self, status: int) -> bool:
        return any(low <= status <= high for low, high in self.codes)


@dataclass(frozen=True)
class TargetGroup:
    """A target group.

    Attributes:
        targets: pairs of address (or ID) and port, in the order of the API's answer.
    """

    arn: str
    port: int
    health_check: HealthCheck
    targets: tuple[tuple[str, int], ...]
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def dimension(self) -> str:
        """The value of the CloudWatch dimension `TargetGroup`."""
        return group_dimension(self.arn)

    @property
    def deregistration_delay(self) -> float:
        return float(self.attributes.get("deregistration_delay.timeout_seconds", 300))

    @property
    def slow_start(self) -> float:
        return float(self.attributes.get("slow_start.duration_seconds", 0))

    @property
    def algorithm(self) -> str:
        return self.attributes.get("load_balancing.algorithm.type", "round_robin")

    @property
    def sticky(self) -> str | None:
        """`lb_cookie`, `app_cookie`, or None if the targets are not sticky."""
        if self.attributes.get("stickiness.enabled") != "true":
            return None
        return self.attributes.get("stickiness.type", "lb_cookie")

    @property
    def sticky_seconds(self) -> float:
        """How long a client stays with its target."""
        key = f"stickiness.{self.sticky}.duration_seconds"
        return float(self.attributes.get(key, 86400))

    def enough_healthy(self, healthy: int, registered: int) -> bool:
        """Whether requests go to healthy targets only.

        "If you specify both types of thresholds for an action (count and percentage), the load
        balancer takes the action when either threshold is breached."
        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health.html
        """
        prefix = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
        count = self.attributes.get(f"{prefix}.count", "1")
        percentage = self.attributes.get(f"{prefix}.percentage", "off")
        enough = count == "off" or healthy >= int(count)
        return enough and (percentage == "off" or healthy * 100 >= int(percentage) * registered)


@dataclass(frozen=True)
class Configuration:
    """Everything that one reading found."""

    load_balancers: tuple[LoadBalancer, ...] = ()
    target_groups: Mapping[str, TargetGroup] = field(default_factory=dict)

    def used_target_groups(self, only_active: bool = False) -> set[str]:
        """The ARNs of the target groups that a rule of a load balancer names.

        Args:
            only_active: leave out load balancers that are not active yet.
        """
        balancers = (each for each in self.load_balancers if each.is_active or not only_active)
        return {arn for each in balancers for arn in each.target_groups()}


def group_dimension(arn: str) -> str:
    """The end of a target group's ARN: `targetgroup/<name>/<id>`."""
    return arn.rpartition(":")[2]


def ranges(codes: str) -> tuple[tuple[int, int], ...]:
    """Read a matcher such as "200", "200,202" or "200-299"; ELB's API has checked its syntax."""
    parts = (part.strip().partition("-") for part in codes.split(","))
    return tuple((int(low), int(high or low)) for low, _, high in parts)
