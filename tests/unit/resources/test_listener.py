import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.platform import aws
from chalicelib.resources import listener, load_balancer, security_groups, target_group
from tests.support import aws_says
from tests.support.builders import ID


@pytest.fixture
def balanced(deployment: Deployment) -> Deployment:
    security_groups.ensure(deployment)
    load_balancer.ensure(deployment)
    target_group.ensure(deployment)
    return deployment


def test_repeated_ensure_creates_one_listener_with_the_stacks_tags(balanced: Deployment) -> None:
    first, second = listener.ensure(balanced), listener.ensure(balanced)
    assert first == second
    elbv2 = aws.client("elbv2")
    arn = load_balancer.get(ID).arn
    [front] = elbv2.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    assert (front["Port"], front["Protocol"]) == (80, "HTTP")
    assert front["DefaultActions"][0]["TargetGroupArn"] == target_group.get_arn(ID)
    described = elbv2.describe_tags(ResourceArns=[first[0].arn])["TagDescriptions"][0]["Tags"]
    assert {"Key": "slipway:deployment", "Value": ID} in described


def test_ensure_waits_for_the_load_balancer(deployment: Deployment) -> None:
    with pytest.raises(NotReady, match="load balancer"):
        listener.ensure(deployment)


def test_ensure_waits_for_the_target_group(deployment: Deployment) -> None:
    security_groups.ensure(deployment)
    load_balancer.ensure(deployment)
    with pytest.raises(NotReady, match="target group"):
        listener.ensure(deployment)


def test_ensure_waits_for_a_duplicate_that_is_not_visible_yet(balanced: Deployment) -> None:
    aws_says.refuse("elbv2", "CreateListener", "DuplicateListener")
    with pytest.raises(NotReady):
        listener.ensure(balanced)


def test_the_listener_is_deleted_with_its_load_balancer(balanced: Deployment) -> None:
    arn = listener.ensure(balanced)[0].arn
    load_balancer.delete(ID)
    elbv2 = aws.client("elbv2")
    with pytest.raises(elbv2.exceptions.ListenerNotFoundException):
        elbv2.describe_listeners(ListenerArns=[arn])


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("DescribeListeners", "LoadBalancerNotFound"),
        ("CreateListener", "LoadBalancerNotFound"),
        ("CreateListener", "TargetGroupNotFound"),
    ],
)
def test_ensure_waits_for_resources_that_are_not_visible_yet(
    balanced: Deployment, operation: str, code: str
) -> None:
    aws_says.refuse("elbv2", operation, code)
    with pytest.raises(NotReady, match="not visible yet"):
        listener.ensure(balanced)
