from typing import Any

import pytest

from chalicelib.domain.errors import FailureCode
from chalicelib.workflow.diagnosis import stopped_tasks
from chalicelib.workflow.diagnosis.verdict import Verdict
from tests.support.builders import spec_of
from tests.unit.workflow.conftest import stopped_task

REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/recommend"


def verdict_of(task: dict[str, Any], *lines: str, health: Any = ()) -> Verdict:
    verdict = stopped_tasks.judge(task, list(lines), spec_of(), list(health))
    assert verdict.message
    assert verdict.hint
    assert "{" not in verdict.message
    return verdict


def code_of(task: dict[str, Any]) -> FailureCode:
    return verdict_of(task).code


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
        (
            "CannotPullContainerError: failed to register layer: write /opt/model.bin: no space "
            "left on device",
            "CONTAINER_CANNOT_START",
        ),
        (
            "CannotPullContainerError: inspect image has been retried 5 time(s): httpReadSeeker: "
            "failed open: unexpected status code: 429 Too Many Requests",
            "IMAGE_ACCESS_DENIED",
        ),
        (
            "ResourceInitializationError: failed to validate logger args: create stream has been "
            "retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: "
            "The specified log group does not exist.",
            "INTERNAL",
        ),
        ("Essential container in task exited", "CONTAINER_EXITED"),
        ("", "CONTAINER_EXITED"),
    ],
)
def test_the_stopped_reason_gives_the_code(reason: str, code: str) -> None:
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
def test_an_unreachable_registry_is_a_network_failure(reason: str) -> None:
    assert code_of(stopped_task(stoppedReason=reason)) == FailureCode.NETWORK_MISCONFIGURED


@pytest.mark.parametrize("account", ["440312345678", "214019876543"])
def test_an_account_id_is_not_a_status_code(account: str) -> None:
    place = f"{account}.dkr.ecr.us-east-1.amazonaws.com/recommend:9"
    reason = f"CannotPullContainerError: failed to resolve ref {place}: {place}: not found"
    assert code_of(stopped_task(stoppedReason=reason)) == FailureCode.IMAGE_NOT_FOUND


@pytest.mark.parametrize(
    ("exit_code", "code"),
    [(137, "OUT_OF_MEMORY"), (1, "CONTAINER_EXITED"), (0, "CONTAINER_EXITED")],
)
def test_the_exit_code_gives_the_code(exit_code: int, code: str) -> None:
    assert code_of(stopped_task(containers=[{"name": "app", "exitCode": exit_code}])) == code


def test_the_reason_of_the_container_counts_too() -> None:
    container = {"name": "app", "exitCode": 137, "reason": "OutOfMemoryError: killed"}
    verdict = verdict_of(stopped_task(containers=[container]))
    assert "because it used more than its 512 MiB of memory" in verdict.message
    assert '"memory": 1024' in verdict.hint


def test_the_log_shows_a_wrong_architecture() -> None:
    verdict = verdict_of(stopped_task(), "exec /usr/local/bin/python: exec format error")
    assert verdict.code is FailureCode.ARCHITECTURE_MISMATCH
    assert verdict.final
    assert "--platform linux/amd64" in verdict.hint


def test_the_log_gives_no_other_code() -> None:
    lines = ("OutOfMemory", "failed ELB health checks", "CannotPullContainerError")
    assert verdict_of(stopped_task(), *lines).code is FailureCode.CONTAINER_EXITED


def test_the_last_log_line_is_in_the_message() -> None:
    verdict = verdict_of(stopped_task(), "Traceback", "ModuleNotFoundError: No module named x", "")

    assert verdict.message.endswith("Last log line: ModuleNotFoundError: No module named x.")
    assert "exit code 1" in verdict.message
    assert "`evidence.log_lines`" in verdict.hint
    assert not verdict.final


def test_without_a_log_the_hint_promises_no_lines() -> None:
    assert verdict_of(stopped_task(), "").hint.startswith("Run the image on your own machine")


@pytest.mark.parametrize(
    ("reason", "description", "message", "hint"),
    [
        (
            "Target.ResponseCodeMismatch",
            "Health checks failed with these codes: [500]",
            "returned 500, but the health check expects 200-499.",
            "health_check.path",
        ),
        (
            "Target.Timeout",
            "Request timed out",
            "had no response within 4 s",
            "health_check.timeout",
        ),
        (
            "Target.FailedHealthChecks",
            "Health checks failed",
            "the connection failed, or the answer was not HTTP/1.1.",
            "`port`",
        ),
        ("", "", "does not pass the health check", "`health_check`"),
    ],
)
def test_the_target_health_gives_the_message(
    reason: str, description: str, message: str, hint: str
) -> None:
    task = stopped_task(stoppedReason="Task failed ELB health checks in (target-group arn:x)")
    health = [{"state": "unhealthy", "reason": reason, "description": description}]

    verdict = verdict_of(task, health=health)

    assert verdict.code is FailureCode.HEALTH_CHECK_FAILED
    assert "GET / on port 80" in verdict.message
    assert message in verdict.message
    assert hint in verdict.hint


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
def test_a_task_shows_who_stopped_it(fields: dict[str, str], by_itself: bool) -> None:
    assert (
        stopped_tasks.stopped_by_itself(stopped_task(**{"stoppedReason": "", **fields}))
        is by_itself
    )


def test_a_task_that_aws_could_not_start_is_not_a_container_failure() -> None:
    reason = "Timeout waiting for network interface provisioning to complete."
    task = stopped_task(stopCode="TaskFailedToStart", stoppedReason=reason, containers=[])

    verdict = verdict_of(task)

    assert verdict.code is FailureCode.AWS_REFUSED
    assert verdict.unrecognized == reason
    assert reason in verdict.message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("exec /app/run.sh: no such file or directory", "has no program /app/run.sh"),
        ("exec /app/run.sh: permission denied", "/app/run.sh is not executable"),
    ],
)
def test_the_log_shows_that_the_program_cannot_start(line: str, message: str) -> None:
    verdict = verdict_of(stopped_task(), "", line)
    assert verdict.code is FailureCode.CONTAINER_CANNOT_START
    assert message in verdict.message
    assert verdict.final


def test_sigkill_without_a_reason_is_called_likely_not_certain() -> None:
    made = verdict_of(stopped_task(containers=[{"name": "app", "exitCode": 137}]))
    assert made.code is FailureCode.OUT_OF_MEMORY
    assert "most likely because" in made.message


@pytest.mark.parametrize(
    ("exit_code", "meaning"),
    [(126, "not executable"), (127, "not found"), (139, "segmentation fault"), (143, "SIGTERM")],
)
def test_an_exit_code_is_explained(exit_code: int, meaning: str) -> None:
    made = verdict_of(stopped_task(containers=[{"name": "app", "exitCode": exit_code}]))
    assert made.code is FailureCode.CONTAINER_EXITED
    assert f"exit code {exit_code} (" in made.message
    assert meaning in made.message


def test_a_program_that_ends_without_an_error_is_told_to_stay() -> None:
    made = verdict_of(stopped_task(containers=[{"name": "app", "exitCode": 0}]))
    assert "foreground" in made.hint
