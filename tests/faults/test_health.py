"""The life of deployments after they became ACTIVE, on simulated time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.store import deployments as store
from chalicelib.workflow.health.health import observe
from tests.faults import invariants
from tests.faults.environment import image, opened
from tests.faults.world import OWNERS, Point, World
from tests.support.in_process import TABLE
from tests.support.simulated_aws import containers
from tests.support.simulated_aws.account import REPOSITORY
from tests.support.simulated_aws.containers import Behaviour
from tests.support.simulated_aws.states import Killed
from tests.support.simulated_aws.weather import Fault

HOURS = 3600.0
TRACEBACK = ("Traceback (most recent call last):", "ValueError: no model")
UNHEALTHY, RECOVERED = "deployment.unhealthy", "deployment.recovered"
# What the first tasks of each deployment do, and what the later ones do.
CAUSES: dict[str, tuple[Behaviour, Behaviour]] = {
    "crash": (containers.exits(3 * HOURS, 1, TRACEBACK), containers.serves()),
    "memory": (containers.out_of_memory(3 * HOURS), containers.out_of_memory(200)),
    "hang": (containers.hangs(3 * HOURS), containers.serves()),
    "quota": (containers.exits(3 * HOURS), containers.vcpu_limit()),
    "digest": (containers.exits(3 * HOURS), containers.missing_image()),
}


@pytest.fixture
def world() -> Iterator[World]:
    with opened() as opened_world:
        yield opened_world


@dataclass(frozen=True)
class Life:
    """A deployment that has lived with a cause for six hours: its record, and its changes."""

    record: Deployment
    changes: list[tuple[float, str, str]]


@pytest.fixture(scope="module")
def lives() -> dict[str, Life]:
    with opened() as opened_world:
        ids = {name: _request(opened_world, name, first) for name, (first, _) in CAUSES.items()}
        assert opened_world.run_until_idle()
        for name, (_, later) in CAUSES.items():
            assert _record(ids[name]).status == "ACTIVE"
            _let(opened_world, ids[name], later)
        opened_world.run_for(6 * HOURS)
        assert invariants.broken(opened_world) == []
        return {name: Life(_record(each), _changes(each)) for name, each in ids.items()}


def _request(world: World, name: str, behaviour: Behaviour, **spec: Any) -> str:
    world.account.containers.set(world.account.push(name), behaviour)
    reply = world.create(name=name, image=image(name), **spec)
    assert reply.status == 202, reply
    return str(reply.body["id"])


def _deploy(world: World, behaviour: Behaviour | None = None, **spec: Any) -> str:
    """Deploys an image whose first tasks behave like this. Later tasks serve."""
    deployment = _request(world, "watched", behaviour or containers.serves(), **spec)
    assert world.run_until_idle()
    assert _record(deployment).status == "ACTIVE"
    _let(world, deployment, containers.serves())
    return deployment


def _let(world: World, deployment_id: str, behaviour: Behaviour) -> None:
    """Sets the behaviour of the tasks that start from now on."""
    digest = _record(deployment_id).image.digest
    assert digest
    world.account.containers.set(digest, behaviour)


def _scale(world: World, deployment_id: str, count: int) -> None:
    """Sets the desired count, as a scaling policy does."""
    world.account.client("ecs").update_service(
        cluster=deployment_id, service=deployment_id, desiredCount=count
    )


def _record(deployment_id: str) -> Deployment:
    record = store.get(deployment_id)
    assert record
    return record


def _changes(deployment_id: str) -> list[tuple[float, str, str]]:
    """(seconds, type, message) of the events of health."""
    events, _ = store.list_events(deployment_id, limit=1000, after=0)
    kinds = (UNHEALTHY, RECOVERED)
    first = events[0].at
    return [
        ((each.at - first).total_seconds(), str(each.type), each.message)
        for each in events
        if each.type in kinds
    ]


def _kinds(deployment_id: str) -> list[str]:
    return [kind for _, kind, _ in _changes(deployment_id)]


def _published(world: World, kind: str) -> list[dict[str, Any]]:
    bodies = [json.loads(i["published"]) for i in world.account.items(TABLE) if "published" in i]
    return [body["data"] for body in bodies if body["type"] == kind]


# --- causes ------------------------------------------------------------------------------


def test_a_crash_after_three_hours_is_reported_within_a_minute_and_recovers(world: World) -> None:
    deployment = _deploy(world, CAUSES["crash"][0])
    (task,) = world.account.fargate.tasks.all.values()
    edition = _record(deployment).edition

    world.run_for(4 * HOURS)

    (unhealthy, kind, why), (recovered, end, _) = _changes(deployment)
    assert (kind, end) == (UNHEALTHY, RECOVERED)
    assert task.stopped_at and task.stopped_at < unhealthy < task.stopped_at + 60
    assert unhealthy < recovered < unhealthy + 120
    assert "The container exited with exit code 1. Last log line: ValueError: no model." in why
    (body,) = _published(world, UNHEALTHY)
    health = body["deployment"]["health"]
    assert (health["status"], health["running"], health["wanted"]) == ("down", 0, 1)
    assert health["failure"]["code"] == "CONTAINER_EXITED"
    assert body["deployment"]["usd_per_hour"] > 0
    record = _record(deployment)
    assert record.health and record.health.status == "healthy" and record.health.failure is None
    assert record.edition == edition
    assert invariants.broken(world) == []


def test_a_container_that_is_killed_for_memory_again_and_again(lives: dict[str, Life]) -> None:
    record = lives["memory"].record
    assert record.health and record.health.status in ("degraded", "down")
    assert record.health.failure and record.health.failure.code == "OUT_OF_MEMORY"
    assert record.health.failure.evidence["exit_code"] == 137
    assert 2 < len(lives["memory"].changes) < 20
    assert record.failure is None and record.status == "ACTIVE"


def test_a_model_that_hangs(lives: dict[str, Life]) -> None:
    (_, kind, why), (_, end, _) = lives["hang"].changes
    assert (kind, end) == (UNHEALTHY, RECOVERED)
    assert "had no response within 4 s" in why


def test_a_quota_that_prevents_the_replacement(lives: dict[str, Life]) -> None:
    record = lives["quota"].record
    assert record.health and (record.health.status, record.health.running) == ("down", 0)
    assert record.health.failure and record.health.failure.code == "AWS_QUOTA_EXCEEDED"
    assert "vCPU" in record.health.failure.message
    assert [kind for _, kind, _ in lives["quota"].changes] == [UNHEALTHY]


def test_a_digest_that_ecr_no_longer_has_prevents_the_replacement(lives: dict[str, Life]) -> None:
    record = lives["digest"].record
    assert record.health and record.health.failure
    failure = record.health.failure
    assert failure.code == "IMAGE_NOT_FOUND"
    assert f"no longer has {record.image.digest}" in failure.message
    assert "Push the same image again" in failure.hint
    assert "not found" in failure.evidence["stopped_reason"]


def test_one_of_two_tasks_is_degraded(world: World) -> None:
    deployment = _deploy(world, containers.serves(), count=2)
    task = next(iter(world.account.fargate.tasks.all.values()))
    world.account.fargate.tasks.exit_now(task, 1)

    world.run_for(120)

    (_, kind, why), (_, end, _) = _changes(deployment)
    assert (kind, end) == (UNHEALTHY, RECOVERED)
    assert why.startswith("degraded: 1 of 2 tasks serve.")


def test_a_task_that_a_person_stopped(world: World) -> None:
    deployment = _deploy(world)
    (task,) = world.account.fargate.tasks.all.values()
    world.account.client("ecs").stop_task(cluster=deployment, task=task.arn, reason="by Ann")

    world.run_for(300)

    assert _kinds(deployment) == [UNHEALTHY, RECOVERED]
    assert "A person or a script stopped a task: by Ann." in _changes(deployment)[0][2]


def test_a_service_that_a_person_scaled_to_0_is_repaired(world: World) -> None:
    deployment = _deploy(world)
    _scale(world, deployment, 0)

    assert world.run_until_idle()

    record = _record(deployment)
    assert record.health and (record.health.status, record.health.running) == ("healthy", 1)
    assert record.operation.kind == "repair"
    assert _kinds(deployment) in ([], [UNHEALTHY, RECOVERED])


def test_a_load_balancer_that_a_person_deleted_is_not_a_slow_start(world: World) -> None:
    deployment = _deploy(world)
    elbv2 = world.account.client("elbv2")
    (balancer,) = elbv2.describe_load_balancers(Names=[deployment])["LoadBalancers"]
    elbv2.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])

    seen = observe(_record(deployment))

    assert (seen.status, seen.running) == ("down", 0)
    assert seen.failure and seen.failure.code == "NETWORK_MISCONFIGURED"
    assert "the load balancer sends it no requests" in seen.failure.message
    assert world.run_until_idle()
    health = _record(deployment).health
    assert health and health.status == "healthy"


# --- what is no failure --------------------------------------------------------------------


def test_scaling_out_and_in_is_no_failure(world: World) -> None:
    scaling = {"min": 1, "max": 4, "metric": "cpu", "target": 60}
    deployment = _deploy(world, containers.slow_start(50), scaling=scaling)
    for count in (4, 1, 3, 2):
        _scale(world, deployment, count)
        world.run_for(400)
        health = _record(deployment).health
        assert health and health.status == "healthy"
    assert _changes(deployment) == []
    world.run_for(900)
    health = _record(deployment).health
    assert health and (health.running, health.wanted) == (2, 2)


def test_a_scale_out_is_no_failure_before_ecs_has_started_a_task(world: World) -> None:
    scaling = {"min": 1, "max": 4, "metric": "cpu", "target": 60}
    deployment = _deploy(world, scaling=scaling)
    world.run_for(120)
    _scale(world, deployment, 3)
    seen = observe(_record(deployment))
    assert (seen.status, seen.running, seen.wanted) == ("healthy", 1, 3)
    assert not seen.is_settled


def test_a_crash_during_a_scale_out_is_a_failure(world: World) -> None:
    scaling = {"min": 1, "max": 4, "metric": "cpu", "target": 60}
    deployment = _deploy(world, scaling=scaling)
    world.run_for(120)
    (task,) = world.account.fargate.tasks.all.values()
    world.account.fargate.tasks.exit_now(task, 1)
    _scale(world, deployment, 3)
    seen = observe(_record(deployment))
    assert (seen.status, seen.running, seen.wanted) == ("down", 0, 3)


def test_a_task_that_ecs_does_not_start_by_the_next_check_is_missing(world: World) -> None:
    scaling = {"min": 1, "max": 4, "metric": "cpu", "target": 60}
    deployment = _deploy(world, scaling=scaling)
    world.run_for(120)
    _let(world, deployment, containers.vcpu_limit())
    _scale(world, deployment, 2)
    world.run_for(20 * 60)
    health = _record(deployment).health
    assert health and (health.status, health.running, health.wanted) == ("degraded", 1, 2)
    assert health.failure and health.failure.code == "AWS_QUOTA_EXCEEDED"


def test_an_update_is_no_failure(world: World) -> None:
    deployment = _deploy(world, count=2)
    world.update(deployment, image=image("2"))
    assert world.run_until_idle()
    world.run_for(1800)
    assert _changes(deployment) == []
    assert world.account.answers(deployment)


def test_a_crash_during_an_operation_is_the_operations_business(world: World) -> None:
    deployment = _deploy(world, count=2)
    world.update(deployment, tags={"team": "b"})
    world.run_for(3)
    task = next(iter(world.account.fargate.tasks.all.values()))
    world.account.fargate.tasks.exit_now(task, 1)
    assert _record(deployment).is_running

    assert world.run_until_idle()

    record = _record(deployment)
    assert (record.status, record.operation.status) == ("ACTIVE", "succeeded")
    assert record.health and record.health.status == "healthy"


# --- the function --------------------------------------------------------------------------


def test_every_deployment_is_checked_every_fifteen_minutes(world: World) -> None:
    deployment = _deploy(world)
    for _ in range(8):
        world.run_for(15 * 60)
        health = _record(deployment).health
        assert health and health.checked_at
        assert (world.clock.now() - health.checked_at).total_seconds() <= 15 * 60


def test_a_check_reads_elbv2_once(world: World) -> None:
    _deploy(world)
    world.run_for(30 * 60)
    world.account.calls.clear()

    world.run_for(60 * 60)

    calls = [m.call.name for m in world.account.calls if m.caller == "health"]
    assert 4 <= calls.count("elbv2.DescribeTargetHealth") <= 5
    assert [name for name in calls if name.startswith("elbv2")] == [
        "elbv2.DescribeTargetHealth"
    ] * calls.count("elbv2.DescribeTargetHealth")


def test_a_task_of_another_program_costs_one_read(world: World) -> None:
    cluster = "arn:aws:ecs:us-east-1:123456789012:cluster/shop-abcdef"
    event = {"source": "aws.ecs", "detail": {"clusterArn": cluster, "group": "service:shop"}}
    world.account.calls.clear()

    world.check_health(event)

    assert [made.call.name for made in world.account.calls] == ["dynamodb.GetItem"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_function_that_dies_at_any_write_loses_nothing(world: World, when: str) -> None:
    deployment = _deploy(world, CAUSES["quota"][0])
    _let(world, deployment, CAUSES["quota"][1])
    killed: list[str] = []

    def kill(point: Point) -> None:
        is_write = point.invocation.label == "health" and point.mutating
        if is_write and point.when == when and len(killed) < 2:
            killed.append(point.label)
            raise Killed

    world.run_for(3 * HOURS - world.clock.seconds())  # until shortly before the crash
    world.interference = kill
    world.run_for(600)

    assert len(killed) == 2
    assert _kinds(deployment) == [UNHEALTHY]
    assert invariants.broken(world) == []


@pytest.mark.parametrize("call", ["elbv2.DescribeTargetHealth", "ecs.ListTasks", "dynamodb.*"])
def test_a_function_that_aws_throttles_loses_nothing(world: World, call: str) -> None:
    deployment = _deploy(world, CAUSES["quota"][0])
    _let(world, deployment, CAUSES["quota"][1])
    world.run_for(3 * HOURS - world.clock.seconds())  # until shortly before the crash
    world.account.weather.plan(Fault("throttled", call, times=3))

    world.run_for(600)

    assert _kinds(deployment) == [UNHEALTHY]


def test_an_event_that_is_delivered_twice_tells_once(world: World) -> None:
    deployment = _deploy(world, CAUSES["crash"][0])

    def twice(point: Point) -> None:
        point.invocation.again = point.invocation.label == "health"

    world.interference = twice
    world.run_for(4 * HOURS)

    assert _kinds(deployment) == [UNHEALTHY, RECOVERED]


def test_an_operation_that_begins_during_a_check_drops_its_result(world: World) -> None:
    deployment = _deploy(world, CAUSES["crash"][0])

    def pause(point: Point) -> None:
        if point.invocation.label == "health" and "DescribeTargetHealth" in point.label:
            world.interference = lambda point: None
            assert world.pause(deployment, OWNERS[0]).status == 202

    world.run_for(3 * HOURS - world.clock.seconds())  # until shortly before the crash
    world.interference = pause
    world.run_for(600)

    record = _record(deployment)
    assert record.status == "PAUSED"
    assert _changes(deployment) == []
    assert record.health is None and record.health_due_at is None


# --- the digest ----------------------------------------------------------------------------


def test_a_resume_says_that_the_digest_is_gone(world: World) -> None:
    deployment = _deploy(world)
    world.pause(deployment)
    assert world.run_until_idle()
    digest = _record(deployment).image.digest
    world.account.raw("ecr").batch_delete_image(
        repositoryName=REPOSITORY, imageIds=[{"imageDigest": digest}]
    )
    world.resume(deployment)
    assert world.run_until_idle()

    record = _record(deployment)
    assert (record.status, record.operation.status) == ("PAUSED", "rolled_back")
    assert record.failure and record.failure.code == "IMAGE_NOT_FOUND"
    assert f"no longer has {digest}" in record.failure.message
    assert invariants.broken(world) == []
