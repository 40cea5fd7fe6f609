import pytest

from chalicelib import aws
from chalicelib.deployments.errors import DeploymentFailed, FailureCode
from chalicelib.resources import network

pytestmark = pytest.mark.usefixtures("cloud")


def subnets() -> dict[str, str]:
    """Subnet id -> zone."""
    found = aws.client("ec2").describe_subnets()["Subnets"]
    return {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in found}


def test_the_default_vpc_with_one_subnet_a_zone() -> None:
    found, zones = network.find(), subnets()
    assert len(found.subnet_ids) == len(set(zones.values()))
    assert len({zones[subnet] for subnet in found.subnet_ids}) == len(found.subnet_ids)


def test_every_look_finds_the_same() -> None:
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
    found = network.find()
    assert (found.vpc_id, len(found.subnet_ids)) == (vpc_id, 2)


def test_one_zone_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBNET_IDS", min(subnets()))
    with pytest.raises(DeploymentFailed, match="1 zone") as raised:
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
