"""The VPC and subnets of the deployments: template parameters, or the default VPC."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.resources import subnets

# A load balancer has a public address in each zone, and each costs money. So this is also the
# number of zones that Slipway uses, unless the platform team chose the subnets.
LEAST_ZONES = 2
DEFAULT_ROUTE = "0.0.0.0/0"
# Targets such as firewalls and appliances. Slipway cannot know whether they forward packets.
MIDDLEBOXES = ("vpce-", "eni-", "i-")
# The possible targets of a route, as DescribeRouteTables names them.
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Route.html
ROUTE_TARGETS = (
    "GatewayId",
    "NatGatewayId",
    "TransitGatewayId",
    "NetworkInterfaceId",
    "InstanceId",
    "VpcPeeringConnectionId",
    "LocalGatewayId",
    "CarrierGatewayId",
    "CoreNetworkArn",
)


@dataclass(frozen=True)
class Network:
    """A VPC and one subnet in each of at least two Availability Zones.

    `rejected`: the subnets of the stack's SubnetIds that cannot carry a deployment, and why.
    """

    vpc_id: str
    subnet_ids: tuple[str, ...]
    rejected: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """An IPv4 route. `target` is `local` or an ID such as `igw-1` or `nat-1`."""

    destination: str
    target: str
    state: str


@dataclass(frozen=True)
class RouteTable:
    """A route table and its IPv4 routes."""

    id: str
    routes: tuple[Route, ...]


@dataclass(frozen=True)
class Endpoint:
    """An available VPC endpoint. `service` is the end of its service name, such as `ecr.api`."""

    service: str
    kind: str
    route_tables: tuple[str, ...]
    private_dns: bool


def vpc_id() -> str:
    """The VPC of this stack. Raises `DeploymentFailed` (`NETWORK_MISCONFIGURED`)."""
    return settings().vpc_id or _default_vpc()


def find() -> Network:
    """The network of this stack. Raises `DeploymentFailed` (`NETWORK_MISCONFIGURED`)."""
    return find_with_room()[0]


def find_with_room() -> tuple[Network, dict[str, int]]:
    """The network, and subnet ID -> number of free addresses. Raises the same error as `find`."""
    vpc, named = vpc_id(), settings().subnet_ids
    filters = [_of_vpc(vpc)]
    if named:
        filters.append({"Name": "subnet-id", "Values": list(named)})
    described = aws.client("ec2").describe_subnets(Filters=filters)["Subnets"]
    rejected = {s["SubnetId"]: subnets.unusable(s, settings().aws_region) for s in described}
    usable = [subnet for subnet in described if not rejected[subnet["SubnetId"]]]
    if named:
        chosen = subnets.chosen(usable, lambda subnet: True, None)
    else:
        reachable = _reachable(vpc)
        chosen = subnets.chosen(usable, lambda s: reachable(s["SubnetId"]), LEAST_ZONES)
    known = {subnet["SubnetId"] for subnet in described}
    absent = {subnet_id: f"{vpc} does not have it" for subnet_id in named if subnet_id not in known}
    reasons = {**{each: why for each, why in rejected.items() if why}, **absent}
    if len(chosen) < LEAST_ZONES:
        raise _too_few_zones(vpc, chosen, reasons)
    room = {subnet["SubnetId"]: int(subnet["AvailableIpAddressCount"]) for subnet in chosen}
    return Network(vpc, tuple(room), reasons if named else {}), room


def _too_few_zones(vpc: str, usable: list[subnets.Subnet], reasons: dict[str, str]) -> Exception:
    zones = sorted(subnet["AvailabilityZone"] for subnet in usable)
    others = "; ".join(f"{subnet_id}: {why}" for subnet_id, why in sorted(reasons.items()))
    return DeploymentFailed(
        FailureCode.NETWORK_MISCONFIGURED,
        f"{vpc} has usable subnets in {len(zones)} Availability Zone(s), but a load balancer needs "
        f"{LEAST_ZONES}." + (f" Not usable: {others}." if others else ""),
        hint="Ask your platform team to deploy the stack with SubnetIds in at least two "
        "Availability Zones.",
        evidence={"vpc": vpc, "zones": zones, "not_usable": reasons},
    )


def _reachable(vpc: str) -> Callable[[str], bool]:
    """Whether the internet may reach a subnet: by its default route, as far as AWS shows it."""
    main, own = _route_tables(vpc)

    def reachable(subnet_id: str) -> bool:
        table = own.get(subnet_id, main)
        return table is not None and any(
            route.destination == DEFAULT_ROUTE
            and route.state != "blackhole"
            and route.target.startswith(("igw-", *MIDDLEBOXES))
            for route in table.routes
        )

    return reachable


def _default_vpc() -> str:
    vpcs = aws.client("ec2").describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])[
        "Vpcs"
    ]
    if not vpcs:
        raise DeploymentFailed(
            FailureCode.NETWORK_MISCONFIGURED,
            f"This account has no default VPC in {settings().aws_region}.",
            hint="Ask your platform team to deploy the stack with VpcId and SubnetIds.",
        )
    return str(vpcs[0]["VpcId"])


def route_tables(network: Network) -> dict[str, RouteTable]:
    """Subnet ID -> its associated route table, or the main route table of the VPC.

    https://docs.aws.amazon.com/vpc/latest/userguide/subnet-route-tables.html
    """
    main, own = _route_tables(network.vpc_id)
    by_subnet = {subnet_id: own.get(subnet_id, main) for subnet_id in network.subnet_ids}
    return {subnet_id: table for subnet_id, table in by_subnet.items() if table}


def _route_tables(vpc: str) -> tuple[RouteTable | None, dict[str, RouteTable]]:
    """(the main route table of the VPC, subnet ID -> its own one)."""
    pages = (
        aws.client("ec2").get_paginator("describe_route_tables").paginate(Filters=[_of_vpc(vpc)])
    )
    main, own = None, {}
    for described in (table for page in pages for table in page["RouteTables"]):
        table = RouteTable(described["RouteTableId"], _routes(described))
        for association in described.get("Associations", []):
            if association.get("Main"):
                main = table
            elif "SubnetId" in association:
                own[association["SubnetId"]] = table
    return main, own


def _routes(described: dict[str, Any]) -> tuple[Route, ...]:
    return tuple(
        Route(
            destination=route["DestinationCidrBlock"],
            target=next((route[kind] for kind in ROUTE_TARGETS if route.get(kind)), ""),
            state=route.get("State", ""),
        )
        for route in described.get("Routes", [])
        if route.get("DestinationCidrBlock")
    )


def endpoints(network: Network) -> list[Endpoint]:
    """The available endpoints of the VPC."""
    pages = (
        aws.client("ec2")
        .get_paginator("describe_vpc_endpoints")
        .paginate(Filters=[_of_vpc(network.vpc_id)])
    )
    return [
        Endpoint(
            # `com.amazonaws.us-east-1.ecr.api`; in China with the prefix `cn.`.
            service=endpoint["ServiceName"].partition(f".{settings().aws_region}.")[2],
            kind=endpoint.get("VpcEndpointType", ""),
            route_tables=tuple(endpoint.get("RouteTableIds", [])),
            private_dns=bool(endpoint.get("PrivateDnsEnabled")),
        )
        for page in pages
        for endpoint in page["VpcEndpoints"]
        # The service model defines `Available`, but AWS returns `available`.
        if endpoint.get("State", "").lower() == "available"
    ]


def _of_vpc(vpc_id: str) -> dict[str, Any]:
    return {"Name": "vpc-id", "Values": [vpc_id]}
