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
    """Asks for a batch; the id of the change."""
    route53 = account.client("route53")
    zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
    made = [{"Action": action, "ResourceRecordSet": record} for action, record in changes]
    answer = route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": made})
    return str(answer["ChangeInfo"]["Id"])


@pytest.fixture
def furnished(account: Account) -> Account:
    account.furnish_address()
    return account


def test_a_change_takes_its_time_to_be_known(
    furnished: Account, simulated_clock: SimulatedClock
) -> None:
    made = change(furnished, ("CREATE", alias("one.example.net")))
    route53 = furnished.client("route53")
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
def test_only_what_fits_is_changed(furnished: Account, changes: Any, words: str) -> None:
    change(furnished, ("CREATE", alias("one.example.net")))
    with pytest.raises(ClientError, match=words):
        change(furnished, *changes)
    assert furnished.inventory.aliases() == {NAME: "one.example.net"}


def test_a_record_is_replaced_in_one_batch(furnished: Account) -> None:
    change(furnished, ("CREATE", alias("one.example.net")))
    change(furnished, ("DELETE", alias("one.example.net")), ("CREATE", alias("two.example.net")))
    assert furnished.inventory.aliases() == {NAME: "two.example.net"}


def test_a_listener_wants_a_certificate_that_is_there(furnished: Account) -> None:
    elbv2 = furnished.client("elbv2")
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/none"
    with pytest.raises(elbv2.exceptions.CertificateNotFoundException):
        elbv2.modify_listener(ListenerArn="any", Certificates=[{"CertificateArn": arn}])
