"""Reading the configuration from moto's ELBv2, whose answers have AWS's shapes."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.load_balancers.configuration import FixedResponse, Forward, Redirect
from local.load_balancers.reading import read


@pytest.fixture
def elbv2() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("elbv2", region_name="us-east-1")


@pytest.fixture
def network() -> dict[str, Any]:
    ec2 = boto3.client("ec2", region_name="us-east-1")
    subnets = ec2.describe_subnets()["Subnets"][:2]
    return {"vpc": subnets[0]["VpcId"], "subnets": [each["SubnetId"] for each in subnets]}


def test_everything_that_the_api_keeps_is_read(elbv2: Any, network: dict[str, Any]) -> None:
    groups = [
        elbv2.create_target_group(
            Name=name,
            Protocol="HTTP",
            Port=8080,
            VpcId=network["vpc"],
            TargetType="ip",
            HealthCheckPath="/ping",
            HealthCheckIntervalSeconds=10,
            HealthCheckTimeoutSeconds=3,
            HealthyThresholdCount=4,
            UnhealthyThresholdCount=3,
            Matcher={"HttpCode": "200-299,404"},
        )["TargetGroups"][0]["TargetGroupArn"]
        for name in ("old", "new")
    ]
    elbv2.modify_target_group_attributes(
        TargetGroupArn=groups[0],
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}],
    )
    elbv2.register_targets(TargetGroupArn=groups[0], Targets=[{"Id": "127.0.0.1", "Port": 9}])
    created = elbv2.create_load_balancer(Name="web", Subnets=network["subnets"])
    arn = created["LoadBalancers"][0]["LoadBalancerArn"]
    elbv2.modify_load_balancer_attributes(
        LoadBalancerArn=arn, Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "90"}]
    )
    weighted = {
        "TargetGroups": [
            {"TargetGroupArn": groups[0], "Weight": 90},
            {"TargetGroupArn": groups[1], "Weight": 10},
        ],
        "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60},
    }
    listener = elbv2.create_listener(
        LoadBalancerArn=arn,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "ForwardConfig": weighted}],
    )["Listeners"][0]["ListenerArn"]
    fixed = {"StatusCode": "503", "ContentType": "application/json", "MessageBody": "{}"}
    for priority, action in (
        (20, {"Type": "fixed-response", "FixedResponseConfig": fixed}),
        (3, {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Host": "b.com"}}),
    ):
        elbv2.create_rule(
            ListenerArn=listener,
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a/*"]}}],
            Actions=[action],
        )

    configuration = read(elbv2)

    balancer = configuration.load_balancers[0]
    assert (balancer.name, balancer.idle_timeout) == ("web", 90)
    assert balancer.dimension.startswith("app/web/")
    assert len(balancer.zones) == 2
    assert (balancer.listeners[0].port, balancer.listeners[0].protocol) == (80, "HTTP")
    redirect, response, default = (rule.action for rule in balancer.listeners[0].rules)
    assert redirect == Redirect(status=301, host="b.com")
    assert response == FixedResponse(503, "application/json", "{}")
    assert default == Forward(((groups[0], 90), (groups[1], 10)), 60)
    assert [len(rule.conditions) for rule in balancer.listeners[0].rules] == [1, 1, 0]
    group = configuration.target_groups[groups[0]]
    assert (group.targets, group.deregistration_delay) == ((("127.0.0.1", 9),), 5)
    check = group.health_check
    assert (check.path, check.interval, check.timeout) == ("/ping", 10, 3)
    assert (check.healthy_threshold, check.unhealthy_threshold) == (4, 3)
    assert check.codes == ((200, 299), (404, 404))
    assert configuration.used_target_groups() == set(groups)


def test_a_target_without_a_port_has_the_groups(elbv2: Any, network: dict[str, Any]) -> None:
    """RegisterTargets: by default, the port of the target group."""
    arn = elbv2.create_target_group(
        Name="old", Protocol="HTTP", Port=8080, VpcId=network["vpc"], TargetType="ip"
    )["TargetGroups"][0]["TargetGroupArn"]
    elbv2.register_targets(TargetGroupArn=arn, Targets=[{"Id": "127.0.0.1"}])
    assert read(elbv2).target_groups[arn].targets == (("127.0.0.1", 8080),)


def test_the_short_form_of_a_forward_is_read(elbv2: Any, network: dict[str, Any]) -> None:
    group = elbv2.create_target_group(
        Name="old", Protocol="HTTP", Port=80, VpcId=network["vpc"], TargetType="ip"
    )["TargetGroups"][0]["TargetGroupArn"]
    created = elbv2.create_load_balancer(Name="web", Subnets=network["subnets"])
    elbv2.create_listener(
        LoadBalancerArn=created["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    rules = read(elbv2).load_balancers[0].listeners[0].rules
    assert [rule.action for rule in rules] == [Forward(((group, 1),))]
