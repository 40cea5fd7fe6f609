"""How a pause and a resume change the record."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import InvalidState, OperationInProgress
from chalicelib.domain.operation import CONVERGE_STEPS, Path
from chalicelib.domain.parts import Leftover, Resource
from chalicelib.domain.record import Status
from chalicelib.workflow import recovery
from tests.support.builders import ID, MOMENT, active, failure_of, in_status, spec_of

LATER = MOMENT + timedelta(minutes=5)


def settled(change: Callable[[Deployment], None], deployment: Deployment) -> Deployment:
    """The deployment after the operation succeeded."""
    change(deployment)
    deployment.activate(LATER, 0.03)
    return deployment


def paused() -> Deployment:
    return settled(lambda d: d.pause(MOMENT), active(count=3))


def with_count(count: int) -> Callable[[Deployment], None]:
    return lambda d: d.update(spec_of(count=count), LATER, new_image=False)


def fail(deployment: Deployment) -> Path | None:
    """Fail the operation and return the path that follows."""
    deployment.fail("await_ready", failure_of("await_ready"), LATER)
    return recovery.recover(deployment, {}, LATER)


def test_a_pause_is_an_operation_with_no_desired_tasks() -> None:
    deployment = active(count=3)
    deployment.pause(LATER)
    assert (deployment.status, deployment.operation.kind) == (Status.UPDATING, "pause")
    assert [step.name for step in deployment.operation.steps] == list(CONVERGE_STEPS)
    assert (deployment.wanted_tasks, deployment.spec.count) == (0, 3)
    assert deployment.generation == 2


def test_a_pause_ends_paused_and_a_resume_restores_the_tasks() -> None:
    deployment = paused()
    assert (deployment.status, deployment.operation.status) == (Status.PAUSED, "succeeded")
    assert deployment.new_events[-1].type == "deployment.paused"
    deployment.resume(LATER)
    assert (deployment.status, deployment.operation.kind) == (Status.UPDATING, "resume")
    assert deployment.wanted_tasks == 3
    deployment.activate(LATER, 0.04)
    assert deployment.status is Status.ACTIVE


@pytest.mark.parametrize("status", [Status.CREATING, Status.UPDATING, Status.DELETING])
def test_pause_and_resume_are_refused_while_an_operation_runs(status: Status) -> None:
    for change in (Deployment.pause, Deployment.resume):
        with pytest.raises(OperationInProgress):
            change(in_status(status), LATER)


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (Status.PAUSED, "is already PAUSED: only an ACTIVE"),
        (Status.FAILED, "is FAILED: only an ACTIVE"),
        (Status.DELETED, "is DELETED: only an ACTIVE"),
        (Status.DELETE_FAILED, "is DELETE_FAILED: only an ACTIVE"),
    ],
)
def test_only_an_active_deployment_can_be_paused(status: Status, detail: str) -> None:
    deployment = in_status(status)
    before = deployment.model_dump()
    with pytest.raises(InvalidState, match=detail):
        deployment.pause(LATER)
    assert deployment.model_dump() == before


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (Status.ACTIVE, "is already ACTIVE: only a PAUSED"),
        (Status.FAILED, "is FAILED: only a PAUSED"),
        (Status.DELETED, "is DELETED: only a PAUSED"),
    ],
)
def test_only_a_paused_deployment_can_be_resumed(status: Status, detail: str) -> None:
    with pytest.raises(InvalidState, match=detail):
        in_status(status).resume(LATER)


def test_a_failed_pause_returns_to_active() -> None:
    deployment = active()
    deployment.pause(MOMENT)
    assert fail(deployment) is Path.ROLLBACK
    assert deployment.wanted_tasks == 1
    deployment.activate(LATER, 0.04)
    assert (deployment.status, deployment.operation.status) == (Status.ACTIVE, "rolled_back")
    assert deployment.failure is not None


def test_a_failed_resume_returns_to_paused() -> None:
    deployment = paused()
    deployment.resume(MOMENT)
    assert fail(deployment) is Path.ROLLBACK
    assert deployment.wanted_tasks == 0
    deployment.activate(LATER, 0.03)
    assert (deployment.status, deployment.operation.status) == (Status.PAUSED, "rolled_back")


@pytest.mark.parametrize(("before", "change"), [("ACTIVE", "pause"), ("PAUSED", "resume")])
def test_an_operation_that_could_not_start_is_withdrawn(before: str, change: str) -> None:
    deployment = in_status(Status(before))
    getattr(deployment, change)(MOMENT)
    deployment.withdraw_update(deployment.generation, LATER)
    assert (deployment.status, deployment.operation.status) == (before, "cancelled")
    assert deployment.paused is (before == "PAUSED")


def test_an_update_of_a_paused_deployment_leaves_it_paused() -> None:
    deployment = settled(with_count(2), paused())
    assert (deployment.status, deployment.wanted_tasks) == (Status.PAUSED, 0)
    deployment.resume(LATER)
    assert deployment.wanted_tasks == 2


def test_a_failed_resume_keeps_the_change_that_was_made_while_paused() -> None:
    deployment = settled(with_count(2), paused())
    deployment.resume(LATER)
    fail(deployment)
    assert (deployment.spec.count, deployment.paused) == (2, True)


def test_a_rollback_returns_to_a_version_that_served() -> None:
    deployment = paused()
    for count in (2, 5):
        settled(with_count(count), deployment)
    settled(lambda d: d.resume(LATER), deployment)
    deployment.roll_back(LATER)
    assert (deployment.spec.count, deployment.paused) == (3, False)


def test_a_pause_is_not_a_rollback_target() -> None:
    deployment = settled(lambda d: d.resume(LATER), paused())
    with pytest.raises(InvalidState, match="no other version was ever ACTIVE"):
        deployment.roll_back(LATER)


def test_a_paused_deployment_cannot_be_rolled_back() -> None:
    with pytest.raises(InvalidState, match=r"Resume it first\."):
        settled(with_count(2), paused()).roll_back(LATER)


def test_a_retried_repair_stays_paused() -> None:
    deployment = paused()
    deployment.repair("the service was deleted", LATER)
    assert fail(deployment) is None
    assert deployment.status is Status.FAILED
    deployment.retry(LATER, 0.04)
    assert deployment.wanted_tasks == 0
    deployment.activate(LATER, 0.03)
    assert deployment.status is Status.PAUSED


def test_the_time_to_live_continues_while_paused() -> None:
    deployment = active(ttl="8h")
    expires_at = deployment.expires_at
    settled(lambda d: d.pause(LATER), deployment)
    assert deployment.expires_at == expires_at
    deployment.extend("10h", LATER)
    assert deployment.status is Status.PAUSED


@pytest.mark.parametrize("left", ["load_balancer", "cluster"])
def test_the_pause_rule_is_deleted_with_its_load_balancer(left: str) -> None:
    deployment = paused()
    deployment.record_resource(
        Resource(kind="listener_rule", name=f"{ID}:pause", arn="arn:rule"), LATER
    )
    deployment.settle([Leftover(kind=left, name=ID, reason="AWS still has it")], LATER)
    assert deployment.resources[-1].verified_gone is (left == "cluster")
