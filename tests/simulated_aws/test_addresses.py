"""Route 53 and certificates behave like AWS's."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.simulated_aws.account import Account
from tests.support.simulated_aws.clock import SimulatedClock

NAME = "a.example.com"


def alias(target: str) -> dict[str, Any]:
    leads = {"HostedZoneId": "Z1", "DNSName": target, "EvaluateTargetHealth": False}
    return {"Name": NAME, "Type": "A", "AliasTarget": leads}


def change(account: Account, *changes: tuple[str, dict[str, Any]]) -> str:
    """Send a batch of changes and return the change ID."""
    route53 = account.client("route53")
    zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
    made = [{"Action": action, "ResourceRecordSet": record} for action, record in changes]
    answer = route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": made})
    return str(answer["ChangeInfo"]["Id"])


@pytest.fixture
def prepared(account: Account) -> Account:
    account.furnish_address()
    return account


def test_a_change_is_pending_before_it_is_insync(
    prepared: Account, simulated_clock: SimulatedClock
) -> None:
    made = change(prepared, ("CREATE", alias("one.example.net")))
    route53 = prepared.client("route53")
    assert route53.get_change(Id=made)["ChangeInfo"]["Status"] == "PENDING"
    simulated_clock.advance_to(simulated_clock.seconds() + 60)
    assert route53.get_change(Id=made)["ChangeInfo"]["Status"] == "INSYNC"
    with pytest.raises(route53.exceptions.NoSuchChange):
        route53.get_change(Id="C0")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("CREATE", alias("two.example.net"))], "already exists"),
        ([("DELETE", alias("two.example.net"))], "do not match"),
        ([("DELETE", {**alias("one.example.net"), "Name": "b.example.com"})], "not found"),
    ],
)
def test_a_change_that_does_not_match_the_records_is_refused(
    prepared: Account, changes: Any, words: str
) -> None:
    change(prepared, ("CREATE", alias("one.example.net")))
    with pytest.raises(ClientError, match=words):
        change(prepared, *changes)
    assert prepared.inventory.aliases() == {NAME: "one.example.net"}


def test_a_record_is_replaced_in_one_batch(prepared: Account) -> None:
    change(prepared, ("CREATE", alias("one.example.net")))
    change(prepared, ("DELETE", alias("one.example.net")), ("CREATE", alias("two.example.net")))
    assert prepared.inventory.aliases() == {NAME: "two.example.net"}


def test_a_listener_needs_an_existing_certificate(prepared: Account) -> None:
    elbv2 = prepared.client("elbv2")
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/none"
    with pytest.raises(elbv2.exceptions.CertificateNotFoundException):
        elbv2.modify_listener(ListenerArn="any", Certificates=[{"CertificateArn": arn}])
