"""Tasks and services of the local stack, as AWS would describe them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.task_tags import TAG_ADDRESS, TAG_EXIT_CODE, TAG_STATE
from tests.support.simulated_aws.service_view import service_seen_by_aws
from tests.support.simulated_aws.task_view import Task, seen_by_aws

START = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
OLD, NEW = "arn:aws:ecs:::task-definition/a:1", "arn:aws:ecs:::task-definition/a:2"
GROUP = "arn:aws:elasticloadbalancing:::targetgroup/a/0"
UNHEALTHY = f"Task failed ELB health checks in (target-group {GROUP})"
EXITED = "Essential container in task exited (exit code 3)"


def task(
    said: str, state: str | None = None, *, reason: str = "", exit_code: str = "", number: int = 1
) -> Task:
    """A task as MiniStack describes it, with the agent's tags."""
    tags = {"slipway:stack": "s"}
    tags |= {TAG_STATE: state, TAG_ADDRESS: "127.1.2.3"} if state else {}
    tags |= {TAG_EXIT_CODE: exit_code} if exit_code else {}
    stopped = {"stoppedReason": reason, "stopCode": "UserInitiated"}
    stopped["stoppedAt"] = START + timedelta(seconds=10 * number + 5)  # type: ignore[assignment]
    return {
        "taskArn": f"arn:aws:ecs:::task/a/{number}",
        "taskDefinitionArn": NEW,
        "group": "service:a",
        "lastStatus": said,
        "desiredStatus": said,
        "createdAt": START + timedelta(seconds=10 * number),
        "startedAt": START + timedelta(seconds=10 * number),
        "containers": [{"name": "app", "lastStatus": said, "exitCode": 0}],
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
        **(stopped if said == "STOPPED" else {}),
    }


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
    ("said", "state", "reason", "last", "desired"),
    [
        ("RUNNING", None, "", "PENDING", "RUNNING"),
        ("RUNNING", "RUNNING", "", "RUNNING", "RUNNING"),
        ("RUNNING", "STOPPED", "", "DEPROVISIONING", "STOPPED"),
        ("STOPPED", "RUNNING", "Task definition updated", "RUNNING", "RUNNING"),
        ("STOPPED", "STOPPING", "Task definition updated", "DEPROVISIONING", "STOPPED"),
        ("STOPPED", "RUNNING", "Service deleted", "DEPROVISIONING", "STOPPED"),
        ("STOPPED", "STOPPED", EXITED, "STOPPED", "STOPPED"),
        ("STOPPED", None, "CannotPullContainerError: no", "STOPPED", "STOPPED"),
    ],
)
def test_a_task_has_the_status_of_its_process(
    said: str, state: str | None, reason: str, last: str, desired: str
) -> None:
    shown = seen_by_aws(task(said, state, reason=reason))

    assert (shown["lastStatus"], shown["desiredStatus"]) == (last, desired)
    assert ("stoppedAt" in shown) == (last == "STOPPED")
    assert [tag["key"] for tag in shown["tags"] if tag["key"].startswith("local:")] == []


@pytest.mark.parametrize(
    ("reason", "code", "words", "exit_code", "container_reason"),
    [
        (EXITED, "EssentialContainerExited", "Essential container in task exited", 3, None),
        (
            "Essential container in task exited (exit code 137): OutOfMemoryError: killed",
            "EssentialContainerExited",
            "Essential container in task exited",
            137,
            "OutOfMemoryError: killed",
        ),
        (
            "CannotPullContainerError: x",
            "TaskFailedToStart",
            "CannotPullContainerError: x",
            None,
            None,
        ),
        (UNHEALTHY, "ServiceSchedulerInitiated", UNHEALTHY, None, None),
        (
            "Service scaling down",
            "ServiceSchedulerInitiated",
            "Scaling activity initiated by (service a)",
            None,
            None,
        ),
        ("by hand", "UserInitiated", "by hand", None, None),
    ],
)
def test_a_stopped_task_shows_the_reason_as_aws_does(
    reason: str, code: str, words: str, exit_code: int | None, container_reason: str | None
) -> None:
    shown = seen_by_aws(task("STOPPED", "STOPPED", reason=reason))

    assert (shown["stopCode"], shown["stoppedReason"]) == (code, words)
    (container,) = shown["containers"]
    assert (container["exitCode"], container.get("reason")) == (exit_code, container_reason)


def test_a_stopped_task_has_the_exit_code_of_its_process() -> None:
    shown = seen_by_aws(task("STOPPED", "STOPPED", reason=UNHEALTHY, exit_code="143"))

    assert shown["containers"][0]["exitCode"] == 143


def view(tasks: list[Task], **changes: Any) -> dict[str, Any]:
    return service_seen_by_aws(service(**changes), [seen_by_aws(each) for each in tasks])


def test_a_service_counts_the_processes() -> None:
    shown = view([task("RUNNING", "RUNNING"), task("RUNNING", number=2)], desiredCount=2)

    assert (shown["runningCount"], shown["pendingCount"]) == (1, 1)
    (deployment,) = shown["deployments"]
    assert (deployment["runningCount"], deployment["rolloutState"]) == (1, "IN_PROGRESS")


def test_a_rollout_lasts_until_the_old_tasks_have_stopped() -> None:
    old = task("STOPPED", "RUNNING", reason="Task definition updated")
    old["taskDefinitionArn"] = OLD
    new = task("RUNNING", "RUNNING", number=2)

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
    failed = [task("STOPPED", "STOPPED", reason=EXITED, number=n) for n in (1, 2, 3)]

    assert view(failed[:2])["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    tripped = view(failed)["deployments"][0]
    assert (tripped["rolloutState"], tripped["failedTasks"]) == ("FAILED", 3)
    assert "circuit breaker" in tripped["rolloutStateReason"]


def test_a_deleted_service_drains_until_its_tasks_have_stopped() -> None:
    going = task("STOPPED", "STOPPING", reason="Service deleted")
    gone = task("STOPPED", "STOPPED", reason="Service deleted")

    assert view([going], status="INACTIVE")["status"] == "DRAINING"
    assert view([gone], status="INACTIVE")["status"] == "INACTIVE"


def test_events_list_the_tasks_changes_newest_first() -> None:
    shown = view([task("STOPPED", "STOPPED", reason=UNHEALTHY), task("RUNNING", number=3)])

    assert [event["message"] for event in shown["events"]] == [
        "(service a) has started 1 tasks: (task 3).",
        "(service a) has stopped 1 running tasks: (task 1).",
        f"(service a) (task 1) failed ELB health checks in (target-group {GROUP}).",
        "(service a) has started 1 tasks: (task 1).",
    ]
