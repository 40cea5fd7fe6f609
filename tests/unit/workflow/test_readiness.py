from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode, NotReady, StillProvisioning
from chalicelib.domain.parts import Resource
from chalicelib.workflow import readiness
from tests.support.builders import ID, MOMENT, Clock, deployment_of, rolling_back, without_tasks
from tests.unit.workflow.conftest import World, running_task, stopped_task, target


@pytest.fixture(autouse=True)
def clock(stopped_clock: Clock) -> Clock:
    return stopped_clock


def waiting(deployment: Deployment | None = None, **fields: Any) -> Deployment:
    deployment = deployment or deployment_of(**fields)
    deployment.record_resource(Resource(kind="load_balancer", name=ID, arn="arn:lb"), MOMENT)
    return deployment


def test_a_healthy_deployment_is_ready_and_has_its_url(world: World) -> None:
    deployment = waiting()
    outcome = readiness.await_ready(deployment)
    assert outcome.message == "1 task(s) healthy"
    assert outcome.change is not None
    outcome.change(deployment)
    assert deployment.url == "http://lb.example"


def test_a_deployment_without_desired_tasks_is_ready_immediately(world: World) -> None:
    world.service, world.targets, world.tasks = service(0, 0), [], []
    assert readiness.await_ready(waiting(without_tasks())).message == "0 task(s) healthy"


def test_without_desired_tasks_the_old_tasks_must_have_stopped(world: World) -> None:
    world.service, world.targets = service(0, 0), []
    world.tasks = [{**running_task(), "desiredStatus": "STOPPED", "lastStatus": "DEACTIVATING"}]
    paused = waiting()
    paused.paused = True
    with pytest.raises(NotReady, match=r"waiting for 1 task\(s\) to stop"):
        readiness.await_ready(paused)
    world.tasks[0]["lastStatus"] = "STOPPED"
    assert readiness.await_ready(paused).message == "0 task(s) healthy"


def test_a_young_load_balancer_is_checked_rarely(world: World, clock: Clock) -> None:
    world.state = "provisioning"
    clock.advance(seconds=84)
    with pytest.raises(StillProvisioning, match="provisioning"):
        readiness.await_ready(waiting())


def test_an_older_load_balancer_is_checked_often(world: World, clock: Clock) -> None:
    world.state = "provisioning"
    clock.advance(seconds=85)
    with pytest.raises(NotReady, match="provisioning"):
        readiness.await_ready(waiting())


def test_a_load_balancer_without_a_recorded_start_is_checked_often(world: World) -> None:
    world.state = "provisioning"
    with pytest.raises(NotReady):
        readiness.await_ready(deployment_of())


def test_an_impaired_load_balancer_serves(world: World) -> None:
    world.state = "active_impaired"
    readiness.await_ready(waiting())


def test_a_load_balancer_that_fails_to_provision_is_a_failure(world: World) -> None:
    world.state, world.reason = "failed", "no free addresses"
    with pytest.raises(DeploymentFailed, match="no free addresses") as raised:
        readiness.await_ready(waiting())
    assert raised.value.code is FailureCode.CAPACITY_UNAVAILABLE


def service(primary: int, running: int, **fields: Any) -> dict[str, Any]:
    deployments = [
        {"status": "ACTIVE", "runningCount": running - primary},
        {"status": "PRIMARY", "runningCount": primary},
    ]
    return {
        "status": "ACTIVE",
        "runningCount": running,
        "deployments": deployments,
        "taskDefinition": f"arn:task-definition/{ID}:1",
        **fields,
    }


@pytest.mark.parametrize(
    ("found", "targets", "words"),
    [
        (None, [], "the service is not active yet"),
        (service(2, 2, status="DRAINING"), [], "the service is not active yet"),
        (service(0, 0), [], "0 of 2 tasks running"),
        # Two tasks run, but of the previous version.
        (service(0, 2), ["healthy"] * 2, "0 of 2 tasks running"),
        (service(2, 3), ["healthy"] * 2, "waiting for 1 task(s) to stop"),
        (service(2, 2), ["healthy", "initial"], "1 of 2 tasks healthy"),
        (service(2, 2), ["healthy"] * 3, "waiting for 1 target(s) to deregister"),
    ],
)
def test_the_message_says_what_the_step_waits_for(
    world: World, found: dict[str, Any] | None, targets: list[str], words: str
) -> None:
    world.service = found
    world.targets = [target(state, n=n) for n, state in enumerate(targets)]
    world.tasks = [running_task(n) for n in range(2)]
    with pytest.raises(NotReady) as raised:
        readiness.await_ready(waiting(count=2))
    assert words in str(raised.value)


def test_draining_targets_of_the_previous_version_do_not_count(world: World) -> None:
    leaving = target("draining", "Target.DeregistrationInProgress", n=2)
    world.targets = [target("healthy"), leaving]
    readiness.await_ready(waiting())


def test_a_healthy_target_of_the_previous_version_does_not_count(world: World) -> None:
    world.service = service(1, 1, taskDefinition=f"arn:task-definition/{ID}:2")
    world.tasks = [running_task(1, revision=1), running_task(2, revision=2)]
    world.targets = [target("healthy", n=1), target("initial", "Elb.RegistrationInProgress", n=2)]
    with pytest.raises(NotReady, match="0 of 1 tasks healthy"):
        readiness.await_ready(waiting())


def test_the_message_says_why_a_target_is_unhealthy(world: World) -> None:
    world.targets = [target("unhealthy", "Target.ResponseCodeMismatch")]
    with pytest.raises(NotReady, match=r"0 of 1 tasks healthy \(Target.ResponseCodeMismatch\)"):
        readiness.await_ready(waiting())


def test_the_third_task_that_stops_by_itself_is_a_crash_loop(world: World) -> None:
    world.service = service(0, 0)
    world.tasks = [stopped_task(1), stopped_task(2)]
    with pytest.raises(NotReady):
        readiness.await_ready(waiting())
    world.tasks.append(stopped_task(3))
    with pytest.raises(DeploymentFailed) as raised:
        readiness.await_ready(waiting())
    assert raised.value.code is FailureCode.CONTAINER_EXITED


def test_a_crash_loop_is_a_failure_during_provisioning(world: World) -> None:
    world.state = "provisioning"
    world.tasks = [stopped_task(n) for n in range(3)]
    with pytest.raises(DeploymentFailed):
        readiness.await_ready(waiting())


def test_tasks_of_the_failed_version_do_not_fail_the_rollback(world: World, clock: Clock) -> None:
    turned = MOMENT + timedelta(minutes=5)
    deployment = rolling_back(turned)
    clock.advance(minutes=6)
    for name in ("create_service", "await_ready"):
        deployment.begin_step(name, f"2/rollback/{name}/r", turned, turned)
    world.service = service(1, 1, taskDefinition=f"arn:task-definition/{ID}:3")
    crashed = {
        "createdAt": MOMENT + timedelta(minutes=2),
        "stoppedAt": MOMENT + timedelta(minutes=3),
        "taskDefinitionArn": f"arn:task-definition/{ID}:2",
    }
    world.tasks = [running_task(1, 3), *(stopped_task(n, **crashed) for n in range(3))]
    assert readiness.await_ready(deployment).message == "1 task(s) healthy"


# --- a service with autoscaling ------------------------------------------------------------

SCALING = {"min": 2, "max": 4, "metric": "cpu", "target": 60}


def scaled_to(world: World, count: int) -> Deployment:
    """A deployment of 2 to 4 tasks whose service runs `count` healthy tasks."""
    numbers = range(1, count + 1)
    world.service = service(count, count, desiredCount=count)
    world.targets = [target("healthy", n=n) for n in numbers]
    world.tasks = [running_task(n) for n in numbers]
    return waiting(scaling=SCALING)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_any_number_of_tasks_within_the_bounds_is_ready(world: World, count: int) -> None:
    readiness.await_ready(scaled_to(world, count))


def test_a_service_that_scales_out_is_ready(world: World) -> None:
    deployment = scaled_to(world, 3)
    assert world.service
    world.service["desiredCount"] = 4
    world.targets[2] = target("initial", n=3)
    readiness.await_ready(deployment)


@pytest.mark.parametrize(
    ("count", "words"), [(1, "1 of 2 tasks running"), (5, r"waiting for 1 task\(s\) to stop")]
)
def test_a_number_of_tasks_outside_the_bounds_is_not_ready(
    world: World, count: int, words: str
) -> None:
    with pytest.raises(NotReady, match=words):
        readiness.await_ready(scaled_to(world, count))


def test_the_previous_version_must_be_gone_even_within_the_bounds(world: World) -> None:
    deployment = scaled_to(world, 2)
    world.service = service(2, 3)
    with pytest.raises(NotReady, match=r"waiting for 1 task\(s\) to stop"):
        readiness.await_ready(deployment)
    world.service = service(2, 2)
    world.targets.append(target("healthy", n=3))
    with pytest.raises(NotReady, match=r"waiting for 1 target\(s\) to deregister"):
        readiness.await_ready(deployment)
