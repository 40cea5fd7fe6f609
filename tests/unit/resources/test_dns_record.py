from typing import Any

import pytest

from chalicelib.domain.errors import DeploymentFailed, FailureCode, NotReady
from chalicelib.platform import aws
from chalicelib.resources import dns_record
from chalicelib.resources.dns_record import Zone
from chalicelib.resources.load_balancer import LoadBalancer
from tests.support import aws_says
from tests.support.builders import DOMAIN, ID

pytestmark = pytest.mark.usefixtures("cloud")
ALB = f"{ID}-1234567890.us-east-1.elb.amazonaws.com"


def balancer(dns_name: str = ALB) -> LoadBalancer:
    return LoadBalancer("arn:lb", ID, dns_name, "Z35SXDOTRQ7X7K", "active", "")


def make_zone(name: str, **config: Any) -> Zone:
    more: dict[str, Any] = {}
    if config:
        vpc = aws.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
        more = {
            "HostedZoneConfig": config,
            "VPC": {"VPCRegion": "us-east-1", "VPCId": vpc},
        }
    answer = aws.client("route53").create_hosted_zone(
        Name=name, CallerReference=f"{name}{len(config)}", **more
    )
    return Zone(answer["HostedZone"]["Id"].rpartition("/")[2], name)


@pytest.fixture
def zone() -> Zone:
    return make_zone("example.com")


def records(zone: Zone) -> dict[tuple[str, str], Any]:
    """(name, type) -> record, without the zone's own records."""
    listed = aws.client("route53").list_resource_record_sets(HostedZoneId=zone.id)
    return {
        (record["Name"].rstrip("."), record["Type"]): record
        for record in listed["ResourceRecordSets"]
        if record["Type"] not in ("NS", "SOA")
    }


def put(zone: Zone, **record: Any) -> None:
    change = {"Action": "CREATE", "ResourceRecordSet": record}
    aws.client("route53").change_resource_record_sets(
        HostedZoneId=zone.id, ChangeBatch={"Changes": [change]}
    )


def put_value(zone: Zone, kind: str, value: str, name: str = DOMAIN) -> None:
    put(zone, Name=name, Type=kind, TTL=60, ResourceRecords=[{"Value": value}])


def put_alias(zone: Zone, target: str, name: str = DOMAIN) -> None:
    alias = {"HostedZoneId": "Z1", "DNSName": target, "EvaluateTargetHealth": True}
    put(zone, Name=name, Type="A", AliasTarget=alias)


def test_the_zone_is_the_nearest_public_one(zone: Zone) -> None:
    assert dns_record.zone_of(DOMAIN) == zone
    nearer = make_zone("recommend.example.com")
    assert dns_record.zone_of(DOMAIN) == nearer
    assert dns_record.zone_of("other.example.com") == zone
    assert dns_record.zone_of("badexample.com") is None


def test_a_private_zone_is_ignored() -> None:
    make_zone("example.com", PrivateZone=True, Comment="")
    assert dns_record.zone_of(DOMAIN) is None


def test_two_zones_with_the_same_name_are_a_fault(zone: Zone) -> None:
    aws.client("route53").create_hosted_zone(Name="example.com", CallerReference="again")
    with pytest.raises(DeploymentFailed, match="Two public hosted zones"):
        dns_record.zone_of(DOMAIN)


def test_repeated_ensure_creates_one_alias_of_the_load_balancer(zone: Zone) -> None:
    assert dns_record.ensure(ID, DOMAIN, zone, balancer())
    assert dns_record.ensure(ID, DOMAIN, zone, balancer()) is None
    [(key, record)] = records(zone).items()
    assert key == (DOMAIN, "A")
    assert record["AliasTarget"]["DNSName"].rstrip(".") == ALB
    assert record["AliasTarget"]["HostedZoneId"] == "Z35SXDOTRQ7X7K"


def test_ensure_never_uses_upsert(zone: Zone) -> None:
    """A concurrent change between the read and the write must survive."""
    calls = aws_says.watch("route53", "ChangeResourceRecordSets")
    dns_record.ensure(ID, DOMAIN, zone, balancer(f"{ID}-1.us-east-1.elb.amazonaws.com"))
    dns_record.ensure(ID, DOMAIN, zone, balancer())
    assert [[c["Action"] for c in call["ChangeBatch"]["Changes"]] for call in calls] == [
        ["CREATE"],
        ["DELETE", "CREATE"],
    ]
    assert records(zone)[DOMAIN, "A"]["AliasTarget"]["DNSName"].rstrip(".") == ALB


@pytest.mark.parametrize(
    ("kind", "value"),
    [("A", "203.0.113.7"), ("AAAA", "2001:db8::7"), ("CNAME", "elsewhere.example.org")],
)
def test_a_foreign_record_is_reported(zone: Zone, kind: str, value: str) -> None:
    put_value(zone, kind, value)
    with pytest.raises(
        DeploymentFailed, match=rf"has a record of type {kind} \({value}\)"
    ) as raised:
        dns_record.ensure(ID, DOMAIN, zone, balancer())
    assert raised.value.code is FailureCode.NETWORK_MISCONFIGURED
    assert list(records(zone)) == [(DOMAIN, kind)]
    dns_record.delete(ID, [DOMAIN])
    assert list(records(zone)) == [(DOMAIN, kind)]


@pytest.mark.parametrize(
    "target",
    [
        "other-abcdef-1234567890.us-east-1.elb.amazonaws.com",
        # The load balancer of a deployment whose name is this deployment's ID.
        f"{ID}-234567-1234567890.us-east-1.elb.amazonaws.com",
        f"my-{ALB}",
        f"{ALB}.example.org",
    ],
)
def test_another_load_balancers_record_is_foreign(zone: Zone, target: str) -> None:
    put_alias(zone, target)
    with pytest.raises(DeploymentFailed, match="an alias of"):
        dns_record.check_free(ID, DOMAIN, zone)
    dns_record.delete(ID, [DOMAIN])
    assert records(zone)
    assert dns_record.exists(ID, [DOMAIN]) == []


def test_the_same_record_in_the_consoles_format_is_accepted(zone: Zone) -> None:
    put_alias(zone, f"dualstack.{ALB.upper()}.")
    assert dns_record.ensure(ID, DOMAIN, zone, balancer()) is None


def test_records_of_other_types_are_kept(zone: Zone) -> None:
    put_value(zone, "TXT", '"verified"')
    dns_record.ensure(ID, DOMAIN, zone, balancer())
    dns_record.delete(ID, [DOMAIN])
    assert list(records(zone)) == [(DOMAIN, "TXT")]


def test_the_zones_own_name_can_be_bound(zone: Zone) -> None:
    dns_record.ensure(ID, zone.name, zone, balancer())
    assert dns_record.exists(ID, [zone.name]) == [zone.name]


def test_a_delegated_name_is_a_fault(zone: Zone) -> None:
    put_value(zone, "NS", "ns.example.org")
    with pytest.raises(DeploymentFailed, match="of type NS"):
        dns_record.check_free(ID, DOMAIN, zone)


def test_a_record_is_deleted_without_its_load_balancer_and_despite_a_nearer_zone(
    zone: Zone,
) -> None:
    dns_record.ensure(ID, DOMAIN, zone, balancer())
    make_zone(DOMAIN)
    assert dns_record.exists(ID, [DOMAIN]) == [DOMAIN]
    dns_record.delete(ID, [DOMAIN])
    dns_record.delete(ID, [DOMAIN])
    assert dns_record.exists(ID, [DOMAIN]) == []
    assert records(zone) == {}


@pytest.mark.parametrize("code", ["InvalidChangeBatch", "PriorRequestNotComplete"])
def test_a_concurrent_change_is_read_again(zone: Zone, code: str) -> None:
    aws_says.refuse("route53", "ChangeResourceRecordSets", code, times=2)
    with pytest.raises(NotReady):
        dns_record.ensure(ID, DOMAIN, zone, balancer())
    with pytest.raises(NotReady):
        dns_record.ensure(ID, DOMAIN, zone, balancer())
    assert dns_record.ensure(ID, DOMAIN, zone, balancer())


def test_a_deleted_zone_has_no_records(zone: Zone) -> None:
    aws_says.refuse("route53", "ListResourceRecordSets", "NoSuchHostedZone", status=404)
    assert dns_record.exists(ID, [DOMAIN]) == []


@pytest.mark.parametrize(("status", "verdict"), [("PENDING", True), ("INSYNC", False)])
def test_a_change_is_pending_until_it_is_insync(status: str, verdict: bool) -> None:
    aws_says.answer("route53", "GetChange", {"ChangeInfo": {"Status": status}})
    assert dns_record.is_pending("C1") is verdict


def test_an_unknown_change_is_not_waited_for() -> None:
    aws_says.refuse("route53", "GetChange", "NoSuchChange", status=404)
    assert dns_record.is_pending("C1") is False
