import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.resources import load_balancer, network, security_groups
from tests.support import aws_says
from tests.support.builders import ID, spec_of


@pytest.fixture(autouse=True)
def groups(deployment: Deployment) -> None:
    security_groups.ensure(deployment)


def test_repeated_ensure_creates_one_load_balancer_with_the_stacks_tags(
    deployment: Deployment,
) -> None:
    first = load_balancer.ensure(deployment)
    # The emulator would create another. AWS returns the existing one, or an error.
    aws_says.refuse("elbv2", "CreateLoadBalancer", "DuplicateLoadBalancerName")
    assert load_balancer.ensure(deployment) == first
    elbv2 = aws.client("elbv2")
    [balancer] = elbv2.describe_load_balancers()["LoadBalancers"]
    assert (balancer["LoadBalancerName"], balancer["Scheme"]) == (ID, "internet-facing")
    assert balancer["SecurityGroups"] == [security_groups.ids(ID)[0]]
    zones = {zone["SubnetId"] for zone in balancer["AvailabilityZones"]}
    assert zones == set(network.find().subnet_ids)
    described = elbv2.describe_tags(ResourceArns=[first.arn])["TagDescriptions"][0]["Tags"]
    tags = {tag["Key"]: tag["Value"] for tag in described}
    assert (tags["slipway:deployment"], tags["slipway:stack"]) == (ID, "slipway-test")
    assert (tags["slipway:owner"], tags["team"]) == ("team-a", "a")


def test_the_idle_timeout_follows_the_time_of_one_request(deployment: Deployment) -> None:
    elbv2 = aws.client("elbv2")
    for spec, seconds in (
        (spec_of(), "60"),
        (spec_of(request_timeout=900), "900"),
        (spec_of().model_copy(update={"request_timeout": None}), "60"),
    ):
        deployment.spec = spec
        arn = load_balancer.ensure(deployment).arn
        attributes = elbv2.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
        values = {attribute["Key"]: attribute["Value"] for attribute in attributes}
        assert values["idle_timeout.timeout_seconds"] == seconds


def test_ensure_waits_for_a_load_balancer_whose_attributes_cannot_be_set_yet(
    deployment: Deployment,
) -> None:
    aws_says.refuse("elbv2", "ModifyLoadBalancerAttributes", "LoadBalancerNotFound", times=1)
    with pytest.raises(NotReady):
        load_balancer.ensure(deployment)
    load_balancer.ensure(deployment)


def test_ensure_waits_for_the_security_group(deployment: Deployment) -> None:
    security_groups.delete(ID)
    with pytest.raises(NotReady):
        load_balancer.ensure(deployment)


def test_ensure_waits_for_a_security_group_that_elb_does_not_see_yet(
    deployment: Deployment,
) -> None:
    aws_says.refuse("elbv2", "CreateLoadBalancer", "InvalidSecurityGroup", times=1)
    with pytest.raises(NotReady):
        load_balancer.ensure(deployment)
    load_balancer.ensure(deployment)


def test_ensure_waits_for_a_duplicate_that_is_not_visible_yet(deployment: Deployment) -> None:
    aws_says.refuse("elbv2", "CreateLoadBalancer", "DuplicateLoadBalancerName")
    with pytest.raises(NotReady):
        load_balancer.ensure(deployment)


def test_delete_removes_the_load_balancer(deployment: Deployment) -> None:
    load_balancer.ensure(deployment)
    assert load_balancer.exists(ID) == [ID]
    load_balancer.delete(ID)
    assert load_balancer.exists(ID) == []


def test_deleting_a_missing_load_balancer_succeeds() -> None:
    load_balancer.delete(ID)
    assert load_balancer.exists(ID) == []
    with pytest.raises(NotReady):
        load_balancer.get(ID)


def test_the_url_follows_the_templates_format(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAD_BALANCER_URL", "http://localhost:4566/lb/{name}")
    settings.cache_clear()
    load_balancer.ensure(deployment)
    assert load_balancer.get(ID).url(deployment.spec) == f"http://localhost:4566/lb/{ID}"


def test_the_url_is_the_dns_name(deployment: Deployment) -> None:
    load_balancer.ensure(deployment)
    balancer = load_balancer.get(ID)
    assert balancer.url(deployment.spec) == f"http://{balancer.dns_name}"
    assert balancer.dns_name
