"""Gives the emulator's default VPC the internet route that it has on AWS."""

from typing import Any

DEFAULT_ROUTE = "0.0.0.0/0"


def open_default_vpc(ec2: Any) -> None:
    """Create the default VPC's internet gateway and the route to it, if they are missing.

    https://docs.aws.amazon.com/vpc/latest/userguide/default-vpc-components.html

    Args:
        ec2: a boto3 client of the emulator.
    """
    is_default = [{"Name": "is-default", "Values": ["true"]}]
    vpc_id = ec2.describe_vpcs(Filters=is_default)["Vpcs"][0]["VpcId"]
    attached = [{"Name": "attachment.vpc-id", "Values": [vpc_id]}]
    gateways = ec2.describe_internet_gateways(Filters=attached)["InternetGateways"]
    if gateways:
        gateway_id = gateways[0]["InternetGatewayId"]
    else:
        gateway_id = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id)
    of_vpc = [{"Name": "vpc-id", "Values": [vpc_id]}]
    for table in ec2.describe_route_tables(Filters=of_vpc)["RouteTables"]:
        is_main = any(association.get("Main") for association in table["Associations"])
        destinations = {route.get("DestinationCidrBlock") for route in table["Routes"]}
        if is_main and DEFAULT_ROUTE not in destinations:
            ec2.create_route(
                RouteTableId=table["RouteTableId"],
                DestinationCidrBlock=DEFAULT_ROUTE,
                GatewayId=gateway_id,
            )
