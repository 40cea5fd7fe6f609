"""The cost of a deployment: the list prices of its region, and the meter that adds it up.

`prices.json` has the prices of each region, with their month and sources. Update it with
`python -m infra.prices REGION ...`. Data transfer, load balancer capacity units and log storage
are not included, because they depend on traffic.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.spec.fargate import LEAST_STORAGE_GIB
from chalicelib.domain.spec.spec import Spec

TABLE = Path(__file__).with_name("prices.json")
# These prices apply if those of a region are not known. `basis` says so.
FALLBACK = "us-east-1"


class Prices(BaseModel):
    """One region's list prices, in USD.

    Attributes:
        month: when they were retrieved, such as `2026-11`.
        sources: where they were retrieved from.
        vcpu_hour, gib_hour: of Linux tasks on Fargate, by architecture.
        load_balancer_hour: of an Application Load Balancer, without capacity units.
        public_ipv4_hour: of one address in use.
        storage_gib_hour: of ephemeral storage beyond the 20 GiB that each task has.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    month: str
    sources: tuple[str, ...]
    vcpu_hour: dict[str, float]
    gib_hour: dict[str, float]
    load_balancer_hour: float
    public_ipv4_hour: float
    storage_gib_hour: float


@cache
def table() -> dict[str, Prices]:
    """Region -> prices, for all regions in `prices.json`."""
    return {region: Prices(**prices) for region, prices in json.loads(TABLE.read_text()).items()}


def prices_of(region: str) -> Prices:
    """The region's prices, or those of us-east-1 if they are not known."""
    return table().get(region) or table()[FALLBACK]


def basis(region: str) -> str:
    """A text that says which prices a cost in the region is based on."""
    known = region if region in table() else FALLBACK
    unknown = "" if region == known else f"no prices known for {region}: "
    month = table()[known].month
    return f"{unknown}{known} list prices of {month}, data transfer and LCUs left out"


def usd_per_hour(
    spec: Spec,
    public_tasks: bool = True,
    load_balancer_zones: int = 2,
    region: str = FALLBACK,
    tasks: int | None = None,
) -> float:
    """USD per hour of `spec` while it is ACTIVE or PAUSED.

    Args:
        public_tasks: whether each task has a public address.
        load_balancer_zones: in how many zones the load balancer has a public address.
        region: where it runs.
        tasks: how many run; by default `count` of the spec, or its scaling minimum.
    """
    prices = prices_of(region)
    vcpu, gib = prices.vcpu_hour[spec.architecture], prices.gib_hour[spec.architecture]
    storage = (spec.storage_gib - LEAST_STORAGE_GIB) * prices.storage_gib_hour
    task = spec.cpu / 1024 * vcpu + spec.memory / 1024 * gib + storage
    count = spec.least_tasks if tasks is None else tasks
    addresses = load_balancer_zones + (count if public_tasks else 0)
    fixed = prices.load_balancer_hour + addresses * prices.public_ipv4_hour
    return round(task * count + fixed, 6)


class Meter(BaseModel):
    """USD accrued until `since`, and the rate since then."""

    accrued_usd: float = 0.0
    usd_per_hour: float = 0.0
    since: datetime | None = None

    def accrued(self, now: datetime) -> float:
        """USD accrued until `now`."""
        hours = (now - self.since).total_seconds() / 3600 if self.since else 0.0
        return self.accrued_usd + max(0.0, hours) * self.usd_per_hour

    def set_rate(self, usd_per_hour: float, now: datetime) -> None:
        """Adds what has accrued until `now`, and continues at another rate."""
        self.accrued_usd = round(self.accrued(now), 6)
        self.usd_per_hour, self.since = usd_per_hour, now
