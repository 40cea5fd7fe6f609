"""Chooses the target group and the target of one request, with their stickiness."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from local.load_balancers.configuration import Forward, Listener, LoadBalancer, TargetGroup
from local.load_balancers.forwarding import Hop
from local.load_balancers.metrics import Metrics
from local.load_balancers.nodes import Node
from local.load_balancers.request import Request
from local.load_balancers.selection import eligible
from local.load_balancers.stickiness import APP_COOKIE, GROUP_COOKIE, TARGET_COOKIE, Cookies
from local.load_balancers.targets import Target, TargetGroups


@dataclass(frozen=True)
class Visit:
    """A request at one node of a load balancer, with the configuration that this node knows."""

    node: Node
    balancer: LoadBalancer
    listener: Listener
    request: Request
    metrics: Metrics

    def count(self, name: str, value: float = 1, group: str | None = None) -> None:
        """Add to a metric. Args: group: the target group's dimension."""
        self.metrics.add(name, value, self.balancer.dimension, self.node.zone, group)


class Chooser:
    """Chooses among the registered targets."""

    def __init__(self, groups: TargetGroups, cookies: Cookies) -> None:
        self._groups, self._cookies = groups, cookies

    def hop(self, visit: Visit, forward: Forward, now: float) -> Hop | None:
        """The way to a target; None if the request's target group has none to choose.

        Raises:
            AddressRefused: the local load balancers must not connect to the target.
        """
        sent = visit.request.cookies()
        sticky = self._cookies.read(sent, GROUP_COOKIE) if forward.sticky_seconds else None
        arn = visit.node.choices.group(forward, sticky)
        group = self._groups.get(arn) if arn else None
        if group is None:
            return None
        candidates, failed_open = eligible(group.configuration, group.targets())
        target = self._sticky_target(visit, group.configuration, candidates)
        if target is None:
            target = visit.node.choices.target(group.configuration, candidates, now)
        if target is None:
            return None
        dimension = group.configuration.dimension
        visit.count("RequestCount", 1, dimension)
        if failed_open:
            visit.count("UnhealthyRoutingRequestCount", 1, dimension)
        return Hop(
            balancer=visit.balancer,
            listener=visit.listener,
            target=target,
            address=self._groups.resolve(target),
            set_cookies=partial(self._set_cookies, visit, forward, group.configuration, target),
            count=partial(visit.count, group=dimension),
        )

    def _sticky_target(
        self, visit: Visit, group: TargetGroup, candidates: list[Target]
    ) -> Target | None:
        """The target of the client's cookie.

        "If the cookie … refers to a target that was deregistered or is unhealthy, the load balancer
        selects a new target." With an application cookie, "clients have to send back both cookies".
        """
        if group.sticky is None:
            return None
        sent = visit.request.cookies()
        by_app = group.sticky == "app_cookie"
        known = self._cookies.read(sent, APP_COOKIE if by_app else TARGET_COOKIE)
        if by_app and _app_cookie(group) not in sent:
            known = None
        target = next((each for each in candidates if _reference(group, each) == known), None)
        if target is None:
            visit.count("NonStickyRequestCount", 1, group.dimension)
        return target

    def _set_cookies(
        self,
        visit: Visit,
        forward: Forward,
        group: TargetGroup,
        target: Target,
        set_by_target: set[str],
    ) -> list[str]:
        """The `Set-Cookie` values of a response. Each response renews them."""
        https = visit.listener.protocol == "HTTPS"
        lines: list[str] = []
        if forward.sticky_seconds:
            lines += self._cookies.issue(GROUP_COOKIE, group.arn, forward.sticky_seconds, https)
        by_app = group.sticky == "app_cookie"
        name = APP_COOKIE if by_app else TARGET_COOKIE
        known = _app_cookie(group) in set_by_target | visit.request.cookies().keys()
        if group.sticky == "lb_cookie" or (by_app and known):
            reference = _reference(group, target)
            lines += self._cookies.issue(name, reference, group.sticky_seconds, https)
        return lines


def _app_cookie(group: TargetGroup) -> str:
    """The name of the cookie that the application sets."""
    return group.attributes.get("stickiness.app_cookie.cookie_name", "")


def _reference(group: TargetGroup, target: Target) -> str:
    return f"{group.arn} {target.id} {target.port}"
