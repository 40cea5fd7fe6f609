"""`outcome` is the result of the latest operation that a caller or the time to live started."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.operation import Path
from chalicelib.domain.parts import Leftover
from chalicelib.domain.record import Status
from tests.support.builders import (
    ID,
    MOMENT,
    OWNER,
    active,
    deployment_of,
    failed,
    failure_of,
    in_status,
    rolling_back,
    spec_of,
)

LATER = MOMENT + timedelta(minutes=5)
LEFTOVER = Leftover(kind="log_group", name="logs", reason="AWS still has it")


def outcome(deployment: Deployment) -> tuple[str | None, int | None]:
    return deployment.outcome, deployment.outcome_generation


def read_again(deployment: Deployment) -> Deployment:
    return Deployment.model_validate_json(deployment.model_dump_json())


def as_before(deployment: Deployment) -> Deployment:
    """The record as a version without `outcome` has written it."""
    document = deployment.model_dump(mode="json", exclude={"outcome", "outcome_generation"})
    del document["operation"]["requested"]
    return Deployment.model_validate(document)


def paused() -> Deployment:
    return in_status(Status.PAUSED)


def rollable() -> Deployment:
    deployment = active()
    deployment.update(spec_of(count=2), MOMENT, new_image=False)
    deployment.activate(MOMENT, 0.08)
    return deployment


REQUESTS: dict[str, tuple[Callable[[], Deployment], Callable[[Deployment], Any]]] = {
    "update": (active, lambda d: d.update(spec_of(count=2), LATER, new_image=False)),
    "rollback": (rollable, lambda d: d.roll_back(LATER)),
    "pause": (active, lambda d: d.pause(LATER)),
    "resume": (paused, lambda d: d.resume(LATER)),
    "retry": (failed, lambda d: d.retry(LATER, 0.04)),
}


def test_a_create_has_no_outcome_until_it_ends() -> None:
    deployment = deployment_of()
    assert outcome(deployment) == (None, 1)
    assert outcome(read_again(deployment)) == (None, 1)
    deployment.activate(LATER, 0.04)
    assert outcome(read_again(deployment)) == ("succeeded", 1)


def test_a_failed_create_has_no_outcome_until_its_teardown_ends() -> None:
    deployment = deployment_of()
    deployment.fail("resolve_image", failure_of("resolve_image"), LATER)
    deployment.switch_path(Path.DESTROY, LATER)
    assert outcome(deployment) == (None, 1)
    deployment.end_torn_down(LATER)
    assert outcome(deployment) == ("failed", 1)


def test_a_create_whose_teardown_fails_has_failed() -> None:
    deployment = deployment_of()
    deployment.switch_path(Path.DESTROY, LATER)
    deployment.end_failed(LATER)
    assert (deployment.status, *outcome(deployment)) == ("DELETE_FAILED", "failed", 1)


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_has_its_own_outcome(request_: str) -> None:
    before, request = REQUESTS[request_]
    deployment = before()
    request(deployment)
    assert outcome(deployment) == (None, deployment.generation)
    deployment.activate(LATER, 0.04)
    assert outcome(read_again(deployment)) == ("succeeded", deployment.generation)


def test_an_update_that_is_rolled_back_is_no_success() -> None:
    deployment = rolling_back(MOMENT)
    assert outcome(deployment) == (None, 2)
    deployment.activate(LATER, 0.04)
    assert (deployment.status, *outcome(deployment)) == ("ACTIVE", "rolled_back", 2)


def test_an_update_whose_rollback_fails_has_failed() -> None:
    deployment = rolling_back(MOMENT)
    deployment.end_failed(LATER)
    assert outcome(deployment) == ("failed", 2)


def test_an_update_that_could_not_be_started_is_cancelled() -> None:
    deployment = active()
    deployment.update(spec_of(count=2), LATER, new_image=False)
    deployment.withdraw_update(2, LATER)
    assert outcome(deployment) == ("cancelled", 2)


def test_a_delete_supersedes_the_operation_that_it_cancels() -> None:
    deployment = in_status(Status.UPDATING)
    deployment.delete(LATER)
    assert outcome(deployment) == (None, 3)
    deployment.end_torn_down(LATER)
    assert outcome(deployment) == ("succeeded", 3)


def test_a_delete_that_leaves_a_resource_has_failed() -> None:
    deployment = active()
    deployment.delete(LATER)
    deployment.end_failed(LATER)
    assert outcome(deployment) == ("failed", 2)
    deployment.retry(LATER, 0.0)
    assert outcome(deployment) == (None, 3)


def test_the_end_of_the_time_to_live_is_an_operation_like_a_delete() -> None:
    deployment = active(ttl="8h")
    deployment.delete(LATER, "the time to live has passed")
    assert outcome(deployment) == (None, 2)


def test_a_second_delete_waits_for_the_first() -> None:
    deployment = active()
    deployment.delete(LATER)
    assert not deployment.is_changed_by_delete(LATER)
    deployment.delete(LATER)
    assert outcome(deployment) == (None, 2)


def test_a_takeover_keeps_the_generation_of_the_request() -> None:
    deployment = in_status(Status.UPDATING)
    deployment.continue_operation("the execution died", LATER)
    deployment.continue_operation("the execution died", LATER)
    assert (deployment.generation, *outcome(deployment)) == (4, None, 2)
    deployment.activate(LATER, 0.04)
    assert outcome(read_again(deployment)) == ("succeeded", 2)


@pytest.mark.parametrize("end", ["activate", "end_failed", "run"])
def test_a_repair_changes_no_outcome(end: str) -> None:
    deployment = rolling_back(MOMENT)
    deployment.activate(LATER, 0.04)
    deployment.repair("somebody deleted the listener", LATER)
    if end == "activate":
        deployment.activate(LATER, 0.04)
    elif end == "end_failed":
        deployment.end_failed(LATER)
    assert outcome(read_again(deployment)) == ("rolled_back", 2)


def test_a_delete_during_a_repair_has_an_outcome() -> None:
    deployment = active()
    deployment.repair("somebody deleted the listener", LATER)
    deployment.delete(LATER)
    assert outcome(deployment) == (None, 3)


def test_a_retry_of_a_failed_repair_has_an_outcome() -> None:
    deployment = active()
    deployment.repair("somebody deleted the listener", LATER)
    deployment.end_failed(LATER)
    deployment.retry(LATER, 0.04)
    assert outcome(deployment) == (None, 3)


def test_an_extension_and_a_report_of_leftovers_change_no_outcome() -> None:
    deployment = failed()
    deployment.extend("8h", LATER)
    deployment.report_leftovers([LEFTOVER], LATER)
    assert (deployment.status, *outcome(deployment)) == ("DELETE_FAILED", "failed", 1)


def torn_down_again() -> Deployment:
    deployment = active()
    deployment.delete(MOMENT)
    deployment.end_torn_down(MOMENT)
    deployment.restart_teardown("AWS still has the log group", LATER)
    return deployment


def test_a_teardown_by_the_reconciler_changes_no_outcome() -> None:
    deployment = torn_down_again()
    assert outcome(deployment) == ("succeeded", 2)
    deployment.end_failed(LATER)
    assert outcome(deployment) == ("succeeded", 2)


def test_a_delete_during_a_teardown_by_the_reconciler_waits_for_it() -> None:
    deployment = torn_down_again()
    assert deployment.is_changed_by_delete(LATER)
    assert deployment.delete(LATER) is False
    assert outcome(deployment) == (None, 3)
    deployment.end_torn_down(LATER)
    assert outcome(read_again(deployment)) == ("succeeded", 3)


def test_resources_without_a_record_have_no_outcome() -> None:
    deployment = read_again(Deployment.adopt(ID, OWNER, [LEFTOVER], MOMENT))
    assert outcome(deployment) == (None, None)
    deployment.retry(LATER, 0.0)
    assert outcome(deployment) == (None, 2)


# --- records of the version before ---------------------------------------------------------


@pytest.mark.parametrize("status", Status)
def test_a_record_of_the_version_before_gets_the_outcome_of_its_operation(status: Status) -> None:
    deployment = in_status(status)
    assert outcome(as_before(deployment)) == outcome(deployment)


def test_a_takeover_by_the_version_before_is_not_counted() -> None:
    deployment = in_status(Status.UPDATING)
    deployment.continue_operation("the execution died", LATER)
    before = as_before(deployment)
    assert outcome(before) == (None, 2)
    before.activate(LATER, 0.04)
    assert outcome(before) == ("succeeded", 2)


def test_a_repair_by_the_version_before_has_no_outcome() -> None:
    deployment = active()
    deployment.repair("somebody deleted the listener", LATER)
    before = as_before(deployment)
    before.activate(LATER, 0.04)
    assert outcome(read_again(before)) == (None, None)


def test_a_record_that_the_version_before_adopted_has_no_outcome() -> None:
    assert outcome(as_before(Deployment.adopt(ID, OWNER, [LEFTOVER], MOMENT))) == (None, None)
