"""The DNS record by which a deployment's domain leads to its load balancer.

An alias record of type A in the public hosted zone of this account that is nearest to the domain;
the load balancer has IPv4 addresses only. A record is the deployment's own where it leads to a load
balancer that is named by the deployment's id: so the id tells it, whatever was recorded. No other
record is ever changed or deleted.
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/routing-to-elb-load-balancer.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.errors import DeploymentFailed, FailureCode, NotReady
from chalicelib.domain.parts import ResourceKind
from chalicelib.platform import aws
from chalicelib.resources.load_balancer import LoadBalancer

KIND = ResourceKind.DNS_RECORD
ALIAS = "A"
# What else at the name would answer in the record's place, or beside it. (`NS` below the zone's own
# name hands the name to other servers.)
IN_THE_WAY = {"A", "AAAA", "CNAME", "NS"}
PENDING = "PENDING"


@dataclass(frozen=True)
class Zone:
    """A public hosted zone; `name` without the dot that ends it."""

    id: str
    name: str


def zone_of(domain: str) -> Zone | None:
    """The zone that the domain's record belongs into; None where this account has none.

    Raises `DeploymentFailed` (`NETWORK_MISCONFIGURED`) where two have the same name: which of them
    the world asks is not to be told from here.
    """
    found = _zones_above(domain)
    if len(found) > 1 and found[0].name == found[1].name:
        raise DeploymentFailed(
            FailureCode.NETWORK_MISCONFIGURED,
            f"Two public hosted zones are named {found[0].name}: {found[0].id} and {found[1].id}.",
            hint="Ask the platform team to delete the one that the domain is not delegated to.",
        )
    return found[0] if found else None


def check_free(deployment_id: str, domain: str, zone: Zone) -> list[dict[str, Any]]:
    """The deployment's own records at the name: one, or none yet.

    Raises `DeploymentFailed` (`NETWORK_MISCONFIGURED`) where another's record is in the way.
    """
    found = [
        record
        for record in _records(zone, domain)
        if record["Type"] in IN_THE_WAY and not (record["Type"] == "NS" and zone.name == domain)
    ]
    for record in found:
        if not _is_own(record, deployment_id):
            raise DeploymentFailed(
                FailureCode.NETWORK_MISCONFIGURED,
                f"{domain} has a record of type {record['Type']} already, {_told(record)}, and "
                "Slipway overwrites none that is not the deployment's own.",
                hint=f"Delete that record from the hosted zone {zone.name} ({zone.id}) if it is no "
                "longer used, or choose another `domain`.",
                evidence={"record": record, "hosted_zone": zone.id},
            )
    return found


def ensure(deployment_id: str, domain: str, zone: Zone, balancer: LoadBalancer) -> str | None:
    """Brings the record to lead to the load balancer. Raises as `check_free` does.

    Returns:
        The id of the change, for `is_pending`; None where there was nothing to change.
    """
    own = check_free(deployment_id, domain, zone)
    if any(_target(record) == balancer.dns_name.lower() for record in own):
        return None
    wanted = {
        "Name": domain,
        "Type": ALIAS,
        "AliasTarget": {
            "HostedZoneId": balancer.zone_id,
            "DNSName": balancer.dns_name,
            "EvaluateTargetHealth": False,
        },
    }
    # CREATE and the exact record to DELETE, never UPSERT: what somebody else wrote since is kept.
    changes = [{"Action": "DELETE", "ResourceRecordSet": record} for record in own]
    return _change(zone, [*changes, {"Action": "CREATE", "ResourceRecordSet": wanted}])


def is_pending(change_id: str) -> bool:
    """Whether some of Route 53's servers may not have heard of the change yet: about a minute.

    https://docs.aws.amazon.com/Route53/latest/APIReference/API_GetChange.html
    """
    route53 = aws.client("route53")
    try:
        return bool(route53.get_change(Id=change_id)["ChangeInfo"]["Status"] == PENDING)
    except route53.exceptions.NoSuchChange:
        return False


def delete(deployment_id: str, domains: Iterable[str]) -> None:
    """Deletes the deployment's records; succeeds where there is none.

    They are looked for in every zone that the domain lies in: a nearer zone may have been made
    since.
    """
    for domain in domains:
        for zone in _zones_above(domain):
            own = [record for record in _records(zone, domain) if _is_own(record, deployment_id)]
            if own:
                _change(zone, [{"Action": "DELETE", "ResourceRecordSet": record} for record in own])


def exists(deployment_id: str, domains: Iterable[str]) -> list[str]:
    """Those of the domains that lead to a load balancer of the deployment."""
    return [
        domain
        for domain in domains
        if any(
            _is_own(record, deployment_id)
            for zone in _zones_above(domain)
            for record in _records(zone, domain)
        )
    ]


def _zones_above(domain: str) -> list[Zone]:
    """The public zones that the domain lies in, the nearest first."""
    pages = aws.client("route53").get_paginator("list_hosted_zones").paginate()
    zones = [
        Zone(found["Id"].rpartition("/")[2], found["Name"].rstrip("."))
        for page in pages
        for found in page["HostedZones"]
        if not found.get("Config", {}).get("PrivateZone")
    ]
    above = [zone for zone in zones if f".{domain}".endswith(f".{zone.name}")]
    return sorted(above, key=lambda zone: len(zone.name), reverse=True)


def _records(zone: Zone, domain: str) -> list[dict[str, Any]]:
    """The records of just this name; none where the zone has gone meanwhile."""
    route53 = aws.client("route53")
    try:
        answer = route53.list_resource_record_sets(HostedZoneId=zone.id, StartRecordName=domain)
    except route53.exceptions.NoSuchHostedZone:
        return []
    return [record for record in answer["ResourceRecordSets"] if _name(record) == domain]


def _change(zone: Zone, changes: list[dict[str, Any]]) -> str:
    route53 = aws.client("route53")
    try:
        answer = route53.change_resource_record_sets(
            HostedZoneId=zone.id, ChangeBatch={"Changes": changes}
        )
    except (route53.exceptions.InvalidChangeBatch, route53.exceptions.NoSuchHostedZone) as error:
        # Somebody changed it between our look and our call: the next look sees what is there.
        raise NotReady(f"the record changed meanwhile: {aws.message_of(error)}") from None
    except route53.exceptions.PriorRequestNotComplete as error:
        raise NotReady(f"Route 53 is at another change: {aws.message_of(error)}") from None
    return str(answer["ChangeInfo"]["Id"]).rpartition("/")[2]


def _is_own(record: dict[str, Any], deployment_id: str) -> bool:
    """Whether it leads to a load balancer of the deployment, the present one or one before.

    A load balancer's DNS name begins with its name, a hyphen, and letters or digits up to the dot.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html
    """
    form = rf"{re.escape(deployment_id)}-[0-9a-z]+\.[a-z0-9.-]+\.amazonaws\.com(\.cn)?"
    return record["Type"] == ALIAS and re.fullmatch(form, _target(record)) is not None


def _target(record: dict[str, Any]) -> str:
    """Where an alias leads; the console puts `dualstack.` before it."""
    name = str(record.get("AliasTarget", {}).get("DNSName", ""))
    return name.lower().rstrip(".").removeprefix("dualstack.")


def _name(record: dict[str, Any]) -> str:
    return str(record["Name"]).lower().rstrip(".")


def _told(record: dict[str, Any]) -> str:
    if "AliasTarget" in record:
        return f"an alias of {_target(record)}"
    return ", ".join(entry["Value"] for entry in record.get("ResourceRecords", [])) or "by a policy"
