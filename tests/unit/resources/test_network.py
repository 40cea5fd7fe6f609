import pytest

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.platform import aws
from chalicelib.resources import network
from local.network import open_default_vpc

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
