"""Durations on AWS in seconds, measured in public logs and drawn by a seeded random generator.

The arrays come from the project's field notes. Each comment names the source.
"""

from __future__ import annotations

import random

# Create to active, 18 load balancers in public Terraform, CloudFormation and Copilot logs.
LOAD_BALANCER_ACTIVE = (
    92, 126, 133, 135, 139, 141, 142, 145, 148, 156, 156, 162, 164, 172, 172, 176, 182, 187,
)  # fmt: skip
# A Fargate task with a small image, created to RUNNING.
TASK_RUNNING = (15.3, 19.5, 19.8, 23.7, 23.9, 27.4, 28.5, 30.7, 31.0, 31.1, 46.8, 56.6)
# A container's exit to the task's STOPPED.
TASK_STOPPED = (12.9, 14.2, 22.6, 22.8, 23.0, 23.5, 23.5, 25.3)
# A load balancer's deletion until its security group can be deleted.
INTERFACES_GONE = (17, 21, 51, 62, 62, 154)
# Registering a target with every node: not measured. The field notes only say that targets are
# registered after the load balancer is active, so a few seconds is an assumption.
REGISTRATION = (1, 2, 2, 3, 5)
# How long a read after a create can return not found: seconds, rarely more than a few.
VISIBLE_AFTER = (0, 0, 0, 0, 1, 2)
# A change of DNS records until it is INSYNC: "within 60 seconds under normal conditions".
# https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html
DNS_IN_SYNC = (20, 30, 40, 60)


class Times:
    """Draws from the arrays. The same seed gives the same values."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def draw(self, measured: tuple[float, ...]) -> float:
        """One of the measured values."""
        return float(self._random.choice(measured))

    def between(self, low: float, high: float) -> float:
        """Any value between the two."""
        return self._random.uniform(low, high)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random.random() < probability
