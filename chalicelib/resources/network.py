"""The VPC and subnets of the deployments: template parameters, or the default VPC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.platform import aws
from chalicelib.platform.settings import settings

LEAST_ZONES = 2
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
    """A VPC and one subnet in each of at least two Availability Zones."""

    vpc_id: str
    subnet_ids: tuple[str, ...]


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


def find() -> Network:
    """The network of this stack. Raises `DeploymentFailed` (`NETWORK_MISCONFIGURED`)."""
    return find_with_room()[0]


def find_with_room() -> tuple[Network, dict[str, int]]:
    """The network, and subnet ID -> number of free addresses. Raises the same error as `find`."""
    vpc_id = settings().vpc_id or _default_vpc()
    filters = [_of_vpc(vpc_id)]
    if settings().subnet_ids:
        filters.append({"Name": "subnet-id", "Values": list(settings().subnet_ids)})
    subnets = aws.client("ec2").describe_subnets(Filters=filters)["Subnets"]
    # A load balancer uses one subnet per zone. Sorted, so that every call chooses the same subnets.
    by_zone = {s["AvailabilityZone"]: s for s in sorted(subnets, key=lambda s: s["SubnetId"])}
    if len(by_zone) < LEAST_ZONES:
        raise DeploymentFailed(
            FailureCode.NETWORK_MISCONFIGURED,
            f"{vpc_id} has subnets in {len(by_zone)} Availability Zone(s), but a load balancer "
            f"needs {LEAST_ZONES}.",
            hint="Ask your platform team to deploy the stack with SubnetIds in at least two "
            "Availability Zones.",
            evidence={"vpc": vpc_id, "zones": sorted(by_zone)},
        )
    # A load balancer has a public address in each zone, and each costs money. So use the minimum
    # number of zones, unless the platform team chose the subnets.
    zones = sorted(by_zone) if settings().subnet_ids else sorted(by_zone)[:LEAST_ZONES]
    chosen = [by_zone[zone] for zone in zones]
    room = {subnet["SubnetId"]: int(subnet["AvailableIpAddressCount"]) for subnet in chosen}
    return Network(vpc_id, tuple(room)), room


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
    pages = (
        aws.client("ec2")
        .get_paginator("describe_route_tables")
        .paginate(Filters=[_of_vpc(network.vpc_id)])
    )
    main, own = None, {}
    for described in (table for page in pages for table in page["RouteTables"]):
        table = RouteTable(described["RouteTableId"], _routes(described))
        for association in described.get("Associations", []):
            if association.get("Main"):
                main = table
            elif "SubnetId" in association:
                own[association["SubnetId"]] = table
    by_subnet = {subnet_id: own.get(subnet_id, main) for subnet_id in network.subnet_ids}
    return {subnet_id: table for subnet_id, table in by_subnet.items() if table}


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
