"""The shared input of the preflight checks: the deployment, and AWS's answers about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from chalicelib.domain.deployment import Deployment
from chalicelib.platform import aws
from chalicelib.resources import load_balancer, network, service
from chalicelib.resources.network import Network


class NotKnown(Exception):
    """A check has no result; the message says why. It never stops a deploy."""


@dataclass(frozen=True)
class Subject:
    """The deployment to check. Each property calls AWS once."""

    deployment: Deployment

    @cached_property
    def placement(self) -> tuple[Network, dict[str, int]]:
        """The network, and subnet ID -> number of free addresses."""
        return network.find_with_room()

    @cached_property
    def elb_limits(self) -> dict[str, str]:
        """Name -> value of the account's Elastic Load Balancing quotas, as AWS returns them."""
        pages = aws.client("elbv2").get_paginator("describe_account_limits").paginate()
        limits = (limit for page in pages for limit in page["Limits"])
        return {limit["Name"]: limit.get("Max", "") for limit in limits}

    @cached_property
    def has_load_balancer(self) -> bool:
        """Whether a load balancer exists already: in an update, or if a create is retried."""
        return load_balancer.find(self.deployment.id) is not None

    @cached_property
    def new_tasks(self) -> int:
        """The number of tasks that must start in addition to the running ones.

        At least one for a new image: ECS starts new tasks before it stops old ones, and one at a
        time is enough (minimumHealthyPercent 100, maximumPercent 200).
        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html
        """
        deployment = self.deployment
        described = service.find(deployment.id) or {}
        is_active = described.get("status") == "ACTIVE"
        running = described["runningCount"] + described.get("pendingCount", 0) if is_active else 0
        before = deployment.last_active
        is_rollout = before is None or before.image.digest != deployment.image.digest
        least = 1 if is_rollout and deployment.wanted_tasks else 0
        return max(deployment.wanted_tasks - running, least)
