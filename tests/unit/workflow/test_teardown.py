from datetime import timedelta
from threading import Event

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, NotReady
from chalicelib.domain.operation import StepStatus
from chalicelib.domain.parts import Leftover, Resource
from chalicelib.platform import aws, clock
from chalicelib.resources import (
    cluster,
    listener,
    load_balancer,
    log_group,
    scaling,
    security_groups,
    service,
    target_group,
    task_definition,
)
from chalicelib.resources.task_definition import log_stream
from chalicelib.store import kept_logs
from chalicelib.workflow import teardown
from tests.support import aws_says
from tests.support.builders import ID, MOMENT, deployment_of
from tests.unit.workflow.conftest import World, running_task, stopped_task

ARN = "arn:aws:{}:us-east-1:123456789012:{}"


def tagged(*arns: str) -> None:
    """Make the tagging API list only these resources."""
    found = [{"ResourceARN": arn, "Tags": []} for arn in arns]
    aws_says.answer("resourcegroupstaggingapi", "GetResources", {"ResourceTagMappingList": found})


def write_log(deployment: Deployment, *lines: str) -> None:
    """Makes a task of the deployment write lines."""
    logs, group, stream = aws.client("logs"), log_group.name_of(ID), log_stream("0f" * 16)
    log_group.ensure(deployment)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    at = round(clock.now().timestamp() * 1000)
    events = [{"timestamp": at, "message": line} for line in lines]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def kept() -> list[str]:
    return [event["message"] for event in kept_logs.find(ID)]


@pytest.mark.usefixtures("table")
def test_the_log_lines_of_a_failed_create_are_kept() -> None:
    deployment = deployment_of()
    write_log(deployment, "one", "two")
    for _ in range(2):  # the second time there is no log group
        teardown.delete_log_group(deployment)
        assert log_group.exists(ID) == []
        assert kept() == ["one", "two"]


@pytest.mark.usefixtures("table")
def test_the_log_lines_of_a_deleted_deployment_are_not_kept() -> None:
    deployment = deployment_of()
    write_log(deployment, "one")
    deployment.delete(MOMENT)
    teardown.delete_log_group(deployment)
    assert (log_group.exists(ID), kept()) == ([], [])


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("logs", "DescribeLogStreams"),
        ("logs", "GetLogEvents"),
        ("logs", "FilterLogEvents"),
        ("dynamodb", "TransactWriteItems"),
    ],
)
def test_a_log_group_is_deleted_even_if_its_lines_cannot_be_kept(
    service: str, operation: str
) -> None:
    deployment = deployment_of()
    write_log(deployment, "one")
    aws_says.refuse(service, operation, "AccessDeniedException")
    teardown.delete_log_group(deployment)
    assert (log_group.exists(ID), kept()) == ([], [])


@pytest.mark.usefixtures("table")
def test_a_log_group_is_deleted_even_if_its_lines_never_arrive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deployment = deployment_of()
    write_log(deployment, "one")
    monkeypatch.setattr(teardown, "KEEPING_LOGS", timedelta(milliseconds=1))
    is_over = Event()
    aws_says.answer("logs", "FilterLogEvents", lambda _: is_over.wait() and {"events": []})
    teardown.delete_log_group(deployment)
    assert (log_group.exists(ID), kept()) == ([], [])
    is_over.set()


@pytest.fixture
def deployed(cloud: None) -> Deployment:
    tagged()
    deployment = deployment_of(scaling={"min": 1, "max": 2, "metric": "cpu", "target": 50})
    security_groups.ensure(deployment)
    load_balancer.ensure(deployment)
    target_group.ensure(deployment)
    listener.ensure(deployment)
    cluster.ensure(deployment)
    log_group.ensure(deployment)
    task_definition.ensure(deployment)
    service.ensure(deployment)
    scaling.ensure(deployment)
    return deployment


def test_the_teardown_waits_for_stopping_tasks(world: World) -> None:
    world.tasks = [running_task(1), running_task(2), stopped_task(3)]
    with pytest.raises(NotReady, match="2 task"):
        teardown.drain_tasks(deployment_of())
    world.tasks = [stopped_task(3)]
    teardown.drain_tasks(deployment_of())


def test_every_remaining_resource_is_named(deployed: Deployment) -> None:
    left = teardown.find_leftovers(ID)
    assert {item.kind for item in left} == set(teardown.EXISTS)
    with pytest.raises(NotReady, match=rf"load_balancer {ID}"):
        teardown.verify(deployed)


def test_the_teardown_leaves_nothing(deployed: Deployment) -> None:
    scaling.delete(ID)
    service.delete(ID)
    load_balancer.delete(ID)
    target_group.delete(ID)
    security_groups.delete(ID)
    task_definition.delete(ID)
    cluster.delete(ID)
    log_group.delete(ID)
    assert teardown.find_leftovers(ID) == []


@pytest.mark.usefixtures("cloud")
def test_the_receipt_adds_deleted_resources_to_earlier_ones() -> None:
    tagged()
    deployment = deployment_of()
    earlier = Resource(kind="cluster", name="old", deleted_at=MOMENT, verified_gone=True)
    deployment.resources = [earlier.model_copy(), Resource(kind="cluster", name=ID)]
    deployment.leftovers = [Leftover(kind="cluster", name=ID, reason="it was there before")]
    change = teardown.verify(deployment).change
    assert change is not None
    change(deployment)
    assert deployment.resources[0] == earlier
    assert deployment.resources[1].verified_gone
    assert deployment.resources[1].deleted_at is not None
    assert deployment.leftovers == []


@pytest.mark.usefixtures("cloud")
def test_resources_found_only_by_tag_are_leftovers() -> None:
    arn = ARN.format("sqs", "queue")
    tagged(arn)
    [left] = teardown.find_leftovers(ID)
    assert (left.kind, left.name) == ("unknown", arn)


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(
    "arn",
    [
        ARN.format("ecs", f"cluster/{ID}"),
        ARN.format("ecs", f"service/{ID}/{ID}"),
        ARN.format("ecs", f"task/{ID}/0123"),
        ARN.format("ecs", f"task-definition/{ID}:1"),
        ARN.format("elasticloadbalancing", f"loadbalancer/app/{ID}/0123"),
        ARN.format("elasticloadbalancing", f"listener/app/{ID}/0123/4567"),
        ARN.format("elasticloadbalancing", f"targetgroup/{ID}/0123"),
        ARN.format("logs", f"log-group:/slipway/slipway-test/deployments/{ID}"),
        ARN.format("ec2", "security-group/sg-0123"),
    ],
)
def test_a_lookup_by_name_overrides_the_tagging_api(arn: str) -> None:
    tagged(arn)
    assert teardown.find_leftovers(ID) == []


def test_a_failed_deletion_ends_the_wait_and_reports_the_reason(deployed: Deployment) -> None:
    deployed.delete(MOMENT)
    deployed.finish_step(
        "delete_cluster", MOMENT, "AWS refused DeleteCluster.", status=StepStatus.FAILED
    )
    with pytest.raises(DeploymentFailed, match=f"cluster {ID}"):
        teardown.verify(deployed)
    left = teardown.with_reasons(teardown.find_leftovers(ID), deployed)
    reasons = {item.kind: item.reason for item in left}
    assert reasons["cluster"] == "AWS refused DeleteCluster."
    assert reasons["log_group"] == "AWS still has a resource with this name"
