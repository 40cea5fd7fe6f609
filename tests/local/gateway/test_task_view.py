"""Tasks and services of the local stack, as AWS would describe them."""

from __future__ import annotations

from typing import Any

import pytest

from local.gateway.ecs.reports import Reports
from local.gateway.ecs.services import service_seen_by_aws
from local.gateway.ecs.tasks import EXITED, Task, seen_by_aws

START = 1_790_000_000.0
OLD, NEW = "arn:aws:ecs:::task-definition/a:1", "arn:aws:ecs:::task-definition/a:2"
GROUP = "arn:aws:elasticloadbalancing:::targetgroup/a/0"
UNHEALTHY = f"Task failed ELB health checks in (target-group {GROUP})"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
CLUSTER = "arn:aws:ecs:::cluster/a"


def task(said: str, *, reason: str = "", number: int = 1, definition: str = NEW) -> Task:
    """A task as MiniStack describes it."""
    stopped = {"stoppedReason": reason, "stopCode": "UserInitiated"}
    stopped["stoppedAt"] = START + 10 * number + 5  # type: ignore[assignment]
    return {
        "taskArn": f"arn:aws:ecs:::task/a/{number}",
        "taskDefinitionArn": definition,
        "group": "service:a",
        "lastStatus": said,
        "desiredStatus": said,
        "createdAt": START + 10 * number,
        "startedAt": START + 10 * number,
        "containers": [{"name": "app", "lastStatus": said, "exitCode": 0}],
        **(stopped if said == "STOPPED" else {}),
    }


def seen(described: Task, *statuses: str, **container: Any) -> Task:
    """The task as the gateway shows it, after reports with these statuses.

    Args:
        container: what the last report says about the container.
    """
    reports = Reports()
    binding = {"bindIP": "127.1.2.3", "containerPort": 80}
    for status in statuses:
        state: dict[str, Any] = {"containerName": "app"}
        if status == "RUNNING":
            state["networkBindings"] = [binding]
        if status == statuses[-1]:
            state |= container
        change = {"cluster": CLUSTER, "task": described["taskArn"], "status": status}
        reports.submit({**change, "containers": [state]})
    return seen_by_aws(described, reports.of(described["taskArn"]))


RUN, END = ("RUNNING",), ("RUNNING", "DEACTIVATING", "STOPPING", "STOPPED")


def service(**changes: Any) -> dict[str, Any]:
    """A service as MiniStack describes it."""
    return {
        "serviceName": "a",
        "status": "ACTIVE",
        "desiredCount": 1,
        "runningCount": 1,
        "pendingCount": 0,
        "taskDefinition": NEW,
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": {
                "enable": True,
                "rollback": False,
                "thresholdConfiguration": {"type": "COUNT", "value": 3},
            }
        },
        "deployments": [
            {
                "id": "ecs-svc/2",
                "status": "PRIMARY",
                "taskDefinition": NEW,
                "rolloutState": "COMPLETED",
            }
        ],
        "events": [],
        **changes,
    }


@pytest.mark.parametrize(
    ("said", "statuses", "reason", "last", "desired"),
    [
        ("RUNNING", (), "", "PENDING", "RUNNING"),
        ("RUNNING", RUN, "", "RUNNING", "RUNNING"),
        ("RUNNING", END[:2], "", "DEACTIVATING", "STOPPED"),
        ("RUNNING", END, "", "DEPROVISIONING", "STOPPED"),
        ("STOPPED", RUN, "Task definition updated", "RUNNING", "RUNNING"),
        ("STOPPED", END[:2], "Task definition updated", "DEACTIVATING", "STOPPED"),
        ("STOPPED", END[:3], "Task definition updated", "STOPPING", "STOPPED"),
        ("STOPPED", RUN, "Service deleted", "DEACTIVATING", "STOPPED"),
        ("STOPPED", END, EXITED, "STOPPED", "STOPPED"),
        ("STOPPED", (), "CannotPullContainerError: no", "STOPPED", "STOPPED"),
    ],
)
def test_a_task_has_the_status_of_its_process(
    said: str, statuses: tuple[str, ...], reason: str, last: str, desired: str
) -> None:
    shown = seen(task(said, reason=reason), *statuses)

    assert (shown["lastStatus"], shown["desiredStatus"]) == (last, desired)
    assert ("stoppedAt" in shown) == (last == "STOPPED")
    assert ("startedAt" in shown) == bool(statuses)


@pytest.mark.parametrize(
    ("reason", "code", "words", "container"),
    [
        (EXITED, "EssentialContainerExited", EXITED, {"exitCode": 3}),
        (
            EXITED,
            "EssentialContainerExited",
            EXITED,
            {"exitCode": 137, "reason": OUT_OF_MEMORY},
        ),
        (UNHEALTHY, "ServiceSchedulerInitiated", UNHEALTHY, {"exitCode": 143}),
        (
            "Service scaling down",
            "ServiceSchedulerInitiated",
            "Scaling activity initiated by (deployment ecs-svc/2)",
            {"exitCode": 0},
        ),
        ("by hand", "UserInitiated", "by hand", {"exitCode": 0}),
    ],
)
def test_a_stopped_task_shows_reason_and_exit_code_as_aws_does(
    reason: str, code: str, words: str, container: dict[str, Any]
) -> None:
    shown = seen(task("STOPPED", reason=reason), *END, **container)

    assert (shown["stopCode"], shown["stoppedReason"]) == (code, words)
    (described,) = shown["containers"]
    assert {"exitCode": described["exitCode"], **_reason(described)} == container


def _reason(container: dict[str, Any]) -> dict[str, str]:
    return {"reason": container["reason"]} if "reason" in container else {}


def test_a_task_that_never_started_has_the_reason_of_its_start_and_no_exit_code() -> None:
    words = "CannotPullContainerError: x"
    shown = seen(task("STOPPED", reason=words))

    assert (shown["stopCode"], shown["stoppedReason"]) == ("TaskFailedToStart", words)
    (container,) = shown["containers"]
    assert container["reason"] == words
    assert "exitCode" not in container


def test_a_running_task_shows_its_address_and_no_exit_code() -> None:
    shown = seen(task("RUNNING"), *RUN)

    (attachment,) = shown["attachments"]
    details = {detail["name"]: detail["value"] for detail in attachment["details"]}
    assert (attachment["type"], attachment["status"]) == ("ElasticNetworkInterface", "ATTACHED")
    assert details["privateIPv4Address"] == "127.1.2.3"
    assert details["networkInterfaceId"].startswith("eni-")
    (container,) = shown["containers"]
    assert container["networkInterfaces"][0]["privateIpv4Address"] == "127.1.2.3"
    assert "exitCode" not in container


def view(tasks: list[Task], **changes: Any) -> dict[str, Any]:
    return service_seen_by_aws(service(**changes), tasks)


def test_a_service_counts_the_processes() -> None:
    shown = view([seen(task("RUNNING"), *RUN), seen(task("RUNNING", number=2))], desiredCount=2)

    assert (shown["runningCount"], shown["pendingCount"]) == (1, 1)
    (deployment,) = shown["deployments"]
    assert (deployment["runningCount"], deployment["rolloutState"]) == (1, "IN_PROGRESS")


def test_a_rollout_lasts_until_the_old_tasks_have_stopped() -> None:
    old = seen(task("STOPPED", reason="Task definition updated", definition=OLD), *RUN)
    new = seen(task("RUNNING", number=2), *RUN)

    during = view([old, new])
    after = view([new])

    assert during["runningCount"] == 2
    assert [(d["status"], d["taskDefinition"]) for d in during["deployments"]] == [
        ("PRIMARY", NEW),
        ("ACTIVE", OLD),
    ]
    assert during["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    assert after["deployments"][0]["rolloutState"] == "COMPLETED"
    assert "steady state" in after["events"][0]["message"]


def test_the_third_failed_task_trips_the_breaker() -> None:
    failed = [seen(task("STOPPED", reason=EXITED, number=n), *END) for n in (1, 2, 3)]

    assert view(failed[:2])["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    tripped = view(failed)["deployments"][0]
    assert (tripped["rolloutState"], tripped["failedTasks"]) == ("FAILED", 3)
    assert "circuit breaker" in tripped["rolloutStateReason"]


def test_a_deleted_service_drains_until_its_tasks_have_stopped() -> None:
    going = seen(task("STOPPED", reason="Service deleted"), *END[:2])
    gone = seen(task("STOPPED", reason="Service deleted"), *END)

    assert view([going], status="INACTIVE")["status"] == "DRAINING"
    assert view([gone], status="INACTIVE")["status"] == "INACTIVE"


def test_events_list_the_tasks_changes_newest_first() -> None:
    failed = task("STOPPED", reason=UNHEALTHY)
    shown = view([seen_by_aws(failed, None), seen(task("RUNNING", number=3))])

    assert [event["message"] for event in shown["events"]] == [
        "(service a) has started 1 tasks: (task 3).",
        "(service a) has stopped 1 running tasks: (task 1).",
        f"(service a) (task 1) failed ELB health checks in (target-group {GROUP}).",
        "(service a) has started 1 tasks: (task 1).",
    ]
