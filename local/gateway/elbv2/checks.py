"""Refuses calls that AWS refuses and MiniStack accepts.

Limits: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
Errors: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from local.gateway.elbv2.kept import Kept, groups_of, listener_of
from local.gateway.wire import AwsError

GROUPS_PER_ACTION, WEIGHT_MAX = 5, 999
PRIORITY_MAX, RULES_MAX, CONDITION_VALUES_MAX, WILDCARDS_MAX = 50000, 100, 5, 6
STICKY_SECONDS_MAX = 604800
ROUTING = {"forward", "redirect", "fixed-response"}
CONDITION_CONFIGS = {
    "host-header": "HostHeaderConfig",
    "path-pattern": "PathPatternConfig",
    "http-header": "HttpHeaderConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "query-string": "QueryStringConfig",
    "source-ip": "SourceIpConfig",
}
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html
RANGES = {
    "deregistration_delay.timeout_seconds": (0, 3600),
    "stickiness.lb_cookie.duration_seconds": (1, STICKY_SECONDS_MAX),
    "stickiness.app_cookie.duration_seconds": (1, STICKY_SECONDS_MAX),
    "idle_timeout.timeout_seconds": (1, 4000),
    "client_keep_alive.seconds": (60, 604800),
}
SLOW_START, SLOW_START_RANGE = "slow_start.duration_seconds", (30, 900)
ALGORITHM = "load_balancing.algorithm.type"
ALGORITHMS = ("round_robin", "least_outstanding_requests", "weighted_random")
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html
HEALTH_CHECK_RANGES = {
    "HealthCheckIntervalSeconds": (5, 300),
    "HealthCheckTimeoutSeconds": (2, 120),
    "HealthyThresholdCount": (2, 10),
    "UnhealthyThresholdCount": (2, 10),
}
CODE_MIN, CODE_MAX = 200, 499
Params = Mapping[str, Any]


class Elbv2(Protocol):
    """The calls of boto3's `elbv2` client that the checks need."""

    def describe_listeners(self, **arguments: Any) -> dict[str, Any]: ...
    def describe_rules(self, **arguments: Any) -> dict[str, Any]: ...
    def describe_target_groups(self, **arguments: Any) -> dict[str, Any]: ...


class Checks:
    """Checks calls before MiniStack gets them. It may block, so it runs in a thread."""

    def __init__(self, elbv2: Elbv2, kept: Kept) -> None:
        self._elbv2, self._kept = elbv2, kept

    def check(self, operation: str, params: Params) -> None:
        """Raise AWS's error for a call that AWS would refuse."""
        method: Callable[[Params], None] | None = getattr(self, f"_{operation}", None)
        if method:
            method(params)

    def _CreateListener(self, params: Params) -> None:
        self._check_actions(params.get("DefaultActions", ()))
        arn, port = params["LoadBalancerArn"], params.get("Port")
        listeners = self._elbv2.describe_listeners(LoadBalancerArn=arn)["Listeners"]
        if port in {listener["Port"] for listener in listeners}:
            text = f"A listener already exists on this port for this load balancer '{arn}'"
            raise AwsError("DuplicateListener", text)

    def _ModifyListener(self, params: Params) -> None:
        if "DefaultActions" in params:
            self._check_actions(params["DefaultActions"])

    def _CreateRule(self, params: Params) -> None:
        _check_priority(params.get("Priority"))
        if not params.get("Conditions"):
            raise _invalid("A condition must be specified")
        _check_conditions(params["Conditions"])
        self._check_actions(params.get("Actions", ()))
        rules = self._rules_of(params["ListenerArn"])
        if str(params["Priority"]) in {rule["Priority"] for rule in rules}:
            raise AwsError("PriorityInUse", f"Priority '{params['Priority']}' is currently in use")
        if len(rules) > RULES_MAX:  # the default rule does not count
            raise AwsError("TooManyRules", "The maximum number of rules has been reached")

    def _ModifyRule(self, params: Params) -> None:
        if params.get("Conditions"):
            _check_conditions(params["Conditions"])
        if params.get("Actions"):
            self._check_actions(params["Actions"])

    def _SetRulePriorities(self, params: Params) -> None:
        wanted = {each["RuleArn"]: each["Priority"] for each in params.get("RulePriorities", ())}
        for priority in wanted.values():
            _check_priority(priority)
        if len(set(wanted.values())) < len(wanted):
            raise _invalid("Priorities must be unique")
        found: set[str] = set()
        for listener in {listener_of(arn) for arn in wanted}:
            for rule in self._rules_of(listener):
                if rule["RuleArn"] in wanted:
                    found.add(rule["RuleArn"])
                    if rule["IsDefault"]:
                        text = f"Default rule '{rule['RuleArn']}' priority cannot be modified"
                        raise AwsError("OperationNotPermitted", text)
                elif rule["Priority"] in {str(each) for each in wanted.values()}:
                    text = f"Priority '{rule['Priority']}' is currently in use"
                    raise AwsError("PriorityInUse", text)
        for arn in wanted.keys() - found:
            raise AwsError("RuleNotFound", f"Rule '{arn}' not found")

    def _CreateTargetGroup(self, params: Params) -> None:
        _check_health_check(params, {})

    def _ModifyTargetGroup(self, params: Params) -> None:
        arns = [params["TargetGroupArn"]]
        groups = self._elbv2.describe_target_groups(TargetGroupArns=arns)["TargetGroups"]
        _check_health_check(params, groups[0])

    def _DeleteTargetGroup(self, params: Params) -> None:
        arn = params["TargetGroupArn"]
        if self._kept.users(arn):
            text = f"Target group '{arn}' is currently in use by a listener or a rule"
            raise AwsError("ResourceInUse", text)

    def _ModifyTargetGroupAttributes(self, params: Params) -> None:
        _check_attributes(params.get("Attributes", ()))

    _ModifyLoadBalancerAttributes = _ModifyTargetGroupAttributes

    def _rules_of(self, listener: str) -> list[dict[str, Any]]:
        return list(self._elbv2.describe_rules(ListenerArn=listener)["Rules"])

    def _check_actions(self, actions: Iterable[Params]) -> None:
        actions = list(actions)
        routing = [action for action in actions if action.get("Type") in ROUTING]
        if len(routing) != 1:
            text = "You must specify exactly one action of type forward, redirect or fixed-response"
            raise _invalid(text)
        if max(actions, key=lambda action: action.get("Order", 0)) is not routing[0]:
            text = "The action of type forward, redirect or fixed-response must be the last one"
            raise AwsError("InvalidLoadBalancerAction", text)
        if routing[0]["Type"] == "forward":
            _check_forward(routing[0])
            self._check_groups(set(groups_of(routing[0])))

    def _check_groups(self, arns: set[str]) -> None:
        known = self._elbv2.describe_target_groups()["TargetGroups"]
        for arn in arns - {group["TargetGroupArn"] for group in known}:
            raise AwsError("TargetGroupNotFound", f"Target group '{arn}' not found")


def _invalid(text: str) -> AwsError:
    return AwsError("ValidationError", text)


def _check_forward(action: Params) -> None:
    config = action.get("ForwardConfig", {})
    groups = config.get("TargetGroups", ())
    single = action.get("TargetGroupArn")
    if not groups and not single:
        raise _invalid("A target group ARN must be specified for an action of type forward")
    if groups and single and [group["TargetGroupArn"] for group in groups] != [single]:
        text = "TargetGroupArn and ForwardConfig must name the same single target group"
        raise AwsError("InvalidLoadBalancerAction", text)
    if len(groups) > GROUPS_PER_ACTION:
        text = f"A rule can forward to at most '{GROUPS_PER_ACTION}' target groups"
        raise AwsError("TooManyTargetGroups", text)
    if len({group["TargetGroupArn"] for group in groups}) < len(groups):
        raise _invalid("The target groups of a forward action must be unique")
    for group in groups:
        _check_range("Weight", group.get("Weight", 1), 0, WEIGHT_MAX)
    sticky = config.get("TargetGroupStickinessConfig", {})
    if sticky.get("Enabled") or "DurationSeconds" in sticky:
        _check_range("DurationSeconds", sticky.get("DurationSeconds", 0), 1, STICKY_SECONDS_MAX)


def _check_priority(priority: Any) -> None:
    if priority is None:
        raise _invalid("Priority must be specified")
    _check_range("Priority", priority, 1, PRIORITY_MAX)


def _check_conditions(conditions: Iterable[Params]) -> None:
    count = wildcards = 0
    for condition in conditions:
        field = condition.get("Field", "")
        config = condition.get(CONDITION_CONFIGS.get(field, ""), {})
        if field not in CONDITION_CONFIGS:
            raise _invalid(f"Condition field '{field}' must be one of '{[*CONDITION_CONFIGS]}'")
        values = [
            *condition.get("Values", ()),
            *config.get("Values", ()),
            *condition.get("RegexValues", ()),
            *config.get("RegexValues", ()),
        ]
        if not values:
            raise _invalid(f"A condition value must be specified for the field '{field}'")
        if field == "http-header" and not config.get("HttpHeaderName"):
            raise _invalid("HttpHeaderName must be specified for the field 'http-header'")
        count += len(values)
        texts = [value if isinstance(value, str) else value.get("Value", "") for value in values]
        wildcards += sum(text.count("*") + text.count("?") for text in texts)
    if count > CONDITION_VALUES_MAX:
        raise _invalid(f"A rule can have at most '{CONDITION_VALUES_MAX}' condition values")
    if wildcards > WILDCARDS_MAX:
        raise _invalid(f"A rule can have at most '{WILDCARDS_MAX}' condition wildcards")


def _check_attributes(attributes: Iterable[Params]) -> None:
    for attribute in attributes:
        key, value = attribute.get("Key", ""), attribute.get("Value", "")
        if key in RANGES:
            _check_range(key, value, *RANGES[key])
        elif key == SLOW_START and value != "0":
            _check_range(key, value, *SLOW_START_RANGE)
        elif key == ALGORITHM and value not in ALGORITHMS:
            raise _invalid(f"{key} '{value}' must be one of '{', '.join(ALGORITHMS)}'")


def _check_health_check(params: Params, before: Params) -> None:
    for name, (low, high) in HEALTH_CHECK_RANGES.items():
        if name in params:
            _check_range(name, params[name], low, high)
    settings = {
        "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 5,
        **before,
        **params,
    }
    interval = settings["HealthCheckIntervalSeconds"]
    timeout = settings["HealthCheckTimeoutSeconds"]
    if timeout >= interval:
        text = f"Health check interval must be greater than the timeout ({interval} <= {timeout})"
        raise _invalid(text)
    if codes := params.get("Matcher", {}).get("HttpCode"):
        _check_codes(codes)


def _check_codes(codes: str) -> None:
    for part in codes.split(","):
        low, _, high = part.partition("-")
        try:
            first, last = int(low), int(high or low)
        except ValueError:
            first, last = 0, 0
        if not CODE_MIN <= first <= last <= CODE_MAX:
            text = f"Health check matcher HTTP code '{codes}' must be within {CODE_MIN}-{CODE_MAX}"
            raise _invalid(text)


def _check_range(name: str, value: Any, low: int, high: int) -> None:
    try:
        is_within = low <= int(value) <= high
    except ValueError:
        is_within = False
    if not is_within:
        raise _invalid(f"{name} '{value}' must be between '{low}' and '{high}' inclusive")
