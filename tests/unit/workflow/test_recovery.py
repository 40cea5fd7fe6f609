import json

import pytest

from chalicelib.domain.operation import Path
from chalicelib.domain.record import Status
from chalicelib.workflow import recovery
from tests.support.builders import (
    MOMENT,
    active,
    deployment_of,
    failed,
    failure_of,
    in_status,
    rolling_back,
    spec_of,
    tearing_down_failed_create,
)

ERROR = {"Error": "States.Timeout", "Cause": json.dumps({"errorMessage": "timed out"})}


def test_a_failed_create_is_torn_down() -> None:
    deployment = deployment_of()
    deployment.fail("resolve_image", failure_of("resolve_image"), MOMENT)
    assert recovery.recover(deployment, ERROR, MOMENT) is Path.DESTROY
    assert deployment.operation.path is Path.DESTROY
    assert deployment.status is Status.CREATING
    assert deployment.failure == failure_of("resolve_image")


def test_a_failed_create_is_kept_on_request() -> None:
    deployment = deployment_of(on_failure="keep")
    assert recovery.recover(deployment, ERROR, MOMENT) is None
    assert (deployment.status, deployment.operation.status) == (Status.FAILED, "failed")


def test_a_failed_update_is_rolled_back() -> None:
    deployment = active()
    deployment.update(spec_of(count=2, on_failure="teardown"), MOMENT, new_image=False)
    assert recovery.recover(deployment, ERROR, MOMENT) is Path.ROLLBACK
    assert deployment.spec.count == 1


def test_a_failed_rollback_ends_the_operation() -> None:
    deployment = rolling_back(MOMENT)
    assert recovery.recover(deployment, ERROR, MOMENT) is None
    assert deployment.status is Status.FAILED


def test_a_failed_teardown_ends_the_operation() -> None:
    deployment = in_status(Status.DELETING)
    assert recovery.recover(deployment, ERROR, MOMENT) is None
    assert deployment.status is Status.DELETE_FAILED


def test_a_failed_teardown_of_a_failed_create_keeps_the_first_reason() -> None:
    deployment = tearing_down_failed_create()
    assert recovery.recover(deployment, ERROR, MOMENT) is None
    assert deployment.status is Status.DELETE_FAILED
    assert deployment.failure == failure_of("resolve_image")


def test_a_failed_repair_has_no_rollback() -> None:
    deployment = active()
    deployment.repair("the service was deleted", MOMENT)
    assert recovery.recover(deployment, ERROR, MOMENT) is None
    assert deployment.status is Status.FAILED


def test_a_retry_that_fails_again_is_torn_down_again() -> None:
    deployment = failed()
    deployment.retry(MOMENT, 0.04)
    assert recovery.recover(deployment, ERROR, MOMENT) is Path.DESTROY


def test_a_step_that_died_without_an_error_is_internal() -> None:
    deployment = deployment_of()
    deployment.begin_step("create_cluster", "r", MOMENT, MOMENT)
    recovery.recover(deployment, ERROR, MOMENT)
    failure = deployment.failure
    assert failure is not None
    assert (failure.code, failure.step) == ("INTERNAL", "create_cluster")
    assert failure.evidence == {"error": "States.Timeout", "cause": "timed out"}


@pytest.mark.parametrize("error", [{}, {"Error": "x", "Cause": "not JSON"}])
def test_an_error_without_a_cause_is_reported(error: dict[str, str]) -> None:
    deployment = deployment_of()
    recovery.recover(deployment, error, MOMENT)
    assert deployment.failure is not None
    assert deployment.failure.step == "resolve_image"


@pytest.mark.parametrize("cause", ["[]", '"text"', "7"])
def test_a_cause_that_is_not_a_json_object_is_reported_unchanged(cause: str) -> None:
    deployment = deployment_of()
    recovery.recover(deployment, {"Error": "x", "Cause": cause}, MOMENT)
    assert deployment.failure is not None


def test_a_step_that_was_throttled_to_the_end_says_so() -> None:
    deployment = deployment_of()
    deployment.begin_step("create_cluster", "r", MOMENT, MOMENT)
    deployment.describe_step("create_cluster", "AWS throttled CreateCluster", {})
    recovery.recover(deployment, {"Error": "Throttled", "Cause": "{}"}, MOMENT)
    assert deployment.failure is not None
    assert deployment.failure.message == (
        "The step create_cluster failed after all retries: AWS throttled CreateCluster."
    )
