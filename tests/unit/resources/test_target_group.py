import pytest
from botocore.exceptions import ClientError

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.platform import aws
from chalicelib.resources import load_balancer, target_group
from tests.support import aws_says
from tests.support.builders import ID, deployment_of, spec_of


def test_repeated_ensure_creates_one_target_group_with_the_stacks_tags(
    deployment: Deployment,
) -> None:
    first, second = target_group.ensure(deployment), target_group.ensure(deployment)
    assert first == second
    elbv2 = aws.client("elbv2")
    [created] = elbv2.describe_target_groups()["TargetGroups"]
    assert (created["TargetGroupName"], created["TargetType"], created["Port"]) == (ID, "ip", 80)
    described = elbv2.describe_tags(ResourceArns=[first.arn])["TagDescriptions"][0]["Tags"]
    tags = {tag["Key"]: tag["Value"] for tag in described}
    assert (tags["slipway:deployment"], tags["team"]) == (ID, "a")


def delay() -> str:
    elbv2 = aws.client("elbv2")
    arn = target_group.get_arn(ID)
    attributes = elbv2.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
    values = {attribute["Key"]: attribute["Value"] for attribute in attributes}
    return str(values["deregistration_delay.timeout_seconds"])


def test_a_target_has_the_time_of_one_request_to_leave(deployment: Deployment) -> None:
    target_group.ensure(deployment)
    assert delay() == "60"
    deployment.spec = spec_of(request_timeout=900)
    target_group.ensure(deployment)
    assert delay() == "900"


def test_a_spec_of_an_earlier_version_keeps_its_delay(deployment: Deployment) -> None:
    deployment.spec = deployment.spec.model_copy(update={"request_timeout": None})
    target_group.ensure(deployment)
    assert delay() == "5"


def test_a_teardown_does_not_wait_for_open_requests(deployment: Deployment) -> None:
    target_group.ensure(deployment)
    target_group.stop_draining(ID)
    assert delay() == "0"


def test_a_teardown_continues_if_aws_denies_the_shorter_delay(deployment: Deployment) -> None:
    target_group.ensure(deployment)
    aws_says.refuse("elbv2", "ModifyTargetGroupAttributes", "AccessDenied")
    target_group.stop_draining(ID)


def test_a_throttled_change_of_the_delay_is_retried(deployment: Deployment) -> None:
    target_group.ensure(deployment)
    aws_says.refuse("elbv2", "ModifyTargetGroupAttributes", "Throttling")
    with pytest.raises(ClientError):
        target_group.stop_draining(ID)


@pytest.mark.usefixtures("cloud")
def test_without_a_target_group_nothing_drains() -> None:
    target_group.stop_draining(ID)


@pytest.mark.usefixtures("cloud")
def test_the_health_check_follows_the_spec() -> None:
    deployment = deployment_of()
    target_group.ensure(deployment)
    check = {"path": "/health", "status": "200", "interval": 10, "timeout": 6}
    deployment.spec = spec_of(health_check=check)
    target_group.ensure(deployment)
    [created] = aws.client("elbv2").describe_target_groups()["TargetGroups"]
    assert created["HealthCheckPath"] == "/health"
    assert created["Matcher"] == {"HttpCode": "200"}
    assert (created["HealthCheckIntervalSeconds"], created["HealthCheckTimeoutSeconds"]) == (10, 6)


def test_ensure_waits_for_a_duplicate_that_is_not_visible_yet(deployment: Deployment) -> None:
    aws_says.refuse("elbv2", "CreateTargetGroup", "DuplicateTargetGroupName", times=1)
    with pytest.raises(NotReady):
        target_group.ensure(deployment)
    target_group.ensure(deployment)


def test_delete_waits_for_a_target_group_in_use(deployed: Deployment) -> None:
    with pytest.raises(NotReady, match="a listener still uses target group"):
        target_group.delete(ID)
    load_balancer.delete(ID)
    target_group.delete(ID)
    assert target_group.exists(ID) == []


@pytest.mark.usefixtures("cloud")
def test_deleting_a_missing_target_group_succeeds() -> None:
    target_group.delete(ID)
    assert target_group.exists(ID) == []
    assert target_group.targets(ID) == []
    with pytest.raises(NotReady):
        target_group.get_arn(ID)


def test_targets_are_reported_with_their_health(deployment: Deployment) -> None:
    target_group.ensure(deployment)
    healthy = {"Target": {"Id": "10.0.0.1", "Port": 80}, "TargetHealth": {"State": "healthy"}}
    reason = {"State": "unhealthy", "Reason": "Target.Timeout", "Description": "Request timed out"}
    unhealthy = {"Target": {"Id": "10.0.0.2", "Port": 80}, "TargetHealth": reason}
    body = {"TargetHealthDescriptions": [healthy, unhealthy]}
    aws_says.answer("elbv2", "DescribeTargetHealth", body)
    assert target_group.targets(ID) == [
        target_group.Target("10.0.0.1", 80, "healthy", "", ""),
        target_group.Target("10.0.0.2", 80, "unhealthy", "Target.Timeout", "Request timed out"),
    ]
