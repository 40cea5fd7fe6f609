"""The rules for `ingress_cidrs`: the IPv4 ranges that can reach the load balancer."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from chalicelib.domain.spec.faults import shown

# With HTTPS, each range needs two security group rules: one for each port. An update adds the new
# rules before it removes the old ones. A security group has at most 60 rules by default.
# https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
MOST_CIDRS = 15
_ALL = ipaddress.ip_network("0.0.0.0/0")


def check(cidrs: list[str]) -> None:
    """Raises `ValueError` that lists every fault: each range must be a canonical IPv4 network."""
    if faults := list(_faults(cidrs)):
        raise ValueError("; ".join(faults))


def is_everyone(cidrs: list[str]) -> bool:
    """Whether the ranges together cover all IPv4 addresses."""
    return list(ipaddress.collapse_addresses(map(ipaddress.IPv4Network, cidrs))) == [_ALL]


def _faults(cidrs: list[str]) -> Iterator[str]:
    if not cidrs:
        yield "must have at least one range, because an empty list would block every request"
    if len(cidrs) > MOST_CIDRS:
        yield f"must have at most {MOST_CIDRS} ranges, not {len(cidrs)}"
    for cidr in cidrs[:MOST_CIDRS]:
        if fault := _fault(cidr):
            yield fault
    repeated = sorted({cidr for cidr in cidrs if cidrs.count(cidr) > 1})
    if repeated:
        yield f"must not repeat a range: {', '.join(repeated)}"


def _fault(cidr: str) -> str:
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return f"must contain IPv4 ranges such as 203.0.113.0/24, not {shown(cidr)}"
    if network.version == 6:
        return f"must contain IPv4 ranges only, not {cidr}: the load balancer has no IPv6 address"
    return f"must contain {network} instead of {cidr}" if str(network) != cidr else ""
