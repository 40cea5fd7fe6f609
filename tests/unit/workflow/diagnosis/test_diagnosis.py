import json
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed
from chalicelib.platform import aws
from chalicelib.resources import log_group
from chalicelib.workflow.diagnosis import diagnosis
from tests.support.builders import ID, MOMENT, Clock, deployment_of
from tests.unit.workflow.conftest import World, stopped_task

REVISION = f"arn:task-definition/{ID}:1"


@pytest.fixture(autouse=True)
def clock(stopped_clock: Clock) -> Clock:
    return stopped_clock


def service_of(
    *messages: str, rollout: str = "IN_PROGRESS", said_at: Any = MOMENT
) -> dict[str, Any]:
    primary = {"status": "PRIMARY", "rolloutState": rollout, "rolloutStateReason": "tripped"}
    events = [{"message": message, "createdAt": said_at} for message in messages]
    return {"taskDefinition": REVISION, "deployments": [primary], "events": events}


def waiting() -> Deployment:
    deployment = deployment_of()
    deployment.begin_step("create_service", "r", MOMENT, MOMENT)
    return deployment


def failure(
    world: World, *tasks: dict[str, Any], found: dict[str, Any] | None = None
) -> DeploymentFailed:
    world.tasks = list(tasks)
    with pytest.raises(DeploymentFailed) as raised:
        diagnosis.check_service(waiting(), found or service_of())
    assert raised.value.message
    assert raised.value.hint
    return raised.value


def passes(world: World, *tasks: dict[str, Any], found: dict[str, Any] | None = None) -> None:
    world.tasks = list(tasks)
    diagnosis.check_service(waiting(), found or service_of())


def write_log(*lines: str) -> None:
    log_group.ensure(deployment_of())
    logs = aws.client("logs")
    place = {
        "logGroupName": f"/slipway/slipway-test/deployments/{ID}",
        "logStreamName": f"task/app/{1:032x}",
    }
    logs.create_log_stream(**place)
    start = int(MOMENT.timestamp() * 1000)
    events = [{"timestamp": start + n, "message": line} for n, line in enumerate(lines)]
    logs.put_log_events(**place, logEvents=events)


def crashed(*numbers: int) -> list[dict[str, Any]]:
    return [stopped_task(n) for n in numbers]


def test_the_third_crash_is_a_failure(world: World) -> None:
    passes(world, *crashed(1, 2))

    assert failure(world, *crashed(1, 2, 3)).code == "CONTAINER_EXITED"


def test_a_reason_that_affects_every_task_is_a_failure_immediately(world: World) -> None:
    reason = "CannotPullContainerError: ref x: x: not found"
    task = stopped_task(1, stopCode="TaskFailedToStart", stoppedReason=reason)

    assert failure(world, task).code == "IMAGE_NOT_FOUND"


def test_an_unhealthy_task_is_a_failure_if_the_next_comes_too_late(
    world: World, clock: Clock
) -> None:
    task = stopped_task(1, stoppedReason="Task failed ELB health checks in (target-group x)")
    passes(world, task)

    clock.advance(minutes=16, seconds=1)

    assert failure(world, task).code == "HEALTH_CHECK_FAILED"


def test_a_tripped_circuit_breaker_is_a_failure(world: World) -> None:
    tripped = service_of(rollout="FAILED")

    assert failure(world, found=tripped).message == "ECS stopped the rollout: tripped"
    assert failure(world, *crashed(1), found=tripped).code == "CONTAINER_EXITED"


@pytest.mark.parametrize(
    ("message", "times", "code"),
    [
        (
            "(service x) was unable to place a task. Reason: You've reached the limit on the "
            "number of vCPUs you can run concurrently.",
            1,
            "AWS_QUOTA_EXCEEDED",
        ),
        (
            "(service x) failed to launch a task with (error ECS was unable to assume the role "
            "'arn:aws:iam::123456789012:role/x' that was provided for this task.",
            1,
            "AWS_ACCESS_DENIED",
        ),
        (
            "(service x) was unable to place a task. Reason: Capacity is unavailable at this "
            "time. Please try again later or in a different availability zone.",
            3,
            "CAPACITY_UNAVAILABLE",
        ),
    ],
)
def test_service_events_explain_why_no_task_starts(
    world: World, message: str, times: int, code: str
) -> None:
    if times > 1:
        passes(world, found=service_of(message))
    passes(world, found=service_of(*[message] * times, said_at=MOMENT - timedelta(minutes=1)))

    error = failure(world, found=service_of(*[message] * times))

    assert error.code == code
    assert error.evidence["service_events"] == [message] * times


def test_the_evidence_is_awss_response(world: World) -> None:
    write_log(*(f"line {n}" for n in range(25)))
    older = stopped_task(2, stoppedAt=MOMENT - timedelta(minutes=1))
    found = service_of("has started 1 tasks")

    assert failure(
        world, stopped_task(1), older, stopped_task(3, stoppedAt=older["stoppedAt"]), found=found
    ).evidence == {
        "stopped_reason": "Essential container in task exited",
        "stop_code": "EssentialContainerExited",
        "container_reason": None,
        "exit_code": 1,
        "stopped_tasks": 3,
        "log_lines": [f"line {n}" for n in range(5, 25)],
        "service_events": ["has started 1 tasks"],
    }


def test_the_newest_task_gives_the_reason(world: World) -> None:
    before = MOMENT - timedelta(minutes=1)
    older = [
        stopped_task(n, stoppedAt=before, stoppedReason="OutOfMemoryError: killed") for n in (2, 3)
    ]

    assert failure(world, stopped_task(1), *older).code == "CONTAINER_EXITED"


def test_the_evidence_fits_into_the_record(world: World) -> None:
    write_log(*("x" * 40_000 for _ in range(20)))

    evidence = failure(world, *crashed(1, 2, 3)).evidence

    assert len(evidence["log_lines"]) == 20
    assert len(json.dumps(evidence)) < 100_000


@pytest.mark.parametrize(
    "fields",
    [
        {"createdAt": MOMENT - timedelta(minutes=1)},
        {"taskDefinitionArn": f"arn:task-definition/{ID}:2"},
        {"stopCode": "ServiceSchedulerInitiated", "stoppedReason": "Scaling activity initiated"},
        {"lastStatus": "DEPROVISIONING"},
    ],
)
def test_tasks_of_another_rollout_do_not_count(world: World, fields: dict[str, Any]) -> None:
    passes(world, *(stopped_task(n, **fields) for n in (1, 2, 3)))


def test_a_deleted_service_has_no_events() -> None:
    assert diagnosis.service_events(None) == []


PLACE = "(service x) was unable to place a task. Reason: "


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (
            "You've reached the limit on the number of tasks you can run concurrently",
            "AWS_QUOTA_EXCEEDED",
        ),
        ("Your account is currently blocked.", "AWS_QUOTA_EXCEEDED"),
        ("The requested CPU configuration is above your limit.", "AWS_QUOTA_EXCEEDED"),
        ("CannotPullContainerError: ghcr.io/x/y:1: not found", "IMAGE_NOT_FOUND"),
    ],
)
def test_a_limit_of_the_account_is_reported_at_once(world: World, reason: str, code: str) -> None:
    assert failure(world, found=service_of(PLACE + reason)).code == code


def test_the_last_unplaced_task_is_reported_if_none_ever_ran(world: World, clock: Clock) -> None:
    unknown = service_of(PLACE + "The moon is full.", PLACE + "An older reason.")
    passes(world, found=unknown)

    tripped = {**unknown, "deployments": [{"status": "PRIMARY", "rolloutState": "FAILED"}]}
    assert failure(world, found=tripped).unrecognized == "The moon is full."

    clock.advance(hours=1)
    error = failure(world, found=unknown)
    assert error.code == "AWS_REFUSED"
    assert "The moon is full" in error.message


def test_the_last_unable_event_of_any_form_is_reported(world: World, clock: Clock) -> None:
    vague = "(service x) is unable to consistently start tasks successfully."
    clock.advance(hours=1)
    error = failure(world, found=service_of(vague, "(service x) has started 1 tasks"))
    assert error.code == "AWS_REFUSED"
    assert "unable to consistently start tasks" in error.message
    assert "moon" in failure(world, found=service_of(vague, PLACE + "The moon is full.")).message


def test_no_capacity_is_reported_late_if_ecs_leaves_out_repeated_events(
    world: World, clock: Clock
) -> None:
    found = service_of(PLACE + "Capacity is unavailable at this time. Please try again later")
    passes(world, found=found)
    clock.advance(hours=1)
    assert failure(world, found=found).code == "CAPACITY_UNAVAILABLE"


def test_a_rollout_that_stopped_without_a_task_is_no_exited_container(world: World) -> None:
    assert failure(world, found=service_of(rollout="FAILED")).code == "AWS_REFUSED"


def test_an_image_whose_platform_is_verified_has_no_interpreter(world: World) -> None:
    write_log("exec /app/run.sh: exec format error")
    world.tasks = crashed(1, 2, 3)
    deployment = waiting()
    deployment.operation.step("preflight").message = "architecture, secrets; x unknown: y"
    with pytest.raises(DeploymentFailed) as raised:
        diagnosis.check_service(deployment, service_of())
    assert raised.value.code == "CONTAINER_CANNOT_START"
    assert "#!" in raised.value.message
    assert failure(world, *crashed(1, 2, 3)).code == "ARCHITECTURE_MISMATCH"
