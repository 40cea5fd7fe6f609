"""Chooses a target group by weight, and a target by the group's algorithm."""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from local.load_balancers.configuration import Forward, TargetGroup
from local.load_balancers.targets import Target

Key = TypeVar("Key", bound=Hashable)


class Turns:
    """Smooth weighted round robin: with equal weights, each key in turn.

    After any number of choices, each key was chosen in proportion to its weight, give or take one.
    """

    def __init__(self) -> None:
        self._credits: dict[Hashable, float] = {}

    def take(self, weights: Mapping[Key, float]) -> Key | None:
        """Choose a key; None if all weights are 0."""
        weighted = {key: weight for key, weight in weights.items() if weight > 0}
        if not weighted:
            return None
        before = self._credits
        self._credits = {key: before.get(key, 0) + each for key, each in weighted.items()}
        chosen = max(weighted, key=lambda key: self._credits[key])
        self._credits[chosen] -= sum(weighted.values())
        return chosen


class Choices:
    """The choices of one node."""

    def __init__(self, randomness: random.Random) -> None:
        self._random = randomness
        self._groups: dict[Forward, Turns] = {}
        self._targets: dict[str, Turns] = {}

    def group(self, forward: Forward, sticky: str | None) -> str | None:
        """The ARN of the target group for a request; None if all weights are 0.

        The weights decide, even if the group is empty: "Each target group weight is a value from
        0 to 999. Requests … are distributed to these target groups based on their weights."
        With stickiness, "the request is routed to the target group specified in the cookie".
        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-listeners.html

        Args:
            sticky: the target group of the client's cookie.
        """
        if sticky in dict(forward.groups):
            return sticky
        return self._groups.setdefault(forward, Turns()).take(dict(forward.groups))

    def target(self, group: TargetGroup, targets: Sequence[Target], now: float) -> Target | None:
        """The target for a request: one of `targets`, which are eligible."""
        turns = self._targets.setdefault(group.arn, Turns())
        if group.algorithm == "weighted_random":
            return self._random.choice(targets) if targets else None
        if group.algorithm == "least_outstanding_requests" and targets:
            least = min(target.in_flight for target in targets)
            targets = [target for target in targets if target.in_flight == least]
        return turns.take({target: target.share(now) for target in targets})


def eligible(group: TargetGroup, targets: Sequence[Target]) -> tuple[list[Target], bool]:
    """The targets that may receive requests, and whether the load balancer failed open.

    "If a target group contains only unhealthy registered targets, the load balancer routes
    requests to all those targets, regardless of their health status." But "before a target can
    receive requests from the load balancer, it must pass the initial health checks".
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
    """
    registered = [target for target in targets if not target.draining]
    healthy = [target for target in registered if target.is_healthy]
    if group.enough_healthy(len(healthy), len(registered)):
        return healthy, False
    tried = [target for target in registered if target.health.state in ("healthy", "unhealthy")]
    return tried, bool(tried)
