"""Route 53's rules and delays, and a listener's rules for certificates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.support.simulated_aws.aws import Answer, AwsError, Call, Rule
from tests.support.simulated_aws.timeline import Timeline
from tests.support.simulated_aws.times import DNS_IN_SYNC, Times

# https://docs.aws.amazon.com/general/latest/gr/elb.html
BALANCERS_ZONE = "Z35SXDOTRQ7X7K"


class Addresses(Rule):
    """DNS records and certificates.

    Args:
        raw: service -> a boto3 client straight to the emulator.
    """

    def __init__(self, raw: Callable[[str], Any], timeline: Timeline, times: Times) -> None:
        self._raw, self._timeline, self._times = raw, timeline, times
        # Change ID -> when the change is INSYNC on all Route 53 servers, in seconds.
        self._in_sync_at: dict[str, float] = {}

    def before(self, call: Call) -> Answer | None:
        if call.name == "route53.ChangeResourceRecordSets":
            self._check_batch(call.params)
            return self._apply(call.params)
        if call.name == "route53.GetChange":
            return {"ChangeInfo": self._change(call.params["Id"].rpartition("/")[2])}
        if call.name in ("elbv2.CreateListener", "elbv2.ModifyListener"):
            self._check_certificates(call.params)
        return None

    def after(self, call: Call, answer: Answer) -> Answer:
        if call.name == "route53.ChangeResourceRecordSets":
            change = f"C{len(self._in_sync_at) + 1:08d}"
            self._in_sync_at[change] = self._timeline.now + self._times.draw(DNS_IN_SYNC)
            return {**answer, "ChangeInfo": self._change(change)}
        if call.name in ("elbv2.DescribeLoadBalancers", "elbv2.CreateLoadBalancer"):
            shown = [
                {"CanonicalHostedZoneId": BALANCERS_ZONE, **item}
                for item in answer["LoadBalancers"]
            ]
            return {**answer, "LoadBalancers": shown}
        return answer

    def _change(self, change: str) -> Answer:
        """https://docs.aws.amazon.com/Route53/latest/APIReference/API_GetChange.html"""
        if change not in self._in_sync_at:
            raise AwsError("NoSuchChange", f"Could not find resource with ID: {change}", 404)
        known = self._timeline.now >= self._in_sync_at[change]
        return {"Id": f"/change/{change}", "Status": "INSYNC" if known else "PENDING"}

    def _apply(self, params: Answer) -> Answer:
        """Change the emulator's records.

        moto refuses a CREATE that it has seen before if the zone has a record of a later name. The
        batch is checked, so UPSERT does the same.
        """
        changes = [
            {**change, "Action": "UPSERT" if change["Action"] == "CREATE" else change["Action"]}
            for change in params["ChangeBatch"]["Changes"]
        ]
        batch = {**params["ChangeBatch"], "Changes": changes}
        answer: Answer = self._raw("route53").change_resource_record_sets(
            **{**params, "ChangeBatch": batch}
        )
        return answer

    def _check_batch(self, params: Answer) -> None:
        """Apply a batch as a whole or not at all. DELETE needs the record's current values.

        https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html
        """
        there = {_key(record): record for record in self.records(params["HostedZoneId"])}
        for change in params["ChangeBatch"]["Changes"]:
            action, record = change["Action"], change["ResourceRecordSet"]
            key = _key(record)
            record_key = f"[name='{key[0]}', type='{key[1]}']"
            if action == "CREATE" and (key in there or self._meets_a_cname(key, there)):
                raise _invalid(
                    f"Tried to create resource record set {record_key} but it already exists"
                )
            if action == "DELETE":
                if key not in there:
                    raise _invalid(
                        f"Tried to delete resource record set {record_key} but it was not found"
                    )
                if _values(there[key]) != _values(record):
                    raise _invalid(
                        f"Tried to delete resource record set {record_key} but the values "
                        "provided do not match the current values"
                    )
                del there[key]
            else:
                there[key] = record

    @staticmethod
    def _meets_a_cname(key: tuple[str, str], there: dict[tuple[str, str], Any]) -> bool:
        return any(name == key[0] and "CNAME" in (kind, key[1]) for name, kind in there)

    def records(self, zone: str) -> list[Answer]:
        """All records of a hosted zone."""
        page = self._raw("route53").list_resource_record_sets(HostedZoneId=zone)
        return list(page["ResourceRecordSets"])

    def aliases(self) -> Iterator[tuple[str, str]]:
        """(name, target name) of every alias record in the account's zones."""
        for zone in self._raw("route53").list_hosted_zones()["HostedZones"]:
            for record in self.records(zone["Id"]):
                if "AliasTarget" in record:
                    target = record["AliasTarget"]["DNSName"].rstrip(".")
                    yield record["Name"].rstrip("."), target

    def _check_certificates(self, params: Answer) -> None:
        """https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html"""
        for entry in params.get("Certificates", []):
            acm = self._raw("acm")
            try:
                details = acm.describe_certificate(CertificateArn=entry["CertificateArn"])
            except acm.exceptions.ResourceNotFoundException:
                message = f"Certificate '{entry['CertificateArn']}' not found"
                raise AwsError("CertificateNotFound", message) from None
            if details["Certificate"]["Status"] != "ISSUED":
                raise AwsError("UnsupportedCertificate", "The certificate must be issued")


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidChangeBatch", f"[{message}]")


def _key(record: Answer) -> tuple[str, str]:
    return record["Name"].lower().rstrip("."), record["Type"]


def _values(record: Answer) -> Any:
    alias = record.get("AliasTarget", {})
    values = sorted(entry["Value"] for entry in record.get("ResourceRecords", []))
    return record.get("TTL"), values, str(alias.get("DNSName", "")).lower().rstrip(".")
