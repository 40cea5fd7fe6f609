import json
from datetime import timedelta
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.deployments.deployment import Path, Status
from chalicelib.deployments.errors import FailureCode
from chalicelib.resources import log_group
from chalicelib.workflow import diagnosis
from tests.unit.builders import (
    ID,
    MOMENT,
    active,
    deployment_of,
    failure_of,
    in_status,
    rolling_back,
    spec_of,
    tearing_down_failed_create,
)
from tests.unit.workflow.conftest import World, stopped_task

pytestmark = pytest.mark.usefixtures("world")

REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/recommend"


def code_of(task: dict[str, Any]) -> FailureCode:
    error = diagnosis.of_stopped_tasks(ID, [task])
    assert error.message
    assert error.hint
    return error.code


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


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (
            f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to "
            f"resolve ref {REPOSITORY}:9: {REPOSITORY}:9: not found",
            "IMAGE_NOT_FOUND",
        ),
        ("CannotPullContainerError: manifest unknown", "IMAGE_NOT_FOUND"),
        (
            "CannotPullContainerError: pull access denied, repository does not exist or may "
            "require authorization",
            "IMAGE_ACCESS_DENIED",
        ),
        ("CannotPullContainerError: unexpected status code 403 Forbidden", "IMAGE_ACCESS_DENIED"),
        (
            "CannotPullContainerError: image Manifest does not contain descriptor matching "
            "platform 'linux/amd64'",
            "ARCHITECTURE_MISMATCH",
        ),
        (
            "CannotPullContainerError: ref pull has been retried 5 time(s): dial tcp: i/o timeout",
            "NETWORK_MISCONFIGURED",
        ),
        (
            "ResourceInitializationError: unable to pull secrets or registry auth: execution "
            "resource retrieval failed: unable to retrieve secret from asm: AccessDeniedException",
            "SECRET_UNAVAILABLE",
        ),
        (
            "ResourceInitializationError: failed to validate logger args: create stream: timeout",
            "NETWORK_MISCONFIGURED",
        ),
        ("OutOfMemoryError: Container killed due to memory usage", "OUT_OF_MEMORY"),
        (
            "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:x)",
            "HEALTH_CHECK_FAILED",
        ),
        ("Task failed container health checks", "HEALTH_CHECK_FAILED"),
        ("Capacity is unavailable at this time. Please try again later", "CAPACITY_UNAVAILABLE"),
        ("Essential container in task exited", "CONTAINER_EXITED"),
        ("", "CONTAINER_EXITED"),
    ],
)
def test_the_stopped_reason_tells_the_code(reason: str, code: str) -> None:
    assert code_of(stopped_task(stoppedReason=reason)) == code


@pytest.mark.parametrize(
    "reason",
    [
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource "
        "retrieval failed: unable to retrieve ecr registry auth: service call has been retried "
        "3 time(s): RequestError: send request failed: dial tcp 10.0.0.1:443: i/o timeout",
        "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot "
        "pull registry auth from Amazon ECR: There is a connection issue between the task and "
        "Amazon ECR. Check your task network configuration.",
    ],
)
def test_a_registry_that_cannot_be_reached_is_the_networks_fault(reason: str) -> None:
    assert code_of(stopped_task(stoppedReason=reason)) == FailureCode.NETWORK_MISCONFIGURED


@pytest.mark.parametrize("account", ["440312345678", "214019876543"])
def test_an_account_id_is_no_status_code(account: str) -> None:
    place = f"{account}.dkr.ecr.us-east-1.amazonaws.com/recommend:9"
    reason = f"CannotPullContainerError: failed to resolve ref {place}: {place}: not found"
    assert code_of(stopped_task(stoppedReason=reason)) == FailureCode.IMAGE_NOT_FOUND


@pytest.mark.parametrize(
    ("exit_code", "code"),
    [(137, "OUT_OF_MEMORY"), (1, "CONTAINER_EXITED"), (0, "CONTAINER_EXITED")],
)
def test_the_exit_code_tells_the_code(exit_code: int, code: str) -> None:
    assert code_of(stopped_task(containers=[{"name": "app", "exitCode": exit_code}])) == code


def test_the_reason_of_the_container_counts_too() -> None:
    container = {"name": "app", "exitCode": 137, "reason": "OutOfMemoryError: killed"}
    error = diagnosis.of_stopped_tasks(ID, [stopped_task(containers=[container])])
    assert error.message == "The container used more memory than it has."


def test_the_log_tells_a_wrong_architecture() -> None:
    write_log("exec /usr/local/bin/python: exec format error")
    assert code_of(stopped_task()) is FailureCode.ARCHITECTURE_MISMATCH


def test_words_in_the_log_tell_nothing_else() -> None:
    write_log("OutOfMemory", "failed ELB health checks", "CannotPullContainerError")
    assert code_of(stopped_task()) is FailureCode.CONTAINER_EXITED


def test_the_evidence_is_what_aws_said() -> None:
    write_log(*(f"line {n}" for n in range(25)))
    error = diagnosis.of_stopped_tasks(ID, [stopped_task(), stopped_task(2, stoppedAt=_before())])
    assert error.evidence == {
        "stopped_reason": "Essential container in task exited",
        "stop_code": "EssentialContainerExited",
        "container_reason": None,
        "exit_code": 1,
        "stopped_tasks": 2,
        "log_lines": [f"line {n}" for n in range(5, 25)],
        "service_events": ["has started 1 tasks"],
    }


def _before() -> Any:
    return MOMENT - timedelta(minutes=1)


def test_the_newest_task_speaks() -> None:
    old = stopped_task(2, stoppedAt=_before(), stoppedReason="OutOfMemoryError: killed")
    assert diagnosis.of_stopped_tasks(ID, [stopped_task(), old]).code == "CONTAINER_EXITED"


def test_the_evidence_fits_into_the_record() -> None:
    write_log(*("x" * 40_000 for _ in range(20)))
    evidence = diagnosis.of_stopped_tasks(ID, [stopped_task()]).evidence
    assert len(evidence["log_lines"]) == 20
    assert len(json.dumps(evidence)) < 100_000


def test_a_service_that_is_gone_has_no_events(world: World) -> None:
    world.service = None
    assert diagnosis.service_events(ID) == []


@pytest.mark.parametrize(
    ("fields", "by_itself"),
    [
        ({"stopCode": "EssentialContainerExited"}, True),
        ({"stopCode": "TaskFailedToStart"}, True),
        (
            {
                "stopCode": "ServiceSchedulerInitiated",
                "stoppedReason": "Task failed ELB health checks in (target-group x)",
            },
            True,
        ),
        (
            {
                "stopCode": "ServiceSchedulerInitiated",
                "stoppedReason": "Scaling activity initiated by (deployment ecs-svc/1)",
            },
            False,
        ),
        ({"stopCode": "UserInitiated", "stoppedReason": "Task stopped by user"}, False),
    ],
)
def test_who_stopped_a_task(fields: dict[str, str], by_itself: bool) -> None:
    assert diagnosis.stopped_by_itself(stopped_task(**{"stoppedReason": "", **fields})) is by_itself


# --- the way out ---------------------------------------------------------------------------

ERROR = {"Error": "States.Timeout", "Cause": json.dumps({"errorMessage": "timed out"})}


def test_a_failed_create_is_torn_down() -> None:
    deployment = deployment_of()
    deployment.fail("resolve_image", failure_of("resolve_image"), MOMENT)
    assert diagnosis.recover(deployment, ERROR, MOMENT) is Path.DESTROY
    assert deployment.operation.path is Path.DESTROY
    assert deployment.status is Status.CREATING
    assert deployment.failure == failure_of("resolve_image")


def test_a_failed_create_is_kept_when_the_caller_wants_so() -> None:
    deployment = deployment_of(on_failure="keep")
    assert diagnosis.recover(deployment, ERROR, MOMENT) is None
    assert (deployment.status, deployment.operation.status) == (Status.FAILED, "failed")


def test_a_failed_update_goes_back() -> None:
    deployment = active()
    deployment.update(spec_of(count=2, on_failure="teardown"), MOMENT, new_image=False)
    assert diagnosis.recover(deployment, ERROR, MOMENT) is Path.ROLLBACK
    assert deployment.spec.count == 1


def test_what_fails_on_the_way_back_ends_the_operation() -> None:
    deployment = rolling_back(MOMENT)
    assert diagnosis.recover(deployment, ERROR, MOMENT) is None
    assert deployment.status is Status.FAILED


def test_what_fails_in_a_teardown_ends_the_operation() -> None:
    deployment = in_status(Status.DELETING)
    assert diagnosis.recover(deployment, ERROR, MOMENT) is None
    assert deployment.status is Status.DELETE_FAILED


def test_a_failed_create_whose_teardown_fails_is_failed() -> None:
    deployment = tearing_down_failed_create()
    assert diagnosis.recover(deployment, ERROR, MOMENT) is None
    assert deployment.status is Status.FAILED


def test_a_step_that_died_without_a_word_is_internal() -> None:
    deployment = deployment_of()
    deployment.begin_step("create_cluster", "r", MOMENT, MOMENT)
    diagnosis.recover(deployment, ERROR, MOMENT)
    failure = deployment.failure
    assert failure is not None
    assert (failure.code, failure.step) == ("INTERNAL", "create_cluster")
    assert failure.evidence == {"error": "States.Timeout", "cause": "timed out"}


@pytest.mark.parametrize("error", [{}, {"Error": "x", "Cause": "not JSON"}])
def test_an_error_without_a_cause_is_told_as_well(error: dict[str, str]) -> None:
    deployment = deployment_of()
    diagnosis.recover(deployment, error, MOMENT)
    assert deployment.failure is not None
    assert deployment.failure.step == "resolve_image"


@pytest.mark.parametrize("cause", ["[]", '"text"', "7"])
def test_a_cause_that_is_no_json_object_is_told_as_it_is(cause: str) -> None:
    deployment = deployment_of()
    diagnosis.recover(deployment, {"Error": "x", "Cause": cause}, MOMENT)
    assert deployment.failure is not None
