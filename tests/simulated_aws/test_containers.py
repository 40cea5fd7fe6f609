"""Tasks that fail in realistic ways, and the evidence that AWS shows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.simulated_aws import containers
from tests.support.simulated_aws.account import REGISTRY, REPOSITORY, Account
from tests.support.simulated_aws.containers import Behaviour
from tests.support.simulated_aws.site import LOG_GROUP, NAME, SURELY_ACTIVE, Site

LONG = SURELY_ACTIVE + 300
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:token-AbCdEf"


def site_of(account: Account, behaviour: Behaviour, **container: Any) -> Site:
    """A site whose tasks have this behaviour."""
    account.containers.set(f"{REGISTRY}/{REPOSITORY}:1", behaviour)
    site = Site(account).make(**container)
    site.create_service()
    return site


# behaviour, stopCode, in stoppedReason, exitCode, in the container's reason
STOPPED: dict[str, tuple[Behaviour, str, str, int | None, str]] = {
    "exits": (
        containers.exits(2, code=3),
        "EssentialContainerExited",
        "Essential container in task exited",
        3,
        "",
    ),
    "out of memory": (
        containers.out_of_memory(),
        "EssentialContainerExited",
        "Essential container in task exited",
        137,
        "OutOfMemoryError",
    ),
    "missing image": (
        containers.missing_image(),
        "TaskFailedToStart",
        f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to "
        f"resolve ref {REGISTRY}/{REPOSITORY}:1",
        None,
        "",
    ),
    "pull denied": (
        containers.pull_denied(),
        "TaskFailedToStart",
        "pull access denied",
        None,
        "",
    ),
    "wrong architecture": (
        containers.built_for("ARM64"),
        "TaskFailedToStart",
        "does not contain descriptor matching platform 'linux/amd64'",
        None,
        "",
    ),
    "not to be executed": (
        containers.exec_format_error(),
        "EssentialContainerExited",
        "Essential container in task exited",
        1,
        "",
    ),
    "no route": (
        containers.no_route_to_registry(),
        "TaskFailedToStart",
        "ResourceInitializationError: unable to pull secrets or registry auth",
        None,
        "",
    ),
    "not found by checks": (
        containers.answers(404),
        "ServiceSchedulerInitiated",
        "Task failed ELB health checks in (target-group ",
        0,
        "",
    ),
}


@pytest.mark.parametrize("what", STOPPED)
def test_a_stopped_task_shows_the_reason(account: Account, what: str) -> None:
    behaviour, code, reason, exit_code, container_reason = STOPPED[what]
    site = site_of(account, behaviour)
    site.pass_time(LONG)
    task = site.tasks("STOPPED")[0]
    container = task["containers"][0]

    assert (task["stopCode"], task["lastStatus"]) == (code, "STOPPED")
    assert reason in task["stoppedReason"]
    assert container.get("exitCode") == exit_code
    assert container_reason in container.get("reason", "")


HEALTH: dict[str, tuple[Behaviour, str, str]] = {
    "404": (
        containers.answers(404),
        "Target.ResponseCodeMismatch",
        "Health checks failed with these codes: [404]",
    ),
    "only the health path is wrong": (
        containers.answers(200, health=500),
        "Target.ResponseCodeMismatch",
        "Health checks failed with these codes: [500]",
    ),
    "another port": (
        containers.listens_on(5000),
        "Target.FailedHealthChecks",
        "Health checks failed",
    ),
    "no answer": (containers.hangs(), "Target.Timeout", "Request timed out"),
}


@pytest.mark.parametrize("what", HEALTH)
def test_an_unhealthy_target_shows_the_reason(account: Account, what: str) -> None:
    behaviour, reason, description = HEALTH[what]
    site = site_of(account, behaviour)
    seen: list[dict[str, str]] = []
    for _ in range(150):
        site.pass_time(2)
        seen += [health for health in site.health() if health["State"] == "unhealthy"]

    expected = {"State": "unhealthy", "Reason": reason, "Description": description}
    assert seen and all(health == expected for health in seen)


def test_log_lines_are_in_the_stream_of_the_task(account: Account) -> None:
    site = site_of(account, containers.exits(1, logs=("loading model", "KeyError: 'weights'")))
    site.pass_time(60)
    task = (site.tasks("STOPPED") + site.tasks())[0]["taskArn"].rsplit("/", 1)[-1]
    answer = site.client("logs").get_log_events(
        logGroupName=LOG_GROUP, logStreamName=f"task/app/{task}"
    )

    lines = [event["message"] for event in answer["events"]]
    assert lines == ["loading model", "KeyError: 'weights'"]


def test_lines_for_a_deleted_log_group_are_lost(account: Account) -> None:
    site = site_of(account, containers.exits(1, logs=("too late",)))
    site.client("logs").delete_log_group(logGroupName=LOG_GROUP)
    site.pass_time(60)

    assert site.tasks("STOPPED")[0]["containers"][0]["exitCode"] == 1


def test_a_slow_container_is_healthy_once_it_responds(account: Account) -> None:
    site = site_of(account, containers.slow_start(SURELY_ACTIVE + 20))
    site.update(healthCheckGracePeriodSeconds=600)
    site.pass_time(SURELY_ACTIVE + 10)
    assert [health["State"] for health in site.health()] != ["healthy"]
    site.pass_time(100)

    assert [health["State"] for health in site.health()] == ["healthy"]
    assert site.tasks("STOPPED") == []


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (containers.no_capacity(), "Capacity is unavailable at this time."),
        (containers.vcpu_limit(), "You've reached the limit on the number of vCPUs"),
    ],
    ids=["capacity", "quota"],
)
def test_a_task_that_cannot_be_placed_is_not_created(
    account: Account, behaviour: Behaviour, words: str
) -> None:
    site = site_of(account, behaviour)
    site.pass_time(LONG)

    assert site.tasks() + site.tasks("STOPPED") == []
    said = f"(service {NAME}) was unable to place a task. Reason: {words}"
    assert any(event.startswith(said) for event in site.events())
    assert site.service()["deployments"][0]["rolloutState"] == "FAILED"


def test_the_error_names_the_missing_secret(account: Account) -> None:
    account.containers.missing_secrets.add(SECRET)
    site = site_of(account, containers.serves(), secrets=[{"name": "TOKEN", "valueFrom": SECRET}])
    site.pass_time(60)
    task = site.tasks("STOPPED")[0]

    assert task["stopCode"] == "TaskFailedToStart"
    assert f"failed to fetch secret {SECRET}" in task["stoppedReason"]


def test_an_image_of_the_requested_architecture_runs(account: Account) -> None:
    site = site_of(account, containers.built_for("X86_64", "ARM64"))
    site.pass_time(60)

    assert [task["lastStatus"] for task in site.tasks()] == ["RUNNING"]


def test_a_container_that_ignores_sigterm_is_killed(account: Account) -> None:
    site = site_of(account, Behaviour(ignores_sigterm=True))
    site.pass_time(60)
    site.client("ecs").delete_service(cluster=NAME, service=NAME, force=True)
    site.pass_time(60)

    assert site.tasks("STOPPED")[0]["containers"][0]["exitCode"] == 137


def test_behaviour_can_be_set_by_digest(account: Account) -> None:
    digest = account.push("broken", containers.exits(1, code=9))
    site = Site(account)
    site.make(image=f"x@{digest}")
    site.create_service()
    site.pass_time(90)

    assert site.tasks("STOPPED")[0]["containers"][0]["exitCode"] == 9
