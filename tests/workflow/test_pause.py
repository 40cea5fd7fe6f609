"""Pause and resume through the whole state machine, in process with moto."""

from chalicelib.domain.errors import FailureCode
from chalicelib.domain.operation import CONVERGE_STEPS
from chalicelib.domain.record import Status
from chalicelib.resources import service
from tests.support.in_process import REGISTRY
from tests.workflow.world import World, fixed_response


def test_a_pause_keeps_everything_except_the_tasks(world: World) -> None:
    deployment = world.deploy(count=1)
    left = world.left(deployment.id)

    execution = world.execute(world.accept_pause(deployment))

    record = world.read(deployment)
    assert (record.status, record.operation.status) == (Status.PAUSED, "succeeded")
    assert sorted(execution.steps) == sorted(CONVERGE_STEPS)
    found = service.find(deployment.id)
    assert found and found["desiredCount"] == 0
    assert fixed_response()
    assert world.left(deployment.id) == left
    assert (record.url, record.prediction) == (deployment.url, deployment.prediction)
    assert record.meter.usd_per_hour < deployment.meter.usd_per_hour


def test_a_resume_restores_the_deployment(world: World) -> None:
    deployment = world.deploy()
    paused = world.pause(deployment)

    world.execute(world.accept_resume(paused))

    record = world.read(deployment)
    assert (record.status, record.operation.kind) == (Status.ACTIVE, "resume")
    assert fixed_response() is None
    assert record.meter.usd_per_hour == deployment.meter.usd_per_hour
    assert (record.spec, record.image) == (deployment.spec, deployment.image)
    assert record.prediction and record.prediction.status == 200


def test_an_update_while_paused_serves_after_the_resume(world: World) -> None:
    deployment = world.pause(world.deploy())

    world.execute(world.accept_update(deployment, image=f"{REGISTRY}/recommend:2"))

    changed = world.read(deployment)
    assert (changed.status, changed.operation.kind) == (Status.PAUSED, "update")
    assert changed.image.digest != deployment.image.digest
    world.execute(world.accept_resume(changed))
    record = world.read(deployment)
    assert (record.status, record.image) == (Status.ACTIVE, changed.image)


def test_a_failed_resume_is_paused_again(world: World) -> None:
    deployment = world.pause(world.deploy())
    broken = {"path": "/", "json_has": ["nope"]}
    world.execute(world.accept_update(deployment, smoke_test=broken))

    world.execute(world.accept_resume(deployment))

    record = world.read(deployment)
    assert (record.status, record.operation.status) == (Status.PAUSED, "rolled_back")
    assert record.failure and record.failure.code == FailureCode.SMOKE_TEST_FAILED
    assert fixed_response()
    found = service.find(deployment.id)
    assert found and found["desiredCount"] == 0
    [rule] = [r for r in record.resources if r.kind == "listener_rule" and not r.deleted_at]
    assert rule.arn


def test_a_teardown_of_a_paused_deployment_leaves_nothing(world: World) -> None:
    deployment = world.pause(world.deploy())

    world.execute(world.accept_delete(deployment))

    record = world.read(deployment)
    assert record.status is Status.DELETED
    assert all(resource.verified_gone for resource in record.resources)
    assert world.left(deployment.id) == []
