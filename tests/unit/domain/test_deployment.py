from datetime import timedelta

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import InvalidState, OperationInProgress, Superseded
from chalicelib.domain.operation import CONVERGE_STEPS, DESTROY_STEPS, Path, StepStatus
from chalicelib.domain.parts import Image, Leftover, Resource
from chalicelib.domain.record import Status
from tests.support.builders import (
    DIGEST,
    ID,
    IMAGE,
    MOMENT,
    REGISTRY,
    active,
    deployment_of,
    failed,
    failure_of,
    in_status,
    rolling_back,
    spec_of,
    tearing_down_failed_create,
)

LATER = MOMENT + timedelta(minutes=5)


def types(deployment: Deployment) -> list[str]:
    return [event.type for event in deployment.new_events]


def statuses(deployment: Deployment) -> set[str]:
    return {step.status for step in deployment.operation.steps}


def test_a_new_deployment_is_creating_with_all_its_steps_listed() -> None:
    deployment = deployment_of()
    assert (deployment.status, deployment.generation) == (Status.CREATING, 1)
    assert [step.name for step in deployment.operation.steps] == list(CONVERGE_STEPS)
    assert statuses(deployment) == {"pending"}
    grace = timedelta(seconds=deployment.spec.health_check.grace)
    request = timedelta(seconds=deployment.spec.request_timeout or 0)
    assert deployment.operation.deadline == MOMENT + timedelta(minutes=15) + grace + request
    assert deployment.operation.percent == 0
    assert types(deployment) == ["deployment.creating"]


def test_event_numbers_have_no_gaps_or_repeats() -> None:
    deployment = deployment_of()
    deployment.events_written = 40
    deployment._events.clear()
    for name in CONVERGE_STEPS:
        deployment.begin_step(name, f"1/converge/{name}/r", LATER, MOMENT)
        deployment.finish_step(name, MOMENT)
    deployment.activate(MOMENT, 0.04)
    sequences = [event.sequence for event in deployment.new_events]
    assert sequences == list(range(41, 41 + 2 * len(CONVERGE_STEPS) + 1))


def test_a_created_deployment_becomes_active() -> None:
    deployment = active(now=LATER)
    assert deployment.status is Status.ACTIVE
    assert deployment.operation.status == "succeeded"
    assert deployment.operation.finished_at == LATER
    assert deployment.operation.percent == 100
    assert deployment.meter.usd_per_hour == 0.04
    assert deployment.last_active is not None
    assert deployment.last_active.spec == deployment.spec
    assert types(deployment)[-1] == "deployment.active"


# --- steps ---------------------------------------------------------------------------------


def test_finishing_a_step_twice_adds_one_event() -> None:
    deployment = deployment_of()
    deployment.finish_step("resolve_image", MOMENT, "found")
    deployment.finish_step("resolve_image", LATER, "found again")
    step = deployment.operation.step("resolve_image")
    assert (step.status, step.finished_at, step.message) == ("succeeded", MOMENT, "found")
    assert types(deployment).count("step.succeeded") == 1


def test_a_failed_step_does_not_succeed_later() -> None:
    deployment = deployment_of()
    deployment.fail("resolve_image", failure_of("resolve_image"), MOMENT)
    deployment.finish_step("resolve_image", LATER)
    assert deployment.operation.step("resolve_image").status == "failed"


def test_starting_a_step_twice_counts_attempts_and_adds_one_event() -> None:
    deployment = deployment_of()
    for invocation in ("a", "b"):
        deployment.begin_step("resolve_image", invocation, LATER, MOMENT)
    step = deployment.operation.step("resolve_image")
    assert (step.attempts, step.status, step.started_at) == (2, "running", MOMENT)
    assert types(deployment).count("step.running") == 1


def test_percent_counts_finished_steps() -> None:
    deployment = deployment_of()
    for name in CONVERGE_STEPS[:3]:
        deployment.finish_step(name, MOMENT)
    assert deployment.operation.percent == 100 * 3 // len(CONVERGE_STEPS)
    for name in CONVERGE_STEPS[3:]:
        deployment.finish_step(name, MOMENT, status=StepStatus.SKIPPED)
    assert deployment.operation.percent == 99


def test_a_failed_step_is_not_progress() -> None:
    deployment = failed()
    assert deployment.operation.step("resolve_image").status == "failed"
    assert deployment.operation.percent < 100


def test_the_first_failure_is_kept() -> None:
    deployment = deployment_of()
    deployment.fail("create_cluster", failure_of("create_cluster", "AWS_ACCESS_DENIED"), MOMENT)
    deployment.fail("resolve_image", failure_of("resolve_image"), MOMENT)
    assert deployment.failure is not None
    assert deployment.failure.code == "AWS_ACCESS_DENIED"
    assert deployment.operation.step("resolve_image").status == "failed"


def test_failing_an_unlisted_step_keeps_the_reason() -> None:
    deployment = deployment_of()
    deployment.fail("unheard_of", failure_of("unheard_of"), MOMENT)
    assert deployment.failure is not None


# --- the fence -----------------------------------------------------------------------------


def test_a_step_of_the_running_operation_may_run() -> None:
    deployment_of().check_fence(1, Path.CONVERGE)


@pytest.mark.parametrize(
    ("generation", "path"),
    [(2, Path.CONVERGE), (0, Path.CONVERGE), (1, Path.DESTROY), (1, Path.ROLLBACK)],
)
def test_a_step_of_another_generation_or_path_may_not(generation: int, path: Path) -> None:
    with pytest.raises(Superseded):
        deployment_of().check_fence(generation, path)


@pytest.mark.parametrize("deployment", [active(), failed()])
def test_a_step_of_an_ended_operation_may_not(deployment: Deployment) -> None:
    with pytest.raises(Superseded):
        deployment.check_fence(1, Path.CONVERGE)


def test_a_delete_fences_off_the_create() -> None:
    deployment = deployment_of()
    deployment.delete(LATER)
    with pytest.raises(Superseded):
        deployment.check_fence(1, Path.CONVERGE)
    deployment.check_fence(2, Path.DESTROY)


def test_a_step_waits_only_for_live_invocations_of_other_work() -> None:
    deployment = deployment_of()
    deployment.in_flight = {
        "1/converge/create_cluster/r1": LATER,
        "1/converge/resolve_image/r2": MOMENT,
        "2/destroy/delete_service/r3": LATER,
    }
    deployment.generation = 2
    assert deployment.others_in_flight(Path.DESTROY, MOMENT) == ["1/converge/create_cluster/r1"]
    assert deployment.others_in_flight(Path.DESTROY, LATER) == []


def test_a_step_waits_for_another_path_of_its_generation() -> None:
    deployment = deployment_of()
    deployment.begin_step("create_cluster", "1/converge/create_cluster/r1", LATER, MOMENT)
    assert deployment.others_in_flight(Path.DESTROY, MOMENT)
    assert not deployment.others_in_flight(Path.CONVERGE, MOMENT)


def test_ending_an_invocation_removes_it_and_dead_ones() -> None:
    deployment = deployment_of()
    deployment.in_flight = {"a": LATER, "b": LATER, "dead": MOMENT}
    deployment.end_invocation("a", MOMENT)
    assert deployment.in_flight == {"b": LATER}


# --- update --------------------------------------------------------------------------------


def test_an_update_starts_a_new_generation() -> None:
    deployment = active()
    deployment.update(spec_of(count=3), LATER, new_image=False)
    assert (deployment.status, deployment.generation) == (Status.UPDATING, 2)
    assert deployment.operation.kind == "update"
    assert deployment.operation.generation == 2
    assert deployment.spec.count == 3
    assert statuses(deployment) == {"pending"}
    assert types(deployment)[-1] == "deployment.updating"


def test_a_change_of_only_the_count_keeps_the_digest() -> None:
    deployment = active()
    deployment.image = Image(reference=IMAGE, digest=DIGEST)
    deployment.update(spec_of(count=3), LATER, new_image=False)
    assert deployment.image.digest == DIGEST


def test_an_update_with_an_image_resolves_it_again() -> None:
    deployment = active()
    deployment.image = Image(reference=IMAGE, digest=DIGEST)
    deployment.update(spec_of(), LATER, new_image=True)
    assert deployment.image == Image(reference=IMAGE)


@pytest.mark.parametrize("status", [Status.CREATING, Status.UPDATING, Status.DELETING])
def test_an_update_is_refused_while_an_operation_runs(status: Status) -> None:
    with pytest.raises(OperationInProgress):
        in_status(status).update(spec_of(), LATER, new_image=False)


@pytest.mark.parametrize("status", [Status.DELETED, Status.DELETE_FAILED])
def test_an_update_needs_an_active_deployment(status: Status) -> None:
    with pytest.raises(InvalidState):
        in_status(status).update(spec_of(), LATER, new_image=False)


@pytest.mark.parametrize("new_image", [True, False])
def test_a_failed_create_starts_again_with_another_spec_and_resolves_the_image(
    new_image: bool,
) -> None:
    deployment = failed()
    deployment.image = Image(reference=IMAGE, digest=DIGEST)
    deployment.start_again(spec_of(count=3, ttl="8h"), LATER, 0.12, new_image=new_image)
    assert (deployment.status, deployment.generation) == (Status.CREATING, 2)
    assert (deployment.operation.kind, deployment.operation.path) == ("create", Path.CONVERGE)
    assert (deployment.spec.count, deployment.failure) == (3, None)
    assert deployment.image == Image(reference=IMAGE)
    assert (deployment.meter.usd_per_hour, deployment.meter.since) == (0.12, LATER)
    assert deployment.expires_at == LATER + timedelta(hours=8)
    assert types(deployment)[-1] == "deployment.creating"


@pytest.mark.parametrize("new_image", [True, False])
def test_a_failed_deployment_that_served_is_updated_and_keeps_its_digest(new_image: bool) -> None:
    deployment = active()
    deployment.image = Image(reference=IMAGE, digest=DIGEST)
    deployment.repair("somebody deleted the listener", MOMENT)
    deployment.end_failed(MOMENT)
    deployment.start_again(spec_of(count=3), LATER, 0.12, new_image=new_image)
    assert (deployment.status, deployment.operation.kind) == (Status.UPDATING, "update")
    assert deployment.image == Image(reference=IMAGE, digest=None if new_image else DIGEST)


# --- delete --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.DELETING, Status.DELETED}))
def test_delete_starts_a_teardown(status: Status) -> None:
    deployment = in_status(status)
    generation = deployment.generation
    assert deployment.delete(LATER) is True
    assert (deployment.status, deployment.generation) == (Status.DELETING, generation + 1)
    assert [step.name for step in deployment.operation.steps] == list(DESTROY_STEPS)
    assert deployment.operation.deadline == LATER + timedelta(minutes=60)
    assert deployment.failure is None


@pytest.mark.parametrize("status", [Status.DELETING, Status.DELETED])
def test_a_second_delete_starts_nothing(status: Status) -> None:
    deployment = in_status(status)
    before = deployment.model_dump()
    assert deployment.delete(LATER) is False
    assert deployment.model_dump() == before


def test_a_dead_teardown_restarts_after_its_deadline() -> None:
    deployment = in_status(Status.DELETING)
    generation = deployment.generation
    assert deployment.delete(deployment.operation.deadline + timedelta(seconds=1)) is True
    assert (deployment.status, deployment.generation) == (Status.DELETING, generation + 1)


@pytest.mark.parametrize("status", [Status.CREATING, Status.UPDATING])
def test_a_delete_cancels_the_running_operation(status: Status) -> None:
    deployment = in_status(status)
    cancelled = deployment.operation
    deployment.delete(LATER)
    assert (cancelled.status, cancelled.finished_at) == ("cancelled", LATER)
    assert types(deployment)[-2:] == ["operation.cancelled", "deployment.deleting"]


def test_a_torn_down_deployment_is_deleted_and_costs_nothing() -> None:
    deployment = active()
    deployment.url = "http://x"
    deployment.delete(LATER)
    deployment.settle([], LATER)
    deployment.end_torn_down(LATER)
    assert (deployment.status, deployment.deleted_at) == (Status.DELETED, LATER)
    assert deployment.operation.status == "succeeded"
    assert deployment.url is None
    assert deployment.meter.usd_per_hour == 0
    assert deployment.purge_at == int((LATER + timedelta(days=30)).timestamp())
    assert types(deployment)[-1] == "deployment.deleted"


def test_a_teardown_that_fails_can_be_deleted_again() -> None:
    deployment = in_status(Status.DELETING)
    deployment.end_failed(LATER)
    assert deployment.status is Status.DELETE_FAILED
    assert statuses(deployment) == {"skipped"}
    assert deployment.delete(LATER) is True


# --- ways out ------------------------------------------------------------------------------


def test_switching_the_path_skips_pending_steps() -> None:
    deployment = deployment_of()
    deployment.finish_step("resolve_image", MOMENT)
    deployment.begin_step("create_cluster", "r", LATER, MOMENT)
    deployment.switch_path(Path.DESTROY, LATER)
    by_name = {step.name: step.status for step in deployment.operation.steps}
    assert by_name["resolve_image"] == "succeeded"
    assert by_name["create_cluster"] == by_name["create_listener"] == "skipped"
    assert {by_name[name] for name in DESTROY_STEPS} == {"pending"}
    assert deployment.operation.deadline == LATER + timedelta(minutes=60)


def test_switching_the_path_twice_has_no_further_effect() -> None:
    deployment = tearing_down_failed_create()
    before, events = deployment.model_dump(), len(deployment.new_events)
    deployment.switch_path(Path.DESTROY, LATER)
    assert deployment.model_dump() == before
    assert len(deployment.new_events) == events


def test_a_failed_create_that_is_torn_down_is_failed_with_its_first_reason() -> None:
    deployment = tearing_down_failed_create()
    for name in DESTROY_STEPS:
        deployment.finish_step(name, LATER)
    deployment.end_torn_down(LATER)
    assert (deployment.status, deployment.operation.status) == (Status.FAILED, "failed")
    assert deployment.failure is not None
    assert deployment.failure.code == "IMAGE_NOT_FOUND"
    assert deployment.meter.usd_per_hour == 0
    assert deployment.deleted_at is None
    assert types(deployment)[-1] == "deployment.failed"


def test_a_rollback_returns_to_the_active_spec() -> None:
    deployment = active()
    deployment.image = Image(reference=IMAGE, digest=DIGEST)
    deployment.activate(MOMENT, 0.04)
    image = f"{REGISTRY}/recommend:2"
    deployment.update(spec_of(image=image, count=4), LATER, new_image=True)
    deployment.switch_path(Path.ROLLBACK, LATER)
    assert (deployment.spec.count, deployment.image.digest) == (1, DIGEST)
    assert deployment.generation == 2
    deployment.check_fence(2, Path.ROLLBACK)


def test_a_rolled_back_update_is_not_shown_as_a_success() -> None:
    deployment = rolling_back(LATER)
    deployment.activate(LATER, 0.04)
    assert (deployment.status, deployment.operation.status) == (Status.ACTIVE, "rolled_back")
    assert deployment.failure is not None
    assert deployment.operation.percent < 100
    assert types(deployment)[-1] == "deployment.rolled_back"


def test_the_next_update_removes_the_failure() -> None:
    deployment = rolling_back(LATER)
    deployment.activate(LATER, 0.04)
    deployment.update(spec_of(count=2), LATER, new_image=False)
    assert deployment.failure is None


# --- resources -----------------------------------------------------------------------------


def test_a_resource_is_recorded_once_and_its_arn_replaced() -> None:
    deployment = deployment_of()
    deployment.record_resource(Resource(kind="cluster", name="x", arn="one"), MOMENT)
    deployment.record_resource(Resource(kind="cluster", name="x", arn="two"), LATER)
    deployment.record_resource(Resource(kind="service", name="x", arn="three"), LATER)
    recorded = [(r.kind, r.arn, r.created_at) for r in deployment.resources]
    assert recorded == [("cluster", "two", MOMENT), ("service", "three", LATER)]


def test_a_recreated_resource_has_one_entry() -> None:
    deployment = deployment_of()
    gone = Resource(kind="cluster", name="x", deleted_at=MOMENT, verified_gone=True)
    deployment.resources = [gone]
    deployment.record_resource(Resource(kind="cluster", name="x", arn="new"), LATER)
    anew = Resource(kind="cluster", name="x", arn="new", created_at=LATER)
    assert deployment.resources == [anew]


def test_an_image_is_pinned_by_its_digest_once_it_is_known() -> None:
    assert Image(reference=IMAGE).pinned == IMAGE
    assert Image(reference=IMAGE, digest=DIGEST).pinned == f"{REGISTRY}/recommend@{DIGEST}"


# --- retry, and what the reconciler does ---------------------------------------------------


def test_a_failed_create_is_retried_and_resolves_the_image_again() -> None:
    deployment = failed()
    deployment.image = Image(reference=IMAGE, digest=DIGEST)
    deployment.retry(LATER, 0.04)
    assert (deployment.status, deployment.generation) == (Status.CREATING, 2)
    assert (deployment.operation.kind, deployment.operation.path) == ("create", Path.CONVERGE)
    assert deployment.image == Image(reference=IMAGE)
    assert deployment.failure is None


def test_a_failed_rollback_is_retried_as_an_update_to_the_previous_version() -> None:
    deployment = rolling_back(MOMENT)
    deployment.end_failed(MOMENT)
    deployment.retry(LATER, 0.04)
    assert (deployment.status, deployment.operation.kind) == (Status.UPDATING, "update")
    assert deployment.last_active is not None
    assert deployment.spec == deployment.last_active.spec


def test_a_failed_teardown_is_retried_as_a_teardown() -> None:
    deployment = in_status(Status.DELETE_FAILED)
    deployment.retry(LATER, 0.04)
    assert (deployment.status, deployment.operation.kind) == (Status.DELETING, "delete")
    assert deployment.operation.path is Path.DESTROY


@pytest.mark.parametrize("status", [Status.CREATING, Status.UPDATING, Status.DELETING])
def test_a_running_operation_cannot_be_retried(status: Status) -> None:
    with pytest.raises(OperationInProgress):
        in_status(status).retry(LATER, 0.04)


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.DELETED])
def test_a_healthy_deployment_cannot_be_retried(status: Status) -> None:
    with pytest.raises(InvalidState):
        in_status(status).retry(LATER, 0.04)


def test_a_takeover_continues_the_operation_with_a_new_generation() -> None:
    deployment = in_status(Status.DELETING)
    generation, operation = deployment.generation, deployment.operation
    deployment.finish_step("delete_service", MOMENT, "denied", status=StepStatus.FAILED)
    deployment.continue_operation("its execution timed out", LATER)
    assert deployment.generation == operation.generation == generation + 1
    assert (deployment.operation, operation.takeovers) == (operation, 1)
    assert operation.step("delete_service").status == "pending"
    assert deployment.new_events[-1].message == "its execution timed out"


def test_a_takeover_of_an_earlier_versions_operation_uses_the_current_steps() -> None:
    deployment = in_status(Status.CREATING)
    steps = deployment.operation.steps
    steps[:] = [step for step in steps if step.name != "route_traffic"]
    deployment.continue_operation("its execution timed out", LATER)
    assert sorted(step.name for step in steps) == sorted(CONVERGE_STEPS)
    assert deployment.operation.step("route_traffic").status == "pending"


def test_a_leftover_blocks_the_resources_that_depend_on_it() -> None:
    operation = in_status(Status.DELETING).operation
    operation.step("delete_service").status = StepStatus.FAILED
    assert operation.blocking("drain_tasks") == "delete_service"
    assert operation.blocking("delete_log_group") is None


def test_the_receipt_lists_deleted_and_remaining_resources() -> None:
    deployment = in_status(Status.DELETING)
    kinds = ("cluster", "load_balancer", "listener", "security_group", "security_group")
    names = (ID, ID, f"{ID}:80", "front", "back")
    deployment.resources = [
        Resource(kind=kind, name=name) for kind, name in zip(kinds, names, strict=True)
    ]
    left = [
        Leftover(kind="load_balancer", name=ID, reason="denied"),
        Leftover(kind="security_group", name="front", reason="held"),
    ]
    deployment.settle(left, LATER)
    gone = {(r.kind, r.name) for r in deployment.resources if r.verified_gone}
    assert gone == {("cluster", ID), ("security_group", "back")}
    assert deployment.leftovers == left
    assert deployment.meter.usd_per_hour > 0  # the load balancer still costs


def test_a_repair_ends_active_and_keeps_the_spec() -> None:
    deployment = active()
    deployment.repair("the service was deleted", LATER)
    assert (deployment.status, deployment.operation.kind) == (Status.UPDATING, "repair")
    assert deployment.new_events[-1].message == "the service was deleted"
    deployment.activate(LATER, 0.04)
    assert (deployment.status, deployment.operation.status) == (Status.ACTIVE, "succeeded")


def test_a_deleted_deployment_with_remaining_resources_is_torn_down_again() -> None:
    deployment = in_status(Status.DELETED)
    deployment.restart_teardown("AWS has cluster x", LATER)
    assert (deployment.status, deployment.deleted_at, deployment.purge_at) == (
        Status.DELETING,
        None,
        None,
    )


def test_resources_without_a_record_get_a_record() -> None:
    left = [Leftover(kind="cluster", name=ID, reason="AWS still has it")]
    deployment = Deployment.adopt(ID, "team-a", left, MOMENT)
    assert (deployment.status, deployment.leftovers) == (Status.DELETE_FAILED, left)
    assert deployment.failure is not None
    assert not deployment.is_running
    deployment.retry(LATER, 0.04)
    assert deployment.status is Status.DELETING


# --- rollback and time to live -------------------------------------------------------------


def test_a_rollback_of_a_rollback_returns_to_the_newer_version() -> None:
    deployment = active()
    deployment.update(spec_of(count=2), LATER, new_image=False)
    deployment.activate(LATER, 0.05)
    for count in (1, 2):
        deployment.roll_back(LATER)
        assert deployment.spec.count == count
        deployment.activate(LATER, 0.05)
        assert deployment.status is Status.ACTIVE


def test_repairs_and_failed_updates_are_not_rollback_targets() -> None:
    deployment = active()
    deployment.repair("the service was deleted", LATER)
    deployment.activate(LATER, 0.04)
    with pytest.raises(InvalidState):
        deployment.roll_back(LATER)


def test_a_time_to_live_survives_a_rollback() -> None:
    deployment = active(ttl="8h")
    assert deployment.expires_at == MOMENT + timedelta(hours=8)
    deployment.update(spec_of(count=2, ttl="3d"), LATER, new_image=False)
    assert deployment.expires_at == LATER + timedelta(days=3)
    deployment.switch_path(Path.ROLLBACK, LATER)
    assert (deployment.spec.count, deployment.spec.ttl) == (1, "3d")


def test_the_callback_url_survives_a_rollback_and_makes_no_version() -> None:
    first, second = "https://example.com/a", "https://example.com/b"
    deployment = active(callback_url=first)
    deployment.update(spec_of(callback_url=second), LATER, new_image=False)
    deployment.activate(LATER, 0.04)
    with pytest.raises(InvalidState):
        deployment.roll_back(LATER)
    deployment.update(spec_of(count=2, callback_url=second), LATER, new_image=False)
    deployment.activate(LATER, 0.08)
    deployment.roll_back(LATER)
    assert (deployment.spec.count, deployment.spec.callback_url) == (1, second)


def test_a_change_of_another_field_keeps_the_time_to_live() -> None:
    deployment = active(ttl="8h")
    deployment.update(spec_of(count=2, ttl="8h"), LATER, new_image=False)
    assert deployment.expires_at == MOMENT + timedelta(hours=8)


def test_the_expiry_event_is_added_once_and_again_after_an_extension() -> None:
    deployment = active(ttl="8h")
    deployment.announce_expiry(LATER)
    deployment.announce_expiry(LATER)
    assert types(deployment).count("deployment.expiring") == 1
    deployment.extend("8h", LATER)
    deployment.announce_expiry(LATER)
    assert types(deployment).count("deployment.expiring") == 2


def test_the_cost_meter_runs_from_the_first_minute_and_again_from_a_retry() -> None:
    deployment = Deployment.create("rec-abcdef", "team-a", spec_of(), MOMENT, 0.03)
    assert (deployment.meter.usd_per_hour, deployment.meter.since) == (0.03, MOMENT)
    deployment = failed()
    deployment.retry(LATER, 0.04)
    assert (deployment.meter.usd_per_hour, deployment.meter.since) == (0.04, LATER)


def test_the_cost_of_resources_without_a_record_is_unknown() -> None:
    adopted = Deployment.adopt("stray-abcdef", "unknown", [], MOMENT)
    assert adopted.meter.usd_per_hour == 0
