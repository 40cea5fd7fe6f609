"""The DNS record that points a deployment's domain to its load balancer.

It is an alias record of type A, because the load balancer has IPv4 addresses only. It is in this
account's most specific public hosted zone for the domain. A record belongs to a deployment if it
points to a load balancer with the deployment's ID as its name, so the ID is enough to recognize it.
Slipway never changes or deletes any other record.
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
# Record types that conflict with the alias record. (Below the zone's own name, `NS` delegates the
# domain to other servers.)
CONFLICTING = {"A", "AAAA", "CNAME", "NS"}
PENDING = "PENDING"


@dataclass(frozen=True)
class Zone:
    """A public hosted zone; `name` has no final dot."""

    id: str
    name: str


def zone_of(domain: str) -> Zone | None:
    """The zone that holds the domain's record; None if this account has no such zone.

    Raises `DeploymentFailed` (`NETWORK_MISCONFIGURED`) if two zones have the same name, because
    Slipway cannot know which of them DNS delegates to.
    """
    zones = _zones_above(domain)
    if len(zones) > 1 and zones[0].name == zones[1].name:
        raise DeploymentFailed(
            FailureCode.NETWORK_MISCONFIGURED,
            f"Two public hosted zones have the name {zones[0].name}: {zones[0].id} and "
            f"{zones[1].id}.",
            hint="Ask your platform team to delete the hosted zone that the domain is not "
            "delegated to.",
        )
    return zones[0] if zones else None


def check_free(deployment_id: str, domain: str, zone: Zone) -> list[dict[str, Any]]:
    """The deployment's own records for the domain: one, or none yet.

    Raises `DeploymentFailed` (`NETWORK_MISCONFIGURED`) if another record conflicts.
    """
    records = [
        record
        for record in _records(zone, domain)
        if record["Type"] in CONFLICTING and not (record["Type"] == "NS" and zone.name == domain)
    ]
    for record in records:
        if not _is_own(record, deployment_id):
            raise DeploymentFailed(
                FailureCode.NETWORK_MISCONFIGURED,
                f"{domain} already has a record of type {record['Type']} ({_value(record)}) that "
                "does not belong to this deployment. Slipway does not overwrite it.",
                hint=f"Delete the record from the hosted zone {zone.name} ({zone.id}) if it is "
                "unused, or choose another `domain`.",
                evidence={"record": record, "hosted_zone": zone.id},
            )
    return records


def ensure(deployment_id: str, domain: str, zone: Zone, balancer: LoadBalancer) -> str | None:
    """Points the record to the load balancer. Raises the same errors as `check_free`.

    Returns:
        The ID of the change, for `is_pending`; None if the record was already correct.
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
    # DELETE names the exact record, and CREATE is not UPSERT: a concurrent change is never lost.
    changes = [{"Action": "DELETE", "ResourceRecordSet": record} for record in own]
    return _change(zone, [*changes, {"Action": "CREATE", "ResourceRecordSet": wanted}])


def is_pending(change_id: str) -> bool:
    """Whether some Route 53 servers may not have the change yet. It takes about a minute.

    https://docs.aws.amazon.com/Route53/latest/APIReference/API_GetChange.html
    """
    route53 = aws.client("route53")
    try:
        return bool(route53.get_change(Id=change_id)["ChangeInfo"]["Status"] == PENDING)
    except route53.exceptions.NoSuchChange:
        return False


def delete(deployment_id: str, domains: Iterable[str]) -> None:
    """Deletes the deployment's records. Succeeds if there are none.

    Looks in every zone that contains the domain, because a more specific zone may be new.
    """
    for domain in domains:
        for zone in _zones_above(domain):
            own = [record for record in _records(zone, domain) if _is_own(record, deployment_id)]
            if own:
                _change(zone, [{"Action": "DELETE", "ResourceRecordSet": record} for record in own])


def exists(deployment_id: str, domains: Iterable[str]) -> list[str]:
    """The domains that point to a load balancer of the deployment."""
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
    """The public zones that contain the domain, the most specific first."""
    pages = aws.client("route53").get_paginator("list_hosted_zones").paginate()
    zones = [
        Zone(described["Id"].rpartition("/")[2], described["Name"].rstrip("."))
        for page in pages
        for described in page["HostedZones"]
        if not described.get("Config", {}).get("PrivateZone")
    ]
    above = [zone for zone in zones if f".{domain}".endswith(f".{zone.name}")]
    return sorted(above, key=lambda zone: len(zone.name), reverse=True)


def _records(zone: Zone, domain: str) -> list[dict[str, Any]]:
    """The records of exactly this name; none if the zone no longer exists."""
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
        # The record changed between the read and this call. The next attempt reads it again.
        raise NotReady(
            f"the DNS record changed during the update: {aws.message_of(error)}"
        ) from None
    except route53.exceptions.PriorRequestNotComplete as error:
        raise NotReady(f"Route 53 is processing another change: {aws.message_of(error)}") from None
    return str(answer["ChangeInfo"]["Id"]).rpartition("/")[2]


def _is_own(record: dict[str, Any], deployment_id: str) -> bool:
    """Whether the record points to a load balancer of the deployment, current or former.

    The DNS name of a load balancer is its name, a hyphen, letters or digits, and a dot.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html
    """
    form = rf"{re.escape(deployment_id)}-[0-9a-z]+\.[a-z0-9.-]+\.amazonaws\.com(\.cn)?"
    return record["Type"] == ALIAS and re.fullmatch(form, _target(record)) is not None


def _target(record: dict[str, Any]) -> str:
    """The target of an alias. The AWS console adds the prefix `dualstack.` to it."""
    name = str(record.get("AliasTarget", {}).get("DNSName", ""))
    return name.lower().rstrip(".").removeprefix("dualstack.")


def _name(record: dict[str, Any]) -> str:
    return str(record["Name"]).lower().rstrip(".")


def _value(record: dict[str, Any]) -> str:
    if "AliasTarget" in record:
        return f"an alias of {_target(record)}"
    return (
        ", ".join(entry["Value"] for entry in record.get("ResourceRecords", []))
        or "a traffic policy"
    )
