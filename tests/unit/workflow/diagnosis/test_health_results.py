from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode, NotReady
from chalicelib.workflow import readiness
from tests.support.builders import ID, MOMENT, Clock, deployment_of
from tests.unit.workflow.conftest import World, running_task, stopped_task, target

MISMATCH, TIMEOUT = "Target.ResponseCodeMismatch", "Target.Timeout"
CODES = "Health checks failed with these codes: [404]"
GRACE = 60
# Two checks of 5 s and a timeout of 4 s each.
NOTICE = 18


@pytest.fixture(autouse=True)
def clock(stopped_clock: Clock) -> Clock:
    return stopped_clock


def unhealthy(reason: str = MISMATCH, description: str = CODES, n: int = 1) -> dict[str, Any]:
    found = target("unhealthy", reason, n=n)
    found["TargetHealth"]["Description"] = description
    return found


class Watch:
    """Looks of `await_ready` at one deployment, with the evidence that the step frame keeps."""

    def __init__(self, world: World, clock: Clock, **spec: Any) -> None:
        self.world, self.clock = world, clock
        self.deployment: Deployment = deployment_of(health_check={"status": "200"}, **spec)
        self.deployment.begin_step("create_service", "1/converge/create_service/r", MOMENT, MOMENT)
        count = self.deployment.wanted_tasks
        world.tasks = [{**running_task(n), "startedAt": MOMENT} for n in range(1, count + 1)]
        assert world.service
        world.service |= {
            "runningCount": count,
            "deployments": [{"status": "PRIMARY", "runningCount": count}],
        }

    def look(self, seconds: float, *targets: dict[str, Any]) -> str:
        """Look at this second after RUNNING. Returns what the step waits for."""
        self.clock.moment = MOMENT + timedelta(seconds=seconds)
        self.world.targets = list(targets)
        with pytest.raises(NotReady) as raised:
            readiness.await_ready(self.deployment)
        self.deployment.describe_step("await_ready", str(raised.value), raised.value.evidence)
        return str(raised.value)

    def fails(self, seconds: float, *targets: dict[str, Any]) -> DeploymentFailed:
        """The failure of a look."""
        self.clock.moment = MOMENT + timedelta(seconds=seconds)
        self.world.targets = list(targets)
        with pytest.raises(DeploymentFailed) as raised:
            readiness.await_ready(self.deployment)
        return raised.value


@pytest.fixture
def watch(world: World, clock: Clock) -> Watch:
    return Watch(world, clock)


def stopped_by_ecs(second: float, n: int = 1) -> dict[str, Any]:
    """The n-th task, which ECS began to stop at this second after RUNNING."""
    return {
        **running_task(n),
        "startedAt": MOMENT,
        "desiredStatus": "STOPPED",
        "lastStatus": "DEACTIVATING",
        "stopCode": "ServiceSchedulerInitiated",
        "stoppedReason": "Task failed ELB health checks in (target-group arn:target)",
        "stoppingAt": MOMENT + timedelta(seconds=second),
    }


def event(text: str, second: float = 90.0) -> dict[str, Any]:
    message = (
        f"(service {ID}) (port 80) is unhealthy in (target-group arn:t) due to (reason {text})."
    )
    return {"message": message, "createdAt": MOMENT + timedelta(seconds=second)}


def test_the_progress_shows_the_last_status(watch: Watch) -> None:
    assert watch.look(20, unhealthy()) == "0 of 1 tasks healthy (last answer 404)"


def test_nothing_is_certain_before_the_load_balancer_can_know_that_grace_has_passed(
    watch: Watch,
) -> None:
    for second in range(15, GRACE + NOTICE, 3):
        watch.look(second, unhealthy())
    error = watch.fails(GRACE + NOTICE, unhealthy())
    assert error.code is FailureCode.HEALTH_CHECK_FAILED
    assert "404" in error.message
    assert error.evidence["target_health"] == [
        {"state": "unhealthy", "reason": MISMATCH, "description": CODES}
    ]
    assert "service_events" in error.evidence


def test_another_result_starts_the_count_again(watch: Watch) -> None:
    for second in (70, 73, 76, 79):
        watch.look(second, unhealthy(description="Health checks failed with these codes: [503]"))
    for second in (82, 90, 99):
        watch.look(second, unhealthy())
    assert "404" in watch.fails(82 + NOTICE, unhealthy()).message


def test_two_looks_are_not_enough(watch: Watch) -> None:
    watch.look(100, unhealthy())
    watch.look(160, unhealthy())
    watch.fails(161, unhealthy())


def test_a_timeout_must_last_as_long_as_a_model_may_take_to_load(watch: Watch) -> None:
    """The first request may load the model: the load balancer became active only at 150 s."""
    slow = unhealthy(TIMEOUT, "Request timed out")
    for second in range(160, 160 + GRACE, 5):
        watch.look(second, slow)
    assert "no response" in watch.fails(160 + GRACE, slow).message


def test_a_version_with_a_healthy_task_is_not_certain_to_fail(world: World, clock: Clock) -> None:
    watch = Watch(world, clock, count=2)
    for second in range(15, 400, 10):
        watch.look(second, unhealthy(), target("healthy", n=2))
    # It is healthy no longer: the cause is not the path or the port.
    for second in range(400, 500, 10):
        watch.look(second, unhealthy(), unhealthy(n=2))


def test_a_task_that_ecs_stopped_for_its_health_is_certain_at_once(watch: Watch) -> None:
    """ECS stops it after the first two checks if the load balancer became active late."""
    watch.look(160, unhealthy())
    watch.world.tasks = [stopped_by_ecs(161)]
    error = watch.fails(163)
    assert "404" in error.message
    assert error.evidence["stopped_reason"].startswith("Task failed ELB health checks")


def test_the_result_of_a_task_that_was_stopped_unseen_is_in_the_service_event(watch: Watch) -> None:
    watch.world.tasks = [stopped_by_ecs(161)]
    assert watch.world.service
    watch.world.service["events"] = [event("Health checks failed with these codes: [301]")]
    assert "301" in watch.fails(163).message


@pytest.mark.parametrize(
    "events", [[], [event("Request timed out")], [event("Something new")], [event(CODES, -60.0)]]
)
def test_without_a_certain_result_three_tasks_must_stop(
    watch: Watch, events: list[dict[str, Any]]
) -> None:
    watch.world.tasks = [stopped_by_ecs(161)]
    assert watch.world.service
    watch.world.service["events"] = events
    watch.look(163)
    others = [stopped_task(n, stoppedReason="Task failed ELB health checks") for n in (2, 3)]
    ended = {**stopped_by_ecs(161), "lastStatus": "STOPPED"}
    watch.world.tasks = [ended, *others]
    watch.fails(170)


def test_the_event_of_another_task_does_not_count(watch: Watch) -> None:
    watch.world.tasks = [stopped_by_ecs(161)]
    other = event(CODES)
    other["message"] = other["message"].replace("(port 80)", "(task 00ff) (port 80)")
    assert watch.world.service
    watch.world.service["events"] = [other]
    watch.look(163)


def test_a_task_that_ecs_stopped_before_it_had_to_answer_is_not_certain(watch: Watch) -> None:
    watch.look(GRACE, unhealthy())
    watch.world.tasks = [stopped_by_ecs(GRACE + 1)]
    watch.look(GRACE + 3)


def test_tasks_from_before_the_operation_are_not_judged(watch: Watch) -> None:
    before = MOMENT - timedelta(hours=1)
    watch.world.tasks = [{**running_task(), "createdAt": before, "startedAt": before}]
    for second in range(0, 200, 5):
        watch.look(second, unhealthy())
