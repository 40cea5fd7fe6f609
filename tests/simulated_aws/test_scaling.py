"""Rules of Application Auto Scaling that moto does not enforce."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.simulated_aws.account import Account
from tests.support.simulated_aws.site import NAME, SURELY_RUNNING, Site, code_of, message_of

OWN = {
    "ServiceNamespace": "ecs",
    "ResourceId": f"service/{NAME}/{NAME}",
    "ScalableDimension": "ecs:service:DesiredCount",
}
CPU = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}


@pytest.fixture
def site(account: Account) -> Site:
    account.push("1")
    return Site(account).make()


def register(site: Site, **changes: Any) -> Any:
    params = {**OWN, "MinCapacity": 1, "MaxCapacity": 3, **changes}
    return site.client("application-autoscaling").register_scalable_target(**params)


def put(site: Site, metric: dict[str, str] = CPU) -> Any:
    return site.client("application-autoscaling").put_scaling_policy(
        **OWN,
        PolicyName=NAME,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 60,
            "PredefinedMetricSpecification": metric,
        },
    )


def test_a_target_needs_its_service(site: Site) -> None:
    with pytest.raises(ClientError) as error:
        register(site)
    assert code_of(error) == "ValidationException"
    assert "service doesn't exist" in message_of(error)
    site.create_service()
    assert register(site)["ScalableTargetARN"]


def test_tags_for_an_existing_target_are_refused(site: Site) -> None:
    site.create_service()
    register(site, Tags={"a": "b"})
    with pytest.raises(ClientError, match="already exists"):
        register(site, Tags={"a": "b"})
    register(site, MaxCapacity=5)


def test_the_maximum_must_not_be_less_than_the_minimum(site: Site) -> None:
    site.create_service()
    with pytest.raises(ClientError, match="Maximum capacity"):
        register(site, MinCapacity=4)


def test_a_policy_needs_its_target(site: Site) -> None:
    site.create_service()
    with pytest.raises(ClientError) as error:
        put(site)
    assert code_of(error) == "ObjectNotFoundException"


def test_a_resource_label_must_name_existing_resources(site: Site) -> None:
    site.create_service()
    register(site)
    metric = {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": "app/a/b"}
    with pytest.raises(ClientError, match="resource label"):
        put(site, metric)
    balancer = site.balancer.partition(":loadbalancer/")[2]
    put(site, {**metric, "ResourceLabel": f"{balancer}/{site.group.rpartition(':')[2]}"})


def test_a_policy_is_deleted_with_its_target(site: Site) -> None:
    client = site.client("application-autoscaling")
    site.create_service()
    register(site)
    put(site)
    assert site.account.left(NAME)
    client.deregister_scalable_target(**OWN)
    assert client.describe_scaling_policies(**OWN)["ScalingPolicies"] == []
    for call, more in (
        (client.deregister_scalable_target, {}),
        (client.delete_scaling_policy, {"PolicyName": NAME}),
    ):
        with pytest.raises(ClientError) as error:
            call(**OWN, **more)
        assert code_of(error) == "ObjectNotFoundException"


def test_a_target_remains_after_its_service_is_deleted(site: Site) -> None:
    site.create_service()
    register(site)
    site.delete_service()
    site.pass_time(60)
    assert f"scalable_target service/{NAME}/{NAME}" in site.account.left(NAME)


def test_load_sets_the_desired_count_within_the_bounds(site: Site) -> None:
    site.create_service()
    site.account.scaling.ask_for(NAME, 2)  # no policy scales the service yet
    assert site.service()["desiredCount"] == 1
    register(site)
    put(site)
    site.account.scaling.ask_for(NAME, 9)
    site.pass_time(SURELY_RUNNING)
    assert (site.service()["desiredCount"], len(site.tasks())) == (3, 3)
    register(site, SuspendedState={"DynamicScalingInSuspended": True})
    site.account.scaling.ask_for(NAME, 1)
    assert site.service()["desiredCount"] == 3
