"""The VPC and subnets that deployments go into: given by the template, or the default VPC's."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib import aws
from chalicelib.deployments.errors import DeploymentFailed, FailureCode
from chalicelib.settings import settings

LEAST_ZONES = 2


@dataclass(frozen=True)
class Network:
    """A VPC and one subnet in each of at least two zones."""

    vpc_id: str
    subnet_ids: tuple[str, ...]


def find() -> Network:
    """The network of this stack. Raises `DeploymentFailed` (`NETWORK_MISCONFIGURED`)."""
    vpc_id = settings().vpc_id or _default_vpc()
    filters = [{"Name": "vpc-id", "Values": [vpc_id]}]
    if settings().subnet_ids:
        filters.append({"Name": "subnet-id", "Values": list(settings().subnet_ids)})
    subnets = aws.client("ec2").describe_subnets(Filters=filters)["Subnets"]
    # A load balancer takes one subnet a zone; sorted, so that every call chooses the same.
    by_zone = {
        s["AvailabilityZone"]: s["SubnetId"] for s in sorted(subnets, key=lambda s: s["SubnetId"])
    }
    if len(by_zone) < LEAST_ZONES:
        raise DeploymentFailed(
            FailureCode.NETWORK_MISCONFIGURED,
            f"{vpc_id} has subnets in {len(by_zone)} zone(s); a load balancer needs {LEAST_ZONES}.",
            hint="Ask the platform team to deploy the stack with SubnetIds in two zones or more.",
            evidence={"vpc": vpc_id, "zones": sorted(by_zone)},
        )
    return Network(vpc_id, tuple(by_zone[zone] for zone in sorted(by_zone)))


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
    return vpcs[0]["VpcId"]
