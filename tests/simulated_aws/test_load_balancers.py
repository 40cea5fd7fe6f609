"""Load balancers: provisioning, target health, and interfaces that outlive them."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.support.simulated_aws.account import Account
from tests.support.simulated_aws.containers import Behaviour
from tests.support.simulated_aws.site import (
    NAME,
    PORT,
    SURELY_ACTIVE,
    SURELY_RUNNING,
    Site,
    code_of,
)
from tests.support.simulated_aws.targets import fault_of
from tests.support.simulated_aws.times import INTERFACES_GONE, LOAD_BALANCER_ACTIVE, REGISTRATION


@pytest.fixture
def site(account: Account) -> Site:
    """Everything except the service."""
    return Site(account).make()


def test_a_load_balancer_provisions_for_a_measured_time(site: Site) -> None:
    site.pass_time(min(LOAD_BALANCER_ACTIVE) - 1)
    assert site.state() == "provisioning"
    site.pass_time(SURELY_ACTIVE)

    assert site.state() == "active"


def test_a_load_balancer_can_fail(account: Account) -> None:
    account.load_balancers.fail_next("no addresses left in subnet-1")
    site = Site(account).make()
    site.pass_time(SURELY_ACTIVE)
    found = site.client("elbv2").describe_load_balancers(Names=[NAME])["LoadBalancers"]

    assert found[0]["State"] == {"Code": "failed", "Reason": "no addresses left in subnet-1"}


def test_a_load_balancer_can_stay_provisioning(account: Account) -> None:
    account.load_balancers.hang_next()
    site = Site(account).make()
    site.pass_time(100 * SURELY_ACTIVE)
    assert site.state() == "provisioning"
    site.make_balancer("other")
    site.pass_time(SURELY_ACTIVE)

    assert site.state() == "active"


def test_targets_are_checked_only_when_the_load_balancer_is_active(site: Site) -> None:
    site.create_service()
    site.pass_time(SURELY_RUNNING)
    assert site.health() == [
        {
            "State": "initial",
            "Reason": "Elb.RegistrationInProgress",
            "Description": "Target registration is in progress",
        }
    ]
    seen = []
    while not seen or seen[-1][0] != "healthy":
        site.pass_time(1)
        state = site.health()[0]
        seen.append((state["State"], state.get("Reason", "")))
        assert len(seen) < 400

    assert seen[-2] == ("initial", "Elb.InitialHealthChecking")
    assert site.health() == [{"State": "healthy"}]


def test_a_new_target_is_healthy_after_one_passed_check(account: Account) -> None:
    site = Site(account)
    site.make_network()
    site.make_balancer()
    site.make_group(HealthCheckIntervalSeconds=60, HealthyThresholdCount=10)
    site.make_listener()
    site.make_cluster()
    site.register()
    site.pass_time(SURELY_ACTIVE)
    site.create_service()
    site.pass_time(SURELY_RUNNING + max(REGISTRATION) + 60)

    assert site.health() == [{"State": "healthy"}]


def test_a_new_listener_starts_no_checks_before_its_load_balancer_is_active(
    account: Account,
) -> None:
    site = Site(account)
    site.make_network()
    site.make_balancer()
    site.make_group()
    target = {"Id": "172.31.0.9", "Port": PORT}
    site.client("elbv2").register_targets(TargetGroupArn=site.group, Targets=[target])
    assert [health["Reason"] for health in site.health()] == ["Target.NotInUse"]
    site.make_listener()
    site.pass_time(min(LOAD_BALANCER_ACTIVE) - 1)
    assert [health["Reason"] for health in site.health()] == ["Elb.RegistrationInProgress"]
    site.pass_time(SURELY_ACTIVE)

    assert [health["Reason"] for health in site.health()] == ["Target.Timeout"]


def test_an_unhealthy_target_needs_the_threshold_to_become_healthy(account: Account) -> None:
    site = Site(account).make()
    site.create_service(healthCheckGracePeriodSeconds=3000)
    site.pass_time(SURELY_ACTIVE + 30)
    assert [health["State"] for health in site.health()] == ["healthy"]
    (task,) = account.fargate.tasks.all.values()
    task.behaviour = Behaviour(status=503)
    site.pass_time(4)
    assert site.health()[0]["State"] == "healthy", "one failed check is not enough"
    site.pass_time(8)
    assert site.health()[0]["State"] == "unhealthy"
    task.behaviour = Behaviour()
    site.pass_time(4)
    assert site.health()[0]["State"] == "unhealthy", "one passed check is not enough now"
    site.pass_time(8)

    assert site.health()[0]["State"] == "healthy"


def test_a_deregistered_target_drains_for_the_delay(site: Site) -> None:
    site.create_service()
    site.pass_time(SURELY_ACTIVE + 30)
    elbv2 = site.client("elbv2")
    found = elbv2.describe_target_health(TargetGroupArn=site.group)["TargetHealthDescriptions"]
    elbv2.deregister_targets(
        TargetGroupArn=site.group, Targets=[{"Id": found[0]["Target"]["Id"], "Port": PORT}]
    )
    site.pass_time(4)
    assert [h["Reason"] for h in site.health()] == ["Target.DeregistrationInProgress"]
    site.pass_time(2)

    assert site.health() == []


def test_targets_of_a_group_without_a_listener_are_unused(site: Site) -> None:
    site.create_service()
    site.pass_time(SURELY_ACTIVE + 30)
    site.client("elbv2").delete_listener(ListenerArn=site.listener)

    assert [h["Reason"] for h in site.health()] == ["Target.NotInUse"]


def test_health_of_a_deleted_group_is_not_found(site: Site) -> None:
    elbv2 = site.client("elbv2")
    elbv2.delete_load_balancer(LoadBalancerArn=site.balancer)
    elbv2.delete_target_group(TargetGroupArn=site.group)

    with pytest.raises(ClientError) as error:
        site.health()
    assert code_of(error) == "TargetGroupNotFound"


def test_interfaces_outlive_the_load_balancer_and_block_the_security_group(site: Site) -> None:
    elbv2, ec2 = site.client("elbv2"), site.client("ec2")
    ec2.delete_security_group(GroupId=site.back)
    elbv2.delete_load_balancer(LoadBalancerArn=site.balancer)
    site.pass_time(min(INTERFACES_GONE) - 1)
    with pytest.raises(ClientError) as error:
        ec2.delete_security_group(GroupId=site.front)
    assert code_of(error) == "DependencyViolation"
    site.pass_time(max(INTERFACES_GONE))

    ec2.delete_security_group(GroupId=site.front)
    filters = [{"Name": "group-id", "Values": [site.front]}]
    assert ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"] == []


def test_interfaces_are_found_by_group_and_by_description(site: Site) -> None:
    ec2 = site.client("ec2")
    for filters in (
        [{"Name": "group-id", "Values": [site.front]}],
        [{"Name": "description", "Values": [f"ELB app/{NAME}/*"]}],
        [{"Name": "group-id", "Values": [site.front]}, {"Name": "status", "Values": ["in-use"]}],
    ):
        found = ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
        assert len(found) == len(site.subnets)
    nobodys = [{"Name": "group-id", "Values": [site.back]}]
    assert ec2.describe_network_interfaces(Filters=nobodys)["NetworkInterfaces"] == []


def test_a_deleted_load_balancer_does_not_serve(site: Site) -> None:
    site.create_service()
    site.pass_time(SURELY_ACTIVE + 30)
    assert site.account.answers(NAME)
    site.client("elbv2").delete_load_balancer(LoadBalancerArn=site.balancer)

    assert not site.account.answers(NAME)
    assert [h["State"] for h in site.health()] == ["unused"]


@pytest.mark.parametrize(
    ("met", "matcher", "reason"),
    [
        (200, "200", ""),
        (302, "200-399", ""),
        (204, "200,204", ""),
        (404, "200-399", "Target.ResponseCodeMismatch"),
        (201, "200,204", "Target.ResponseCodeMismatch"),
        ("timeout", "200-499", "Target.Timeout"),
        ("refused", "200-499", "Target.FailedHealthChecks"),
    ],
)
def test_a_health_check_applies_the_matcher(met: int, matcher: str, reason: str) -> None:
    fault = fault_of(met, matcher)

    assert (fault.reason if fault else "") == reason
