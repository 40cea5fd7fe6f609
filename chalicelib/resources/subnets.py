"""Which subnets of a VPC can carry a deployment: a load balancer, and tasks on Fargate.

A default VPC often holds more than its default subnets: private ones, and ones in Local Zones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from chalicelib.domain.spec import fargate

Subnet = dict[str, Any]


def unusable(subnet: Subnet, region: str) -> str:
    """Why a subnet, as DescribeSubnets returns it, cannot carry a deployment; empty if it can."""
    zone, zone_id = subnet["AvailabilityZone"], subnet.get("AvailabilityZoneId", "")
    # The code of an Availability Zone is its Region's code and a letter. The codes of Local Zones
    # and Wavelength Zones name a location: `us-east-1-bos-1a`.
    # https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html
    if not re.fullmatch(rf"{re.escape(region)}[a-z]", zone):
        return f"{zone} is not an Availability Zone"
    if subnet.get("OutpostArn"):
        return "it is on an Outpost"
    if subnet.get("Ipv6Native"):
        return "it has no IPv4 addresses"
    with_fargate = fargate.ZONES.get(region)
    if with_fargate and zone_id and zone_id not in with_fargate:
        return f"Fargate is not available in {zone} ({zone_id})"
    return ""


def chosen(
    subnets: Iterable[Subnet], is_reachable: Callable[[Subnet], bool], most: int | None
) -> list[Subnet]:
    """One subnet in each zone, of at most `most` zones; the same ones in every call.

    Zones with a subnet that the internet can reach come first. In a zone such a subnet comes first,
    and among these the default subnet.
    """
    ranked = sorted(
        subnets,
        key=lambda s: (not is_reachable(s), not s.get("DefaultForAz"), s["SubnetId"]),
    )
    by_zone: dict[str, Subnet] = {}
    for subnet in ranked:
        by_zone.setdefault(subnet["AvailabilityZone"], subnet)
    zones = sorted(by_zone, key=lambda zone: (not is_reachable(by_zone[zone]), zone))
    return [by_zone[zone] for zone in sorted(zones[:most])]
