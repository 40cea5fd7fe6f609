"""Who may reach the load balancer: the rule for `ingress_cidrs`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

# With HTTPS each is a rule for two ports, the old ones stand until the new ones do, and a security
# group holds 60 rules by default.
# https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
MOST_CIDRS = 15
_ALL = ipaddress.ip_network("0.0.0.0/0")


def check(cidrs: list[str]) -> None:
    """Raises `ValueError` with all faults: each range must be an IPv4 network as AWS writes it."""
    if faults := list(_faults(cidrs)):
        raise ValueError("; ".join(faults))


def is_everyone(cidrs: list[str]) -> bool:
    """Whether the ranges together are the whole of IPv4."""
    return list(ipaddress.collapse_addresses(map(ipaddress.IPv4Network, cidrs))) == [_ALL]


def _faults(cidrs: list[str]) -> Iterator[str]:
    if not cidrs:
        yield "must name at least one range, or nobody could ask for a prediction"
    if len(cidrs) > MOST_CIDRS:
        yield f"must be at most {MOST_CIDRS} ranges"
    for cidr in cidrs[:MOST_CIDRS]:
        if fault := _fault(cidr):
            yield fault
    twice = sorted({cidr for cidr in cidrs if cidrs.count(cidr) > 1})
    if twice:
        yield f"{', '.join(twice)} must be named once"


def _fault(cidr: str) -> str:
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return f"{cidr!r} must be an IPv4 range such as 203.0.113.0/24"
    if network.version == 6:
        return f"{cidr} cannot be used: the load balancer has IPv4 addresses only"
    return f"{cidr} must be written {network}" if str(network) != cidr else ""
