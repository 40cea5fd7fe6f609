"""ECS on Fargate: services keep their tasks running, roll updates out, and are deleted."""

from __future__ import annotations

from itertools import pairwise

import pytest
from botocore.exceptions import ClientError

from tests.support.simulated_aws.account import Account
from tests.support.simulated_aws.containers import answers, exits, missing_image, serves
from tests.support.simulated_aws.site import (
    NAME,
    SURELY_ACTIVE,
    SURELY_RUNNING,
    Site,
    code_of,
    message_of,
)
from tests.support.simulated_aws.tasks import FORGOTTEN_AFTER
from tests.support.simulated_aws.times import TASK_RUNNING, TASK_STOPPED

STOPPED_BY_THEN = max(TASK_STOPPED) + 5 + 10 + 2


@pytest.fixture
def site(account: Account) -> Site:
    """Everything except the service; image 1 serves."""
    account.containers.set("1", serves())
    return Site(account).make()


def serving(site: Site, **changes: object) -> Site:
    """A service in steady state."""
    site.create_service(**changes)
    site.pass_time(SURELY_ACTIVE + 30)
    assert site.service()["deployments"][0]["rolloutState"] == "COMPLETED"
    return site


def test_a_task_starts_in_the_measured_time(site: Site) -> None:
    site.create_service()
    site.pass_time(3)
    assert [task["lastStatus"] for task in site.tasks()] == ["PROVISIONING"]
    site.pass_time(min(TASK_RUNNING) - 2)
    assert [task["lastStatus"] for task in site.tasks()] != ["RUNNING"]
    site.pass_time(SURELY_RUNNING)
    task = site.tasks()[0]

    assert task["lastStatus"] == "RUNNING"
    waited = (task["startedAt"] - task["createdAt"]).total_seconds()
    assert waited in TASK_RUNNING


def test_a_service_counts_its_tasks(site: Site) -> None:
    site.create_service(desiredCount=3)
    site.pass_time(3)
    service = site.service()
    assert (service["pendingCount"], service["runningCount"]) == (3, 0)
    site.pass_time(SURELY_RUNNING)
    service = site.service()

    assert (service["pendingCount"], service["runningCount"]) == (0, 3)
    assert service["deployments"][0]["runningCount"] == 3
    clusters = site.client("ecs").describe_clusters(clusters=[NAME])["clusters"]
    assert clusters[0]["runningTasksCount"] == 3


def test_a_running_task_is_registered_with_its_interfaces_address(site: Site) -> None:
    site.create_service()
    site.pass_time(SURELY_RUNNING)
    details = {d["name"]: d["value"] for d in site.tasks()[0]["attachments"][0]["details"]}
    targets = site.client("elbv2").describe_target_health(TargetGroupArn=site.group)
    interfaces = site.client("ec2").describe_network_interfaces(
        Filters=[{"Name": "network-interface-id", "Values": [details["networkInterfaceId"]]}]
    )["NetworkInterfaces"]

    address = details["privateIPv4Address"]
    assert targets["TargetHealthDescriptions"][0]["Target"]["Id"] == address
    assert [i["PrivateIpAddress"] for i in interfaces] == [address]
    assert interfaces[0]["Association"]["PublicIp"]


def test_the_deployment_is_complete_when_the_targets_are_healthy(site: Site) -> None:
    site.create_service()
    site.pass_time(SURELY_RUNNING)
    assert site.service()["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    site.pass_time(SURELY_ACTIVE)

    deployment = site.service()["deployments"][0]
    assert (deployment["status"], deployment["rolloutState"]) == ("PRIMARY", "COMPLETED")
    said = site.events()
    assert "has started 1 tasks: (task " in said[0]
    assert f"registered 1 targets in (target-group {site.group})" in said[1]
    assert said[-1] == f"(service {NAME}) has reached a steady state."


def test_an_update_starts_the_new_before_it_stops_the_old(site: Site) -> None:
    serving(site, desiredCount=2)
    old = {task["taskArn"] for task in site.tasks()}
    site.update(taskDefinition=site.register("2"))
    site.pass_time(3)
    service = site.service()

    assert [d["status"] for d in service["deployments"]] == ["PRIMARY", "ACTIVE"]
    for _ in range(40):
        site.pass_time(3)
        assert [h["State"] for h in site.health()].count("healthy") >= 2
        assert site.service()["runningCount"] <= 4
    service = site.service()
    assert [d["rolloutState"] for d in service["deployments"]] == ["COMPLETED"]
    assert old.isdisjoint(task["taskArn"] for task in site.tasks())
    stopped = site.tasks("STOPPED")
    assert {task["taskArn"] for task in stopped} == old
    assert {task["stopCode"] for task in stopped} == {"ServiceSchedulerInitiated"}


def test_a_bad_update_leaves_the_old_tasks_serving_and_trips_the_breaker(site: Site) -> None:
    serving(site)
    site.account.containers.set(f"{_image(site)}:bad", exits(after=2))
    site.update(taskDefinition=site.register("bad"))
    for _ in range(200):
        site.pass_time(3)
        assert "healthy" in [h["State"] for h in site.health()]
    primary, before = site.service()["deployments"]

    assert (primary["rolloutState"], primary["failedTasks"]) == ("FAILED", 3)
    assert primary["rolloutStateReason"].startswith("ECS deployment circuit breaker")
    assert before["runningCount"] == 1
    assert len(site.tasks("STOPPED")) == 3


def test_a_rollback_after_a_tripped_breaker_is_a_new_deployment(site: Site) -> None:
    serving(site)
    good = site.definition
    site.account.containers.set(f"{_image(site)}:bad", exits(after=2))
    site.update(taskDefinition=site.register("bad"))
    site.pass_time(600)
    site.update(taskDefinition=good)
    site.pass_time(120)

    states = [d["rolloutState"] for d in site.service()["deployments"]]
    assert states == ["COMPLETED"]


@pytest.mark.parametrize("count", [0, 1, 4])
def test_scaling_creates_no_new_deployment(site: Site, count: int) -> None:
    serving(site, desiredCount=2)
    site.update(desiredCount=count)
    site.pass_time(SURELY_RUNNING + STOPPED_BY_THEN)

    assert len(site.service()["deployments"]) == 1
    assert site.service()["runningCount"] == count
    assert [h["State"] for h in site.health()] == ["healthy"] * count


def test_a_task_stops_in_the_measured_time_and_is_replaced(site: Site) -> None:
    serving(site)
    task = site.tasks()[0]["taskArn"]
    site.client("ecs").stop_task(cluster=NAME, task=task, reason="by hand")
    assert site.tasks("STOPPED")[0]["lastStatus"] != "STOPPED"
    site.pass_time(STOPPED_BY_THEN + SURELY_RUNNING)
    stopped = site.tasks("STOPPED")[0]

    assert (stopped["taskArn"], stopped["lastStatus"]) == (task, "STOPPED")
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "by hand")
    assert (stopped["stoppedAt"] - stopped["stoppingAt"]).total_seconds() > min(TASK_STOPPED)
    assert [t["lastStatus"] for t in site.tasks()] == ["RUNNING"]


def test_a_stopped_task_disappears_after_an_hour(site: Site) -> None:
    serving(site)
    task = site.tasks()[0]["taskArn"]
    site.client("ecs").stop_task(cluster=NAME, task=task)
    site.pass_time(STOPPED_BY_THEN + FORGOTTEN_AFTER)

    assert site.tasks("STOPPED") == []
    answer = site.client("ecs").describe_tasks(cluster=NAME, tasks=[task])
    assert [failure["reason"] for failure in answer["failures"]] == ["MISSING"]


def test_a_deleted_service_drains_until_its_tasks_have_stopped(site: Site) -> None:
    serving(site)
    site.client("ecs").delete_service(cluster=NAME, service=NAME, force=True)
    site.pass_time(min(TASK_STOPPED))
    assert site.service()["status"] == "DRAINING"
    assert site.client("ecs").list_services(cluster=NAME)["serviceArns"] == []
    site.pass_time(STOPPED_BY_THEN)

    assert site.service()["status"] == "INACTIVE"
    assert [task["lastStatus"] for task in site.tasks("STOPPED")] == ["STOPPED"]
    assert site.tasks() == []


def test_health_checks_replace_a_task_only_after_the_grace_period(site: Site) -> None:
    site.account.containers.set(f"{_image(site)}:1", answers(404))
    site.create_service(healthCheckGracePeriodSeconds=300)
    site.pass_time(SURELY_ACTIVE + 60)
    assert [task["lastStatus"] for task in site.tasks()] == ["RUNNING"]
    assert site.health()[0]["State"] == "unhealthy"
    site.pass_time(300)
    stopped = site.tasks("STOPPED")[0]

    running_for = (stopped["stoppingAt"] - stopped["startedAt"]).total_seconds()
    assert running_for >= 300
    assert stopped["stoppedReason"] == (
        f"Task failed ELB health checks in (target-group {site.group})"
    )
    assert stopped["stopCode"] == "ServiceSchedulerInitiated"
    assert any(
        f"(port 8080) is unhealthy in (target-group {site.group}) due to (reason Health checks "
        "failed with these codes: [404])." in event
        for event in site.events()
    )


def test_tasks_that_never_run_restart_with_growing_delays(site: Site) -> None:
    site.account.containers.set(f"{_image(site)}:1", missing_image())
    site.create_service(deploymentConfiguration={"maximumPercent": 200})
    site.pass_time(1800)
    moments = [task["createdAt"] for task in site.tasks("STOPPED") + site.tasks()]
    waits = [(b - a).total_seconds() for a, b in pairwise(moments)]

    assert len(waits) >= 4
    assert waits[-1] > 4 * waits[0]
    assert any("is unable to consistently start tasks" in event for event in site.events())


def test_tasks_that_ran_restart_immediately(site: Site) -> None:
    site.account.containers.set(f"{_image(site)}:1", exits(after=1))
    site.create_service(deploymentConfiguration={"maximumPercent": 200})
    site.pass_time(1800)
    moments = [task["createdAt"] for task in site.tasks("STOPPED") + site.tasks()]
    waits = [(b - a).total_seconds() for a, b in pairwise(moments)]

    assert max(waits) < max(TASK_RUNNING) + 10


def test_the_vcpu_limit_of_the_account_is_shared(site: Site) -> None:
    site.account.containers.vcpus = 0.5
    site.create_service(desiredCount=3)
    site.pass_time(SURELY_RUNNING)

    assert site.service()["runningCount"] == 2
    assert any("reached the limit on the number of vCPUs" in event for event in site.events())


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("list_tasks", {}),
        ("describe_services", {"services": [NAME]}),
        ("list_services", {}),
        ("create_service", {"serviceName": NAME, "taskDefinition": NAME}),
    ],
)
def test_calls_to_a_missing_cluster_are_refused(
    site: Site, operation: str, params: dict[str, object]
) -> None:
    with pytest.raises(ClientError) as error:
        getattr(site.client("ecs"), operation)(cluster="nowhere", **params)

    assert code_of(error) == "ClusterNotFoundException"
    assert message_of(error) == "Cluster not found."


def test_a_missing_service_is_listed_as_a_failure(site: Site) -> None:
    answer = site.client("ecs").describe_services(cluster=NAME, services=["other"])

    assert answer["services"] == []
    assert answer["failures"][0]["reason"] == "MISSING"


def test_tasks_get_the_services_tags_and_show_them_on_request(site: Site) -> None:
    tags = [{"key": "slipway:stack", "value": "prod"}]
    site.create_service(propagateTags="SERVICE", tags=tags)
    site.pass_time(3)
    ecs, task = site.client("ecs"), site.tasks()[0]["taskArn"]
    shown = ecs.describe_tasks(cluster=NAME, tasks=[task], include=["TAGS"])["tasks"][0]

    assert shown["tags"] == tags
    assert site.service()["tags"] == []


def test_changed_service_tags_apply_only_to_new_tasks(site: Site) -> None:
    site.create_service(propagateTags="SERVICE", tags=[{"key": "a", "value": "1"}])
    site.pass_time(60)
    ecs, first = site.client("ecs"), site.tasks()[0]["taskArn"]
    arn = site.service()["serviceArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "b", "value": "2"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["a"])
    site.update(desiredCount=2)
    site.pass_time(60)
    arns = [task["taskArn"] for task in site.tasks()]
    shown = ecs.describe_tasks(cluster=NAME, tasks=arns, include=["TAGS"])["tasks"]

    tags = {task["taskArn"] == first: task["tags"] for task in shown}
    assert tags == {True: [{"key": "a", "value": "1"}], False: [{"key": "b", "value": "2"}]}


def _image(site: Site) -> str:
    task = site.client("ecs").describe_task_definition(taskDefinition=NAME)["taskDefinition"]
    return str(task["containerDefinitions"][0]["image"]).rpartition(":")[0]


def test_maximum_percent_limits_the_number_of_tasks(site: Site) -> None:
    serving(site, desiredCount=2, deploymentConfiguration={"maximumPercent": 150})
    site.update(taskDefinition=site.register("2"))
    most = 0
    for _ in range(120):
        site.pass_time(2)
        most = max(most, len(site.tasks()))

    assert most == 3
    assert {task["taskDefinitionArn"] for task in site.tasks()} == {site.definition}
