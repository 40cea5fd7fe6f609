"""What a deployment costs in this stack."""

from __future__ import annotations

from chalicelib.domain import pricing
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform.settings import settings


def hourly_rate(spec: Spec, tasks: int | None = None) -> float:
    """USD per hour while it serves, in this region and with the public addresses that this stack's
    network gives.

    `tasks`: how many run, where it scales by itself; by default the fewest.
    """
    own = settings()
    return pricing.usd_per_hour(
        spec, own.assign_public_ip, own.load_balancer_zones, own.aws_region, tasks
    )


def basis() -> str:
    """What it rests on, in words."""
    return pricing.basis(settings().aws_region)
