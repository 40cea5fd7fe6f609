from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.platform import aws
from chalicelib.resources import cluster, network, security_groups, service, task_definition
from tests.support import aws_says
from tests.support.builders import ID, spec_of

# Until the load balancer notices that a task answers: two checks of 5 s and a timeout of 4 s each.
NOTICE = 18


def described() -> dict[str, Any]:
    ecs = aws.client("ecs")
    [shown] = ecs.describe_services(cluster=ID, services=[ID], include=["TAGS"])["services"]
    return shown


def test_repeated_ensure_creates_one_service_with_the_stacks_tags(deployed: Deployment) -> None:
    first, second = service.ensure(deployed), service.ensure(deployed)
    assert first == second
    assert aws.client("ecs").list_services(cluster=ID)["serviceArns"] == [first.arn]
    tags = {tag["key"]: tag["value"] for tag in described()["tags"]}
    assert (tags["slipway:deployment"], tags["team"]) == (ID, "a")


def test_an_up_to_date_service_is_not_changed(deployed: Deployment) -> None:
    calls = aws_says.watch("ecs", "UpdateService")
    shown = {**described(), "healthCheckGracePeriodSeconds": 60 + NOTICE}
    aws_says.answer("ecs", "DescribeServices", {"services": [shown]})
    service.ensure(deployed)
    assert calls == []


def test_the_service_matches_the_spec(deployment: Deployment) -> None:
    deployment.spec = spec_of(count=3, port=8080, health_check={"grace": 90})
    security_groups.ensure(deployment)
    cluster.ensure(deployment)
    task_definition.ensure(deployment)
    shown = {"TargetGroups": [{"TargetGroupArn": "arn:target"}]}
    aws_says.answer("elbv2", "DescribeTargetGroups", shown)
    calls = aws_says.watch("ecs", "CreateService")
    service.ensure(deployment)
    [call] = calls
    assert (call["desiredCount"], call["launchType"]) == (3, "FARGATE")
    assert call["healthCheckGracePeriodSeconds"] == 90 + NOTICE
    assert call["loadBalancers"] == [
        {"targetGroupArn": "arn:target", "containerName": "app", "containerPort": 8080}
    ]
    network_configuration = call["networkConfiguration"]["awsvpcConfiguration"]
    assert network_configuration == {
        "subnets": list(network.find().subnet_ids),
        "securityGroups": [security_groups.ids(ID)[1]],
        "assignPublicIp": "ENABLED",
    }
    rollout = call["deploymentConfiguration"]
    assert (rollout["minimumHealthyPercent"], rollout["maximumPercent"]) == (100, 200)
    assert rollout["deploymentCircuitBreaker"]["rollback"] is False


def test_an_update_rolls_the_service_to_the_spec(deployed: Deployment) -> None:
    deployed.spec = spec_of(count=4, environment={"A": "b"})
    revision = task_definition.ensure(deployed).arn
    service.ensure(deployed)
    assert (described()["desiredCount"], described()["taskDefinition"]) == (4, revision)


def test_ensure_waits_for_the_task_definition(deployment: Deployment) -> None:
    with pytest.raises(NotReady, match="task definition"):
        service.ensure(deployment)


def test_ensure_waits_for_the_cluster(deployed: Deployment) -> None:
    aws_says.answer("ecs", "DescribeServices", {"services": []})
    aws_says.refuse("ecs", "CreateService", "ClusterNotFoundException")
    with pytest.raises(NotReady, match="cluster"):
        service.ensure(deployed)


def test_ensure_waits_for_a_draining_service(deployed: Deployment) -> None:
    shown = {**described(), "status": "DRAINING"}
    aws_says.answer("ecs", "DescribeServices", {"services": [shown]})
    with pytest.raises(NotReady, match="draining"):
        service.ensure(deployed)


@pytest.mark.parametrize(
    "message",
    [
        "Creation of service was not idempotent.",
        "The target group arn:x does not have an associated load balancer.",
    ],
)
def test_ensure_waits_for_resources_that_ecs_does_not_see_yet(
    deployed: Deployment, message: str
) -> None:
    aws_says.answer("ecs", "DescribeServices", {"services": []})
    aws_says.refuse("ecs", "CreateService", "InvalidParameterException", message)
    with pytest.raises(NotReady):
        service.ensure(deployed)


def test_a_request_that_ecs_refuses_raises_an_error(deployed: Deployment) -> None:
    aws_says.answer("ecs", "DescribeServices", {"services": []})
    aws_says.refuse("ecs", "CreateService", "InvalidParameterException", "Invalid subnet")
    with pytest.raises(ClientError):
        service.ensure(deployed)


def test_delete_removes_the_service_with_its_tasks(deployed: Deployment) -> None:
    calls = aws_says.watch("ecs", "DeleteService")
    assert service.exists(ID) == [ID]
    service.delete(ID)
    assert service.exists(ID) == []
    assert calls[0]["force"] is True


def test_delete_twice_deletes_once(deployed: Deployment) -> None:
    service.delete(ID)
    calls = aws_says.watch("ecs", "DeleteService")
    service.delete(ID)
    assert calls == []


@pytest.mark.usefixtures("cloud")
def test_delete_succeeds_without_a_cluster() -> None:
    service.delete(ID)
    assert service.exists(ID) == []


def test_delete_succeeds_without_a_service(deployment: Deployment) -> None:
    cluster.ensure(deployment)
    service.delete(ID)
    assert service.exists(ID) == []


@pytest.mark.parametrize("code", ["ServiceNotFoundException", "ClusterNotFoundException"])
def test_a_service_that_another_run_deleted_is_gone(deployed: Deployment, code: str) -> None:
    aws_says.refuse("ecs", "DeleteService", code)
    service.delete(ID)
