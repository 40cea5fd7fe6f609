"""The cost of a deployment in this stack."""

from __future__ import annotations

from chalicelib.domain import pricing
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform.settings import settings


def hourly_rate(spec: Spec, tasks: int | None = None) -> float:
    """USD per hour of `spec` in the stack's region and network.

    Args:
        tasks: how many run; by default `count` of the spec, or its scaling minimum.
    """
    stack = settings()
    return pricing.usd_per_hour(
        spec, stack.assign_public_ip, stack.load_balancer_zones, stack.aws_region, tasks
    )


def basis() -> str:
    """A text that says which prices the cost is based on."""
    return pricing.basis(settings().aws_region)
