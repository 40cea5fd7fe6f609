"""The VPC and subnets that deployments go into: given by the template, or the default VPC's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.platform import aws
from chalicelib.platform.settings import settings

LEAST_ZONES = 2
# Where a route can lead to, as DescribeRouteTables names it.
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
    """A VPC and one subnet in each of at least two zones."""

    vpc_id: str
    subnet_ids: tuple[str, ...]


@dataclass(frozen=True)
class Route:
    """An IPv4 route; `target` is an id such as `igw-1` or `nat-1`, or `local`."""

    destination: str
    target: str
    state: str


@dataclass(frozen=True)
class RouteTable:
    """What decides where the packets of a subnet go."""

    id: str
    routes: tuple[Route, ...]


@dataclass(frozen=True)
class Endpoint:
    """A VPC endpoint that is available; `service` is such as `ecr.api`."""

    service: str
    kind: str
    route_tables: tuple[str, ...]
    private_dns: bool


def find() -> Network:
    """The network of this stack. Raises `DeploymentFailed` (`NETWORK_MISCONFIGURED`)."""
    return find_with_room()[0]


def find_with_room() -> tuple[Network, dict[str, int]]:
    """The network, and how many addresses are free in each of its subnets. Raises as `find`."""
    vpc_id = settings().vpc_id or _default_vpc()
    filters = [_of_vpc(vpc_id)]
    if settings().subnet_ids:
        filters.append({"Name": "subnet-id", "Values": list(settings().subnet_ids)})
    subnets = aws.client("ec2").describe_subnets(Filters=filters)["Subnets"]
    # A load balancer takes one subnet a zone; sorted, so that every call chooses the same.
    by_zone = {s["AvailabilityZone"]: s for s in sorted(subnets, key=lambda s: s["SubnetId"])}
    if len(by_zone) < LEAST_ZONES:
        raise DeploymentFailed(
            FailureCode.NETWORK_MISCONFIGURED,
            f"{vpc_id} has subnets in {len(by_zone)} zone(s); a load balancer needs {LEAST_ZONES}.",
            hint="Ask the platform team to deploy the stack with SubnetIds in two zones or more.",
            evidence={"vpc": vpc_id, "zones": sorted(by_zone)},
        )
    # A load balancer has a public address in each zone, which cost money: no more than are needed
    # unless the platform team named them.
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
            "This account has no default VPC in this region.",
            hint="Ask the platform team to deploy the stack with VpcId and SubnetIds.",
        )
    return str(vpcs[0]["VpcId"])


def route_tables(network: Network) -> dict[str, RouteTable]:
    """Subnet id -> the route table that it is associated with, or else the VPC's main one.

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
    found = {subnet_id: own.get(subnet_id, main) for subnet_id in network.subnet_ids}
    return {subnet_id: table for subnet_id, table in found.items() if table}


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
            # `com.amazonaws.us-east-1.ecr.api`; China has `cn.` before it.
            service=endpoint["ServiceName"].partition(f".{settings().aws_region}.")[2],
            kind=endpoint.get("VpcEndpointType", ""),
            route_tables=tuple(endpoint.get("RouteTableIds", [])),
            private_dns=bool(endpoint.get("PrivateDnsEnabled")),
        )
        for page in pages
        for endpoint in page["VpcEndpoints"]
        # The model writes `Available`, and AWS answers `available`.
        if endpoint.get("State", "").lower() == "available"
    ]


def _of_vpc(vpc_id: str) -> dict[str, Any]:
    return {"Name": "vpc-id", "Values": [vpc_id]}
