"""What a deployment costs in this stack."""

from __future__ import annotations

from chalicelib.deployments.pricing import usd_per_hour
from chalicelib.deployments.spec import Spec
from chalicelib.settings import settings


def hourly_rate(spec: Spec) -> float:
    """USD per hour while it serves, with the public addresses that this stack's network gives."""
    own = settings()
    return usd_per_hour(spec, own.assign_public_ip, own.load_balancer_zones)
