"""The two nodes of a load balancer, which learn its changes at different times."""

from __future__ import annotations

import random
from collections import deque

from local.load_balancers.configuration import LoadBalancer
from local.load_balancers.selection import Choices


class Node:
    """One node: the configuration that it knows, and its own choices of targets."""

    def __init__(self, zone: str, known: LoadBalancer, randomness: random.Random) -> None:
        self.zone = zone
        self.choices = Choices(randomness)
        self._known = known
        self._coming: deque[tuple[float, LoadBalancer]] = deque()

    def learn(self, at: float, configuration: LoadBalancer) -> None:
        """From the time `at` on, the node knows `configuration`, but never before earlier ones."""
        self._coming.append((at, configuration))

    def known(self, now: float) -> LoadBalancer:
        """The configuration that the node knows at the time `now`."""
        while self._coming and self._coming[0][0] <= now:
            self._known = self._coming.popleft()[1]
        return self._known


class Nodes:
    """The nodes of one load balancer, one in each of its first two zones.

    AWS does not document how soon a node knows a change. Here one node knows it within the first
    fifth of the propagation time, and the other one in its second half. Which one is first, and
    when, depends on the seed. The first configuration is known at once.
    """

    COUNT = 2

    def __init__(self, configuration: LoadBalancer, propagation: float, seed: int) -> None:
        """Args: propagation: seconds of the event loop, already scaled."""
        # A text as the seed is hashed the same way in each process.
        self._random = random.Random(f"{seed} {configuration.name}")
        self._propagation = propagation
        self.latest = configuration
        zones = (*configuration.zones, "local-a", "local-b")[: self.COUNT]
        # The choices of targets use their own, so that requests do not change when nodes learn.
        self._nodes = [
            Node(zone, configuration, random.Random(f"{seed} {configuration.name} {zone}"))
            for zone in zones
        ]
        self._connections = 0

    def change(self, now: float, configuration: LoadBalancer) -> None:
        """Let the nodes learn `configuration`, if it differs from the previous one."""
        if configuration == self.latest:
            return
        self.latest = configuration
        fractions = [self._random.uniform(0, 0.2), self._random.uniform(0.5, 1)]
        self._random.shuffle(fractions)
        for node, fraction in zip(self._nodes, fractions, strict=True):
            node.learn(now + fraction * self._propagation, configuration)

    def next(self) -> Node:
        """The node for a new connection: each in turn."""
        node = self._nodes[self._connections % self.COUNT]
        self._connections += 1
        return node
