"""What the checks of the preflight share: the deployment with what AWS says of it, asked once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from chalicelib.domain.deployment import Deployment
from chalicelib.platform import aws
from chalicelib.resources import load_balancer, network, service
from chalicelib.resources.network import Network


class NotKnown(Exception):
    """A check cannot be carried out; the message says why. It never stops a deploy."""


@dataclass(frozen=True)
class Subject:
    """The deployment that is checked."""

    deployment: Deployment

    @cached_property
    def placement(self) -> tuple[Network, dict[str, int]]:
        """The network, and subnet id -> free addresses."""
        return network.find_with_room()

    @cached_property
    def elb_limits(self) -> dict[str, str]:
        """Name -> what Elastic Load Balancing allows the account, as it writes it."""
        pages = aws.client("elbv2").get_paginator("describe_account_limits").paginate()
        limits = (limit for page in pages for limit in page["Limits"])
        return {limit["Name"]: limit.get("Max", "") for limit in limits}

    @cached_property
    def has_load_balancer(self) -> bool:
        """True for an update, or when a create is taken up again: it takes no more then."""
        return load_balancer.find(self.deployment.id) is not None

    @cached_property
    def new_tasks(self) -> int:
        """How many tasks must find room beside those that run by now, for the deploy to go on.

        Another image is rolled out with new tasks first and old ones after, but one at a time is
        enough (minimumHealthyPercent 100, maximumPercent 200).
        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html
        """
        deployment = self.deployment
        found = service.find(deployment.id)
        live = found and found["status"] == "ACTIVE"
        running = found["runningCount"] + found.get("pendingCount", 0) if found and live else 0
        before = deployment.last_active
        is_rollout = before is None or before.image.digest != deployment.image.digest
        least = 1 if is_rollout and deployment.wanted_tasks else 0
        return max(deployment.wanted_tasks - running, least)
