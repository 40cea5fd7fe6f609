"""Keeps the actions and conditions of listeners and rules as the caller sent them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Answer = dict[str, Any]
DEFAULT_WEIGHT = 1


class Kept:
    """What MiniStack drops. Its methods change answers in place, as boto3 returns them."""

    def __init__(self) -> None:
        self._actions: dict[str, list[Answer]] = {}  # by the ARN of a listener or a rule
        self._conditions: dict[str, list[Answer]] = {}  # by the ARN of a rule

    def record(self, operation: str, params: Mapping[str, Any], answer: Answer) -> None:
        """Keep what an accepted call set, and forget what it deleted."""
        if operation in ("CreateListener", "ModifyListener"):
            if actions := params.get("DefaultActions"):
                arn = answer["Listeners"][0]["ListenerArn"]
                self._actions[arn] = [shown_action(each, n) for n, each in enumerate(actions, 1)]
        elif operation in ("CreateRule", "ModifyRule"):
            arn = answer["Rules"][0]["RuleArn"]
            if actions := params.get("Actions"):
                self._actions[arn] = [shown_action(each, n) for n, each in enumerate(actions, 1)]
            if conditions := params.get("Conditions"):
                self._conditions[arn] = [shown_condition(each) for each in conditions]
        elif operation in ("DeleteLoadBalancer", "DeleteListener", "DeleteRule"):
            self._forget(next(iter(params.values())))

    def _forget(self, arn: str) -> None:
        gone = tail_of(arn)
        for kept in (self._actions, self._conditions):
            for each in [each for each in kept if f"{tail_of(each)}/".startswith(f"{gone}/")]:
                del kept[each]

    def complete(self, answer: Answer) -> None:
        """Put what is kept into an answer of any operation."""
        for listener in answer.get("Listeners", ()):
            actions = self._actions.get(listener["ListenerArn"])
            listener["DefaultActions"] = actions or _shown(listener.get("DefaultActions", ()))
        for rule in answer.get("Rules", ()):
            arn = rule["RuleArn"]
            source = listener_of(arn) if rule.get("IsDefault") else arn
            rule["Actions"] = self._actions.get(source) or _shown(rule.get("Actions", ()))
            rule["Conditions"] = self._conditions.get(arn, rule.get("Conditions", []))
        for group in answer.get("TargetGroups", ()):
            balancers = {load_balancer_of(arn) for arn in self.users(group["TargetGroupArn"])}
            group["LoadBalancerArns"] = sorted(balancers)
            group.setdefault("ProtocolVersion", "HTTP1")
            group.setdefault("IpAddressType", "ipv4")

    def users(self, target_group: str) -> list[str]:
        """Return the ARNs of the listeners and rules that forward to a target group."""
        return [
            arn
            for arn, actions in self._actions.copy().items()  # other threads may add actions
            if target_group in {each for action in actions for each in groups_of(action)}
        ]


def groups_of(action: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ARNs of the target groups of an action."""
    for group in action.get("ForwardConfig", {}).get("TargetGroups", ()):
        yield group["TargetGroupArn"]
    if "TargetGroupArn" in action:
        yield action["TargetGroupArn"]


def _shown(actions: list[Answer]) -> list[Answer]:
    return [shown_action(each, number) for number, each in enumerate(actions, 1)]


def shown_action(action: Mapping[str, Any], number: int) -> Answer:
    """Return an action as AWS describes it.

    A forward action is described with `ForwardConfig`, and with `TargetGroupArn` too if it has
    one target group. https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Action.html

    Args:
        number: its place in the list.
    """
    shown = {**action, "Order": action.get("Order", number)}
    if action["Type"] == "redirect":
        whole = {"Protocol": "#{protocol}", "Port": "#{port}", "Host": "#{host}"}
        whole |= {"Path": "/#{path}", "Query": "#{query}"}
        shown["RedirectConfig"] = whole | dict(action.get("RedirectConfig", {}))
    if action["Type"] != "forward":
        return shown
    arns = list(dict.fromkeys(groups_of(action)))
    config = action.get("ForwardConfig", {})
    weighted = config.get("TargetGroups") or [{"TargetGroupArn": arn} for arn in arns]
    sticky = config.get("TargetGroupStickinessConfig") or {}
    shown["ForwardConfig"] = {
        "TargetGroups": [{"Weight": DEFAULT_WEIGHT, **group} for group in weighted],
        "TargetGroupStickinessConfig": {"Enabled": False, **sticky},
    }
    if len(arns) == 1:
        shown["TargetGroupArn"] = arns[0]
    return shown


def shown_condition(condition: Mapping[str, Any]) -> Answer:
    """Return a condition as AWS describes it: with its config, and host and path with both."""
    field = condition["Field"]
    shown: Answer = {"Values": [], **condition}
    both = {"host-header": "HostHeaderConfig", "path-pattern": "PathPatternConfig"}
    if name := both.get(field):
        values = condition.get(name, {}).get("Values") or condition.get("Values") or []
        if values:
            shown["Values"] = values
            shown[name] = {**condition.get(name, {}), "Values": values}
    return shown


def tail_of(arn: str) -> str:
    """Return `app/<name>/<id>`, with the ids of the listener and the rule if it has them."""
    return arn.rpartition(":")[2].partition("/")[2]


def listener_of(rule: str) -> str:
    """Return the ARN of a rule's listener."""
    return rule.replace(":listener-rule/", ":listener/").rpartition("/")[0]


def load_balancer_of(arn: str) -> str:
    """Return the ARN of the load balancer of a listener or a rule."""
    tail = "/".join(tail_of(arn).split("/")[:3])
    return f"{arn.rpartition(':')[0]}:loadbalancer/{tail}"
