"""AWS's request limits."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.support.simulated_aws.account import Account
from tests.support.simulated_aws.aws import AwsError, Call
from tests.support.simulated_aws.clock import SimulatedClock
from tests.support.simulated_aws.throttling import Throttling

# A call, the burst, and the rate per second after that.
FIGURES = [
    ("elbv2.CreateLoadBalancer", 10, 0.2),
    ("elbv2.CreateTargetGroup", 20, 3),
    ("elbv2.DescribeTargetHealth", 40, 10),
    ("ecs.CreateCluster", 20, 1),
    ("ecs.RegisterTaskDefinition", 20, 1),
    ("ecs.UpdateService", 50, 5),
    ("ec2.DescribeSecurityGroups", 100, 20),
    ("ec2.CreateSecurityGroup", 50, 5),
    ("stepfunctions.DescribeExecution", 300, 15),
]


def passing(limits: Throttling, name: str) -> int:
    """How many calls pass now before one is throttled."""
    service, _, operation = name.partition(".")
    for count in range(1000):
        try:
            limits.before(Call(service, operation, {}))
        except AwsError:
            return count
    return 1000


@pytest.mark.parametrize(("name", "burst", "rate"), FIGURES)
def test_a_bucket_empties_and_refills(name: str, burst: int, rate: float) -> None:
    clock = SimulatedClock()
    limits = Throttling(clock, on=True)
    assert passing(limits, name) == burst
    clock.advance_to(10)
    assert passing(limits, name) == min(burst, int(10 * rate))
    clock.advance_to(100_000)

    assert passing(limits, name) == burst


def test_only_actions_of_the_same_group_share_a_bucket() -> None:
    limits = Throttling(SimulatedClock(), on=True)
    assert passing(limits, "ecs.CreateCluster") == 20

    assert passing(limits, "ecs.DeleteCluster") == 0
    assert passing(limits, "ecs.DeleteService") == 50
    assert passing(limits, "dynamodb.GetItem") == 1000


def test_the_eleventh_simultaneous_load_balancer_is_throttled(account: Account) -> None:
    subnets = [s["SubnetId"] for s in account.client("ec2").describe_subnets()["Subnets"][:2]]
    elbv2 = account.client("elbv2")
    account.throttling.on = True
    for number in range(10):
        elbv2.create_load_balancer(Name=f"lb-{number}", Subnets=subnets)

    with pytest.raises(ClientError, match="Rate exceeded"):
        elbv2.create_load_balancer(Name="lb-10", Subnets=subnets)
    account.clock.advance_to(5)
    elbv2.create_load_balancer(Name="lb-10", Subnets=subnets)


def test_throttling_is_off_by_default(account: Account) -> None:
    assert passing(account.throttling, "elbv2.CreateLoadBalancer") == 1000
