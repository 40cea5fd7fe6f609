"""What a deployment costs: list prices, and the meter that adds them up.

Prices of us-east-1 in USD as of 2026-11, from https://aws.amazon.com/fargate/pricing/,
https://aws.amazon.com/elasticloadbalancing/pricing/ and https://aws.amazon.com/vpc/pricing/.
Data transfer, load balancer capacity units and log storage are left out: they follow traffic.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from chalicelib.deployments.spec import Spec

BASIS = "us-east-1 list prices of 2026-11, data transfer and LCUs left out"

# (vCPU hour, GiB hour)
FARGATE = {"X86_64": (0.04048, 0.004445), "ARM64": (0.03238, 0.00356)}
LOAD_BALANCER_HOUR = 0.0225
PUBLIC_IPV4_HOUR = 0.005


def usd_per_hour(spec: Spec, public_tasks: bool = True, load_balancer_zones: int = 2) -> float:
    """USD per hour of `spec` while it serves.

    Args:
        public_tasks: whether each task has a public address.
        load_balancer_zones: the load balancer has a public address in each of them.
    """
    vcpu, gib = FARGATE[spec.architecture]
    task = spec.cpu / 1024 * vcpu + spec.memory / 1024 * gib
    addresses = load_balancer_zones + (spec.count if public_tasks else 0)
    return round(task * spec.count + LOAD_BALANCER_HOUR + addresses * PUBLIC_IPV4_HOUR, 6)


class Meter(BaseModel):
    """USD accrued up to `since`, and the rate from there on."""

    accrued_usd: float = 0.0
    usd_per_hour: float = 0.0
    since: datetime | None = None

    def accrued(self, now: datetime) -> float:
        """USD accrued until `now`."""
        hours = (now - self.since).total_seconds() / 3600 if self.since else 0.0
        return self.accrued_usd + max(0.0, hours) * self.usd_per_hour

    def set_rate(self, usd_per_hour: float, now: datetime) -> None:
        """Settles what has accrued and goes on at another rate."""
        self.accrued_usd = round(self.accrued(now), 6)
        self.usd_per_hour, self.since = usd_per_hour, now
