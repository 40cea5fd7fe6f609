from typing import Any

import pytest

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.platform import aws
from chalicelib.resources import network
from local.network import open_default_vpc
from tests.support import aws_says

pytestmark = pytest.mark.usefixtures("cloud")


def subnets() -> dict[str, str]:
    """Subnet ID -> Availability Zone."""
    described = aws.client("ec2").describe_subnets()["Subnets"]
    return {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in described}


def test_the_default_vpc_uses_two_zones_to_limit_the_address_cost() -> None:
    placement, zones = network.find(), subnets()
    assert len({zones[subnet] for subnet in placement.subnet_ids}) == len(placement.subnet_ids) == 2


def test_every_zone_of_the_templates_subnets_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBNET_IDS", ",".join(subnets()))
    assert len(network.find().subnet_ids) == len(set(subnets().values())) > 2


def test_every_lookup_returns_the_same_subnets() -> None:
    assert network.find() == network.find()


def test_the_templates_subnets_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = sorted(subnets())[:2]
    monkeypatch.setenv("SUBNET_IDS", ",".join(chosen))
    assert sorted(network.find().subnet_ids) == chosen


def test_the_templates_vpc_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    ec2 = aws.client("ec2")
    vpc_id = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    for n, zone in enumerate(("us-east-1a", "us-east-1b")):
        ec2.create_subnet(VpcId=vpc_id, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=zone)
    monkeypatch.setenv("VPC_ID", vpc_id)
    placement = network.find()
    assert (placement.vpc_id, len(placement.subnet_ids)) == (vpc_id, 2)


def test_one_zone_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBNET_IDS", min(subnets()))
    with pytest.raises(DeploymentFailed, match=r"1 Availability Zone\(s\)") as raised:
        network.find()
    assert raised.value.code is FailureCode.NETWORK_MISCONFIGURED


def test_without_a_default_vpc_the_template_must_name_one() -> None:
    ec2 = aws.client("ec2")
    for subnet in subnets():
        ec2.delete_subnet(SubnetId=subnet)
    for vpc in ec2.describe_vpcs()["Vpcs"]:
        ec2.delete_vpc(VpcId=vpc["VpcId"])
    with pytest.raises(DeploymentFailed, match="no default VPC") as raised:
        network.find()
    assert raised.value.code is FailureCode.NETWORK_MISCONFIGURED


# --- routes and endpoints ------------------------------------------------------------------


def test_a_subnet_has_its_own_route_table_or_else_the_main_one() -> None:
    ec2, placement = aws.client("ec2"), network.find()
    first, *others = placement.subnet_ids
    made = ec2.create_route_table(VpcId=placement.vpc_id)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=made, SubnetId=first)
    tables = network.route_tables(placement)
    assert tables[first].id == made
    assert {tables[subnet].id for subnet in others} == {main_table(placement.vpc_id)}


def main_table(vpc_id: str) -> str:
    main = [
        {"Name": "vpc-id", "Values": [vpc_id]},
        {"Name": "association.main", "Values": ["true"]},
    ]
    return aws.client("ec2").describe_route_tables(Filters=main)["RouteTables"][0]["RouteTableId"]


def test_an_opened_default_vpc_routes_to_the_internet_and_is_opened_once() -> None:
    for _ in range(2):
        open_default_vpc(aws.client("ec2"))
    placement = network.find()
    (table,) = set(network.route_tables(placement).values())
    (route,) = [route for route in table.routes if route.destination == "0.0.0.0/0"]
    assert (route.target[:4], route.state) == ("igw-", "active")
    assert len(aws.client("ec2").describe_internet_gateways()["InternetGateways"]) == 1


def test_available_endpoints_are_reported() -> None:
    ec2, placement = aws.client("ec2"), network.find()
    table = main_table(placement.vpc_id)
    ec2.create_vpc_endpoint(
        VpcId=placement.vpc_id,
        ServiceName="com.amazonaws.us-east-1.s3",
        VpcEndpointType="Gateway",
        RouteTableIds=[table],
    )
    gone = ec2.create_vpc_endpoint(
        VpcId=placement.vpc_id,
        ServiceName="com.amazonaws.us-east-1.logs",
        VpcEndpointType="Interface",
    )["VpcEndpoint"]["VpcEndpointId"]
    ec2.delete_vpc_endpoints(VpcEndpointIds=[gone])
    (endpoint,) = network.endpoints(placement)
    assert (endpoint.service, endpoint.kind, endpoint.route_tables) == ("s3", "Gateway", (table,))


def test_the_free_addresses_of_each_subnet_are_reported() -> None:
    placement, room = network.find_with_room()
    assert set(room) == set(placement.subnet_ids)
    assert all(free > 4000 for free in room.values())


# --- which subnets -------------------------------------------------------------------------

PUBLIC = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}
NAT = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active"}


def subnet(subnet_id: str, zone: str, zone_id: str = "", **more: Any) -> dict[str, Any]:
    """A default subnet, as DescribeSubnets returns it."""
    return {
        "SubnetId": subnet_id,
        "AvailabilityZone": zone,
        "AvailabilityZoneId": zone_id or f"use1-az{ord(zone[-1]) - 96}",
        "AvailableIpAddressCount": 4000,
        "DefaultForAz": True,
        **more,
    }


def vpc_with(*described: dict[str, Any], private: tuple[str, ...] = ()) -> None:
    """The default VPC has these subnets. Those in `private` have a route to a NAT gateway."""
    tables = [
        {"RouteTableId": "rtb-main", "Routes": [PUBLIC], "Associations": [{"Main": True}]},
        {
            "RouteTableId": "rtb-private",
            "Routes": [NAT],
            "Associations": [{"SubnetId": subnet_id} for subnet_id in private],
        },
    ]

    ids = {each["SubnetId"] for each in described}

    def matching(params: dict[str, Any]) -> dict[str, Any]:
        named = {each for each in params["body"].values() if each in ids or each == "subnet-9"}
        return {"Subnets": [s for s in described if not named or s["SubnetId"] in named]}

    aws_says.answer("ec2", "DescribeSubnets", matching)
    aws_says.answer("ec2", "DescribeRouteTables", {"RouteTables": tables})


def test_private_subnets_in_the_default_vpc_are_left_out() -> None:
    vpc_with(
        subnet("subnet-0", "us-east-1a", DefaultForAz=False),
        subnet("subnet-1", "us-east-1a"),
        subnet("subnet-2", "us-east-1b"),
        subnet("subnet-3", "us-east-1b", DefaultForAz=False),
        subnet("subnet-4", "us-east-1c"),
        private=("subnet-0", "subnet-2", "subnet-3"),
    )
    assert network.find().subnet_ids == ("subnet-1", "subnet-4")


def test_a_default_subnet_comes_before_another_public_one() -> None:
    vpc_with(
        subnet("subnet-0", "us-east-1a", DefaultForAz=False),
        subnet("subnet-1", "us-east-1a"),
        subnet("subnet-2", "us-east-1b"),
        subnet("subnet-9", "us-east-1b", DefaultForAz=False),
    )
    assert network.find().subnet_ids == ("subnet-1", "subnet-2")


@pytest.mark.parametrize(
    "odd",
    [
        subnet("subnet-0", "us-east-1-bos-1a", "use1-bos1-az1"),
        subnet("subnet-0", "us-east-1-wl1-bos-wlz-1", "use1-wl1-bos-wlz1"),
        subnet("subnet-0", "us-east-1a", OutpostArn="arn:aws:outposts:us-east-1:1:outpost/op-1"),
        subnet("subnet-0", "us-east-1a", Ipv6Native=True),
    ],
    ids=["Local Zone", "Wavelength Zone", "Outpost", "IPv6 only"],
)
def test_a_subnet_that_cannot_carry_a_deployment_is_left_out(odd: dict[str, Any]) -> None:
    vpc_with(odd, subnet("subnet-2", "us-east-1b"), subnet("subnet-3", "us-east-1c"))
    assert network.find().subnet_ids == ("subnet-2", "subnet-3")


@pytest.mark.parametrize(
    ("region", "without", "with_fargate"),
    [
        ("ap-northeast-1", "apne1-az3", ("apne1-az1", "apne1-az2", "apne1-az4")),
        ("us-west-1", "usw1-az2", ("usw1-az1", "usw1-az3")),
        ("cn-north-1", "cnn1-az4", ("cnn1-az1", "cnn1-az2")),
    ],
)
def test_zones_without_fargate_are_left_out(
    monkeypatch: pytest.MonkeyPatch, region: str, without: str, with_fargate: tuple[str, ...]
) -> None:
    monkeypatch.setenv("AWS_REGION", region)
    monkeypatch.setenv("VPC_ID", "vpc-1")
    zones = [
        subnet(f"subnet-{n}", f"{region}{'abcd'[n]}", zone_id)
        for n, zone_id in enumerate((without, *with_fargate))
    ]
    vpc_with(*zones)
    assert network.find().subnet_ids == ("subnet-1", "subnet-2")


def test_without_any_public_subnet_the_preflight_can_still_name_the_routes() -> None:
    vpc_with(
        subnet("subnet-1", "us-east-1a"),
        subnet("subnet-2", "us-east-1b"),
        private=("subnet-1", "subnet-2"),
    )
    assert network.find().subnet_ids == ("subnet-1", "subnet-2")


def test_the_templates_subnets_win_and_the_unusable_ones_are_named(
    monkeypatch: pytest.MonkeyPatch, aws_calls: list[str]
) -> None:
    vpc_with(
        subnet("subnet-0", "us-east-1-bos-1a", "use1-bos1-az1"),
        subnet("subnet-1", "us-east-1a", DefaultForAz=False),
        subnet("subnet-2", "us-east-1b"),
        subnet("subnet-3", "us-east-1c"),
        private=("subnet-1",),
    )
    monkeypatch.setenv("SUBNET_IDS", "subnet-0,subnet-1,subnet-2,subnet-9")
    placement = network.find()
    assert placement.subnet_ids == ("subnet-1", "subnet-2")
    assert placement.rejected == {
        "subnet-0": "us-east-1-bos-1a is not an Availability Zone",
        "subnet-9": f"{placement.vpc_id} does not have it",
    }
    assert "ec2.DescribeRouteTables" not in aws_calls


def test_too_few_zones_are_reported_with_the_subnets_that_do_not_count() -> None:
    vpc_with(
        subnet("subnet-0", "us-east-1-bos-1a", "use1-bos1-az1"), subnet("subnet-1", "us-east-1a")
    )
    with pytest.raises(DeploymentFailed) as raised:
        network.find()
    assert "has usable subnets in 1 Availability Zone(s)" in raised.value.message
    assert "Not usable: subnet-0: us-east-1-bos-1a is not" in raised.value.message
