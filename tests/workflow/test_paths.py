"""Both paths of the whole state machine, run in process with moto."""

from chalicelib.domain.errors import FailureCode
from chalicelib.domain.operation import CONVERGE_STEPS, DESTROY_STEPS
from chalicelib.domain.record import Status
from tests.support.in_process import REGISTRY
from tests.workflow.world import World

KINDS = {
    "cluster",
    "listener",
    "load_balancer",
    "log_group",
    "security_group",
    "service",
    "target_group",
    "task_definition",
}


def test_a_deploy_ends_active(world: World) -> None:
    deployment = world.accept()

    execution = world.execute(deployment)

    record = world.read(deployment)
    assert record.status is Status.ACTIVE
    assert record.operation.status == "succeeded"
    assert {step.status for step in record.operation.steps} == {"succeeded"}
    assert sorted(execution.steps) == sorted(CONVERGE_STEPS)
    assert {resource.kind for resource in record.resources} == KINDS
    assert record.image.digest and record.url
    assert record.prediction and record.prediction.status == 200
    assert not record.in_flight


def test_a_teardown_leaves_nothing(world: World) -> None:
    deployment = world.deploy()
    assert world.left(deployment.id)

    execution = world.execute(world.accept_delete(deployment))

    record = world.read(deployment)
    assert record.status is Status.DELETED
    assert sorted(execution.steps) == sorted(DESTROY_STEPS)
    assert record.resources and all(resource.verified_gone for resource in record.resources)
    assert record.leftovers == []
    assert world.left(deployment.id) == []


def test_a_teardown_without_resources_succeeds(world: World) -> None:
    deployment = world.accept()

    world.execute(world.accept_delete(deployment))

    assert world.read(deployment).status is Status.DELETED


def test_a_second_execution_of_a_deploy_changes_nothing(world: World) -> None:
    deployment = world.deploy()
    left = world.left(deployment.id)

    execution = world.execute(deployment)

    assert execution.steps == ["resolve_image"]  # superseded: its generation has ended
    assert world.left(deployment.id) == left
    record = world.read(deployment)
    assert record.model_copy(update={"version": deployment.version}) == deployment


def test_an_update_registers_one_more_revision(world: World) -> None:
    deployment = world.deploy()

    world.execute(world.accept_update(deployment, image=f"{REGISTRY}/recommend:2"))

    record = world.read(deployment)
    assert (record.status, record.operation.status) == (Status.ACTIVE, "succeeded")
    assert record.image.digest != deployment.image.digest
    revisions = [name for name in world.left(deployment.id) if "task-definition" in name]
    assert [arn.rsplit(":", 1)[-1] for arn in revisions] == ["1", "2"]
    assert len({(r.kind, r.name) for r in record.resources}) == len(record.resources)


def test_a_failed_create_is_torn_down(world: World) -> None:
    deployment = world.accept(smoke_test={"path": "/", "json_has": ["nope"]})

    execution = world.execute(deployment)

    record = world.read(deployment)
    assert (record.status, record.operation.status) == (Status.FAILED, "failed")
    assert record.failure and record.failure.code == FailureCode.SMOKE_TEST_FAILED
    assert execution.steps.count("diagnose") == 1
    assert execution.steps[-1] == "finish_teardown"
    assert world.left(deployment.id) == []
    assert all(resource.verified_gone for resource in record.resources)


def test_a_create_that_fails_early_changes_nothing(world: World) -> None:
    deployment = world.accept(image=f"{REGISTRY}/recommend:none")

    world.execute(deployment)

    record = world.read(deployment)
    assert record.failure and record.failure.code == FailureCode.IMAGE_NOT_FOUND
    assert record.resources == []
    assert world.left(deployment.id) == []


def test_a_failed_create_is_kept_on_request(world: World) -> None:
    smoke_test = {"path": "/", "json_has": ["nope"]}
    deployment = world.accept(smoke_test=smoke_test, on_failure="keep")

    execution = world.execute(deployment)

    record = world.read(deployment)
    assert record.status is Status.FAILED
    assert execution.steps[-1] == "diagnose"
    assert world.left(deployment.id)
    world.execute(world.accept_delete(record))
    assert world.read(deployment).status is Status.DELETED
    assert world.left(deployment.id) == []


def test_a_failed_update_is_rolled_back(world: World) -> None:
    deployment = world.deploy()

    world.execute(world.accept_update(deployment, image=f"{REGISTRY}/recommend:none"))

    record = world.read(deployment)
    assert (record.status, record.operation.status) == (Status.ACTIVE, "rolled_back")
    assert record.failure and record.failure.code == FailureCode.IMAGE_NOT_FOUND
    assert (record.spec, record.image) == (deployment.spec, deployment.image)


def test_a_delete_supersedes_a_running_create(world: World) -> None:
    deployment = world.accept()
    deleting = world.accept_delete(deployment)

    late = world.execute(deployment)

    assert late.steps == ["resolve_image"]
    assert world.left(deployment.id) == []
    assert world.read(deployment).operation == deleting.operation
