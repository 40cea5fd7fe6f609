"""Checks that the load balancer is reachable, the tasks can pull, and addresses are free."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.spec import secret_reference
from chalicelib.platform.settings import settings
from chalicelib.resources import network
from chalicelib.resources.network import (
    DEFAULT_ROUTE,
    MIDDLEBOXES,
    Endpoint,
    Network,
    Route,
    RouteTable,
)
from chalicelib.workflow.preflight.subject import NotKnown, Subject

# CreateLoadBalancer: "ELB requires at least 8 free IP addresses in each subnet".
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#subnets-load-balancer
LOAD_BALANCER_ROOM = 8
# Targets through which a task without a public address can reach the internet. Slipway cannot see
# the network behind them.
POSSIBLE_EXITS = (*MIDDLEBOXES, "tgw-", "vgw-", "pcx-", "lgw-", "arn:")


def check_routes(subject: Subject) -> bool:
    """Raises `DeploymentFailed` (`NETWORK_MISCONFIGURED`) or `NotKnown`."""
    placement, _ = subject.placement
    if placement.rejected and not subject.has_load_balancer:
        raise _not_usable(placement)
    tables = network.route_tables(placement)
    if set(tables) != set(placement.subnet_ids):
        raise NotKnown("EC2 does not return a route table for every subnet")
    by_table: dict[RouteTable, list[str]] = {}
    for subnet_id, table in tables.items():
        by_table.setdefault(table, []).append(subnet_id)
    faults = {table: fault for table in by_table if (fault := _inbound_fault(table))}
    if faults:
        raise _unreachable({table: (by_table[table], fault) for table, fault in faults.items()})
    if not settings().assign_public_ip:
        _check_way_out(subject, by_table)
    behind = sorted({r.target for t in by_table if (r := _default(t)) and _is_middlebox(r)})
    if behind:
        raise NotKnown(f"the route to the internet goes through {', '.join(behind)}")
    return True


def _not_usable(placement: Network) -> DeploymentFailed:
    reasons = "; ".join(f"{each}: {why}" for each, why in sorted(placement.rejected.items()))
    return DeploymentFailed(
        FailureCode.NETWORK_MISCONFIGURED,
        f"SubnetIds of the stack lists subnets that a deployment cannot use. {reasons}.",
        hint="Ask your platform team to remove these subnets from SubnetIds.",
        evidence={"not_usable": placement.rejected},
    )


def _default(table: RouteTable) -> Route | None:
    return next((route for route in table.routes if route.destination == DEFAULT_ROUTE), None)


def _is_middlebox(route: Route) -> bool:
    return route.target.startswith(MIDDLEBOXES)


def _inbound_fault(table: RouteTable) -> str:
    """Why an internet-facing load balancer behind this route table is unreachable, or empty.

    Its subnets need a route to an internet gateway. A route to a deleted target is a blackhole.
    https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Internet_Gateway.html
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Route.html
    """
    route = _default(table)
    if route is None:
        return f"route table {table.id} has no route for {DEFAULT_ROUTE}"
    if route.state == "blackhole":
        return (
            f"the route for {DEFAULT_ROUTE} in {table.id} points to {route.target}, "
            "which was deleted"
        )
    if not route.target.startswith("igw-") and not _is_middlebox(route):
        return (
            f"the route for {DEFAULT_ROUTE} in {table.id} points to "
            f"{route.target or 'no known target'}, not to an internet gateway"
        )
    return ""


def _unreachable(faults: dict[RouteTable, tuple[list[str], str]]) -> DeploymentFailed:
    reasons = "; ".join(f"{_subnets(ids)}: {fault}" for ids, fault in faults.values())
    return DeploymentFailed(
        FailureCode.NETWORK_MISCONFIGURED,
        f"The internet cannot reach a load balancer in these subnets. {reasons}.",
        hint="Ask your platform team to add a route to an internet gateway, or to deploy the stack "
        "with other SubnetIds.",
        evidence={"route_tables": [_shown(table, ids) for table, (ids, _) in faults.items()]},
    )


def _check_way_out(subject: Subject, by_table: dict[RouteTable, list[str]]) -> None:
    """Tasks without a public address need a NAT gateway, or an endpoint for each service they call.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-task-networking.html
    https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html
    """
    closed = {t: ids for t, ids in by_table.items() if not _has_route_to(t, ("nat-",))}
    if not closed:
        return
    endpoints = network.endpoints(subject.placement[0])
    missing = {t: m for t in closed if (m := _missing_endpoints(subject, t, endpoints))}
    stuck = {t: m for t, m in missing.items() if not _has_route_to(t, POSSIBLE_EXITS)}
    if stuck:
        raise _no_way_out({table: (closed[table], names) for table, names in stuck.items()})
    if missing:
        raise NotKnown("the route of the tasks goes through a network that AWS does not describe")


def _has_route_to(table: RouteTable, kinds: tuple[str, ...]) -> bool:
    return any(r.state != "blackhole" and r.target.startswith(kinds) for r in table.routes)


def _missing_endpoints(
    subject: Subject, table: RouteTable, endpoints: list[Endpoint]
) -> tuple[str, ...]:
    """The services that the tasks call and for which the VPC has no endpoint."""
    deployment = subject.deployment
    registry = deployment.image.parsed
    if registry.ecr is None or registry.ecr[1] != settings().aws_region:
        return (registry.registry,)  # endpoints exist only for ECR in the same region
    stores = {secret_reference.parse(arn).service for arn in deployment.spec.secrets.values()}
    interfaces = {e.service for e in endpoints if e.kind == "Interface"}
    missing = {"ecr.api", "ecr.dkr", "logs", *stores} - interfaces
    # Amazon ECR stores image layers in S3.
    has_s3 = any(
        e.service == "s3" and (table.id in e.route_tables or e.private_dns) for e in endpoints
    )
    return tuple(sorted(missing | (set() if has_s3 else {"s3"})))


def _no_way_out(stuck: dict[RouteTable, tuple[list[str], tuple[str, ...]]]) -> DeploymentFailed:
    reasons = "; ".join(
        f"{_subnets(ids)}: no NAT gateway, and no VPC endpoint for {', '.join(names)}"
        for ids, names in stuck.values()
    )
    return DeploymentFailed(
        FailureCode.NETWORK_MISCONFIGURED,
        f"Tasks without a public address cannot pull the image and write logs. {reasons}.",
        hint="Ask your platform team for a NAT gateway or these VPC endpoints (for S3, a gateway "
        "endpoint in the route table). Or ask them to deploy the stack with AssignPublicIp=true.",
        evidence={
            "route_tables": [
                {**_shown(table, ids), "missing_endpoints": list(names)}
                for table, (ids, names) in stuck.items()
            ]
        },
    )


def check_room(subject: Subject) -> bool:
    """Raises `DeploymentFailed` (`NETWORK_MISCONFIGURED`) if the subnets lack free addresses."""
    _, room = subject.placement
    taken = 0
    if not subject.has_load_balancer:
        full = {subnet_id: free for subnet_id, free in room.items() if free < LOAD_BALANCER_ROOM}
        if full:
            raise _no_room(
                f"A load balancer needs {LOAD_BALANCER_ROOM} free addresses in each subnet; "
                + ", ".join(f"{subnet_id} has {free}" for subnet_id, free in full.items()),
                room,
            )
        taken = len(room)  # a new load balancer takes one address in each subnet
    if subject.new_tasks + taken > sum(room.values()):
        raise _no_room(
            f"{subject.new_tasks} more task(s) need one address each, but the subnets have only "
            f"{sum(room.values()) - taken} free",
            room,
        )
    return True


def _no_room(message: str, room: dict[str, int]) -> DeploymentFailed:
    return DeploymentFailed(
        FailureCode.NETWORK_MISCONFIGURED,
        f"{message}.",
        hint="Delete deployments that you do not need, or ask your platform team to deploy the "
        "stack with larger subnets.",
        evidence={"free_addresses": room},
    )


def _subnets(ids: list[str]) -> str:
    return f"{'Subnet' if len(ids) == 1 else 'Subnets'} {', '.join(sorted(ids))}"


def _shown(table: RouteTable, ids: list[str]) -> dict[str, Any]:
    return {
        "route_table": table.id,
        "subnets": sorted(ids),
        "routes": [f"{r.destination} -> {r.target} {r.state}" for r in table.routes],
    }
