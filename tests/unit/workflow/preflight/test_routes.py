from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.parts import Image
from chalicelib.platform import aws
from chalicelib.resources import network
from chalicelib.workflow.preflight import routes
from chalicelib.workflow.preflight.subject import NotKnown, Subject
from local.network import open_default_vpc
from tests.support import aws_says
from tests.support.builders import IMAGE, PARAMETER, REGION, SECRET, deployment_of

pytestmark = pytest.mark.usefixtures("cloud")
SUBNETS = ("subnet-a", "subnet-b")
LOCAL = {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}
NEEDED = ("ecr.api", "ecr.dkr", "logs")


def default(state: str = "active", **target: str) -> dict[str, str]:
    return {"DestinationCidrBlock": "0.0.0.0/0", "State": state, **target}


def table(table_id: str, *routes: dict[str, str], subnet: str | None = None) -> dict[str, Any]:
    """A route table; without a subnet, the VPC's main route table."""
    association = {"SubnetId": subnet} if subnet else {"Main": True}
    return {
        "RouteTableId": table_id,
        "Routes": [LOCAL, *routes],
        "Associations": [association],
    }


def routed_by(*tables: dict[str, Any], free: tuple[int, ...] = (100, 100)) -> None:
    """A VPC with two subnets and these route tables."""
    subnets = [
        {"SubnetId": subnet, "AvailabilityZone": f"{REGION}{zone}", "AvailableIpAddressCount": n}
        for subnet, zone, n in zip(SUBNETS, "ab", free, strict=True)
    ]
    aws_says.answer("ec2", "DescribeSubnets", {"Subnets": subnets})
    aws_says.answer("ec2", "DescribeRouteTables", {"RouteTables": list(tables)})


def endpoints(*services: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "ServiceName": f"com.amazonaws.{REGION}.{service}",
            "VpcEndpointType": "Gateway" if service == "s3" else "Interface",
            "State": "available",
            "PrivateDnsEnabled": service != "s3",
            "RouteTableIds": ["rtb-main"] if service == "s3" else [],
            **more,
        }
        for service in services
    ]


def with_endpoints(*shown: dict[str, Any]) -> None:
    aws_says.answer("ec2", "DescribeVpcEndpoints", {"VpcEndpoints": list(shown)})


def checked(deployment: Deployment | None = None) -> bool:
    return routes.check_routes(Subject(deployment or deployment_of()))


def failure(check: Callable[[], bool]) -> DeploymentFailed:
    with pytest.raises(DeploymentFailed) as raised:
        check()
    assert raised.value.code is FailureCode.NETWORK_MISCONFIGURED
    assert raised.value.hint
    return raised.value


# --- inbound routes ------------------------------------------------------------------------


def test_awss_default_vpc_is_valid() -> None:
    open_default_vpc(aws.client("ec2"))
    assert checked()


def test_a_vpc_without_a_route_to_the_internet_is_reported() -> None:
    fault = failure(checked)
    assert "has no route for 0.0.0.0/0" in fault.message
    (evidence,) = fault.evidence["route_tables"]
    assert evidence["subnets"] == sorted(network.find().subnet_ids)


def test_every_subnet_needs_the_route() -> None:
    routed_by(table("rtb-main", default(GatewayId="igw-1")), table("rtb-b", subnet="subnet-b"))
    fault = failure(checked)
    assert "Subnet subnet-b: route table rtb-b has no route for 0.0.0.0/0" in fault.message
    assert "subnet-a" not in fault.message


def test_a_route_to_a_deleted_gateway_is_reported() -> None:
    routed_by(table("rtb-main", default("blackhole", GatewayId="igw-1")))
    fault = failure(checked)
    assert "Subnets subnet-a, subnet-b" in fault.message
    assert "points to igw-1, which was deleted" in fault.message
    assert "0.0.0.0/0 -> igw-1 blackhole" in fault.evidence["route_tables"][0]["routes"]


@pytest.mark.parametrize(
    "target",
    [
        {"NatGatewayId": "nat-1"},
        {"TransitGatewayId": "tgw-1"},
        {"GatewayId": "vgw-1"},
        {"VpcPeeringConnectionId": "pcx-1"},
    ],
)
def test_a_route_to_anything_but_an_internet_gateway_is_reported(target: dict[str, str]) -> None:
    routed_by(table("rtb-main", default(**target)))
    (name,) = target.values()
    assert f"points to {name}, not to an internet gateway" in failure(checked).message


@pytest.mark.parametrize(
    "target",
    [
        {"GatewayId": "vpce-1"},
        {"NetworkInterfaceId": "eni-1"},
        {"InstanceId": "i-1", "NetworkInterfaceId": "eni-1"},
    ],
)
def test_routes_behind_a_firewall_are_unknown(target: dict[str, str]) -> None:
    routed_by(table("rtb-main", default(**target)))
    with pytest.raises(NotKnown, match="the route to the internet goes through"):
        checked()


def test_a_hidden_route_table_is_unknown() -> None:
    routed_by(table("rtb-a", default(GatewayId="igw-1"), subnet="subnet-a"))
    with pytest.raises(NotKnown):
        checked()


def test_one_zone_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBNET_IDS", network.find().subnet_ids[0])
    from chalicelib.platform.settings import settings

    settings.cache_clear()
    assert "1 Availability Zone(s)" in failure(checked).message


def test_subnets_of_the_stack_that_cannot_be_used_are_reported_before_a_create(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    routed_by(table("rtb-main", default(GatewayId="igw-1")))
    monkeypatch.setenv("SUBNET_IDS", "subnet-a,subnet-b,subnet-c")
    fault = failure(checked)
    assert "SubnetIds of the stack lists subnets that a deployment cannot use." in fault.message
    assert "subnet-c: vpc-" in fault.message
    # What runs already may be changed.
    subject = Subject(deployment_of())
    vars(subject)["has_load_balancer"] = True
    assert routes.check_routes(subject)


# --- outbound routes of tasks without a public address -------------------------------------


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSIGN_PUBLIC_IP", "false")


@pytest.mark.usefixtures("private")
def test_private_tasks_without_an_outbound_route_are_reported() -> None:
    routed_by(table("rtb-main", default(GatewayId="igw-1")))
    with_endpoints(*endpoints("logs"), *endpoints("ecr.api", State="pending"))
    fault = failure(checked)
    assert "no VPC endpoint for ecr.api, ecr.dkr, s3" in fault.message
    assert fault.evidence["route_tables"][0]["missing_endpoints"] == ["ecr.api", "ecr.dkr", "s3"]


@pytest.mark.usefixtures("private")
@pytest.mark.parametrize("state", ["available", "Available"])
def test_endpoints_for_every_service_that_tasks_call_are_enough(state: str) -> None:
    routed_by(table("rtb-main", default(GatewayId="igw-1")))
    with_endpoints(*endpoints(*NEEDED, "s3", State=state))
    assert checked()


@pytest.mark.usefixtures("private")
def test_the_gateway_endpoint_of_s3_must_be_in_the_route_table() -> None:
    routed_by(table("rtb-main", default(GatewayId="igw-1")))
    with_endpoints(*endpoints(*NEEDED), *endpoints("s3", RouteTableIds=["rtb-other"]))
    assert "endpoint for s3" in failure(checked).message


@pytest.mark.usefixtures("private")
def test_an_interface_endpoint_of_s3_with_private_dns_is_enough() -> None:
    routed_by(table("rtb-main", default(GatewayId="igw-1")))
    s3 = endpoints("s3", RouteTableIds=[], VpcEndpointType="Interface", PrivateDnsEnabled=True)
    with_endpoints(*endpoints(*NEEDED), *s3)
    assert checked()


@pytest.mark.usefixtures("private")
def test_secrets_need_their_endpoints_too() -> None:
    routed_by(table("rtb-main", default(GatewayId="igw-1")))
    with_endpoints(*endpoints(*NEEDED, "s3"))
    deployment = deployment_of(secrets={"A": SECRET, "B": PARAMETER})
    fault = failure(lambda: checked(deployment))
    assert "no VPC endpoint for secretsmanager, ssm" in fault.message


@pytest.mark.usefixtures("private")
@pytest.mark.parametrize("image", ["ghcr.io/team/recommend:1", IMAGE.replace(REGION, "eu-west-1")])
def test_no_endpoint_reaches_another_registry(image: str) -> None:
    routed_by(table("rtb-main", default(GatewayId="igw-1")))
    with_endpoints(*endpoints(*NEEDED, "s3"))
    deployment = deployment_of()
    deployment.image = Image(reference=image)
    assert image.partition("/")[0] in failure(lambda: checked(deployment)).message


@pytest.mark.usefixtures("private")
def test_a_nat_gateway_is_enough_unless_it_is_deleted() -> None:
    to_nat = {"DestinationCidrBlock": "1.0.0.0/8", "NatGatewayId": "nat-1"}
    routed_by(
        table(
            "rtb-a", default(GatewayId="igw-1"), {**to_nat, "State": "active"}, subnet="subnet-a"
        ),
        table("rtb-b", default(GatewayId="igw-1"), {**to_nat, "State": "blackhole"}),
    )
    with_endpoints()
    fault = failure(checked)
    assert "subnet-b" in fault.message
    assert "subnet-a" not in fault.message


@pytest.mark.usefixtures("private")
def test_routes_behind_a_transit_gateway_are_unknown() -> None:
    to_hub = {"DestinationCidrBlock": "1.0.0.0/8", "TransitGatewayId": "tgw-1", "State": "active"}
    routed_by(table("rtb-main", default(GatewayId="igw-1"), to_hub))
    with_endpoints()
    with pytest.raises(NotKnown, match="through a network that AWS does not describe"):
        checked()


def test_with_public_addresses_endpoints_are_not_requested(aws_calls: list[str]) -> None:
    routed_by(table("rtb-main", default(GatewayId="igw-1")))
    assert checked()
    assert "ec2.DescribeVpcEndpoints" not in aws_calls


# --- free addresses --------------------------------------------------------------------------


def room(count: int = 1) -> bool:
    return routes.check_room(Subject(deployment_of(count=count)))


def test_a_load_balancer_needs_eight_free_addresses_in_each_subnet() -> None:
    routed_by(free=(8, 7))
    fault = failure(room)
    assert "subnet-b has 7" in fault.message
    assert "subnet-a" not in fault.message
    assert fault.evidence["free_addresses"] == {"subnet-a": 8, "subnet-b": 7}


def test_each_task_needs_an_address_in_addition_to_the_load_balancer() -> None:
    routed_by(free=(8, 8))
    assert room(count=1)
    subject = Subject(deployment_of(count=10))
    vars(subject)["new_tasks"] = 14
    assert routes.check_room(subject)
    vars(subject)["new_tasks"] = 15
    assert "15 more task(s)" in failure(lambda: routes.check_room(subject)).message


def test_an_update_needs_no_addresses_for_another_load_balancer() -> None:
    routed_by(free=(0, 1))
    subject = Subject(deployment_of())
    vars(subject)["has_load_balancer"] = True
    vars(subject)["new_tasks"] = 1
    assert routes.check_room(subject)
    vars(subject)["new_tasks"] = 2
    assert "have only 1 free" in failure(lambda: routes.check_room(subject)).message
