"""The life of a deployment after it became ACTIVE, on simulated time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.store import deployments as store
from tests.faults.environment import image, opened
from tests.faults.world import World
from tests.support.simulated_aws import containers
from tests.support.simulated_aws.containers import Behaviour

HOURS = 3600.0


@pytest.fixture
def world() -> Iterator[World]:
    with opened() as opened_world:
        yield opened_world


def _deploy(world: World, behaviour: Behaviour | None = None, **spec: Any) -> str:
    """Deploys an image whose first tasks behave like this. Later tasks serve."""
    digest = world.account.push("watched", behaviour or containers.serves())
    reply = world.create(name="watched", image=image("watched"), **spec)
    assert reply.status == 202, reply
    assert world.run_until_idle()
    assert _record(reply.body["id"]).status == "ACTIVE"
    world.account.containers.set(digest, containers.serves())
    return str(reply.body["id"])


def _record(deployment_id: str) -> Deployment:
    record = store.get(deployment_id)
    assert record
    return record


def _changes(deployment_id: str) -> list[tuple[float, str]]:
    """(seconds, type) of the events of health."""
    events, _ = store.list_events(deployment_id, limit=1000, after=0)
    first = events[0].at
    kinds = ("deployment.unhealthy", "deployment.recovered")
    return [((e.at - first).total_seconds(), str(e.type)) for e in events if e.type in kinds]


def test_a_crash_after_three_hours_is_reported_within_a_minute_and_recovers(world: World) -> None:
    crash = containers.exits(3 * HOURS, 1, ("Traceback", "ValueError: no model"))
    deployment = _deploy(world, crash)
    (task,) = world.account.fargate.tasks.all.values()

    world.run_for(4 * HOURS)

    (unhealthy, kind), (recovered, end) = _changes(deployment)
    assert (kind, end) == ("deployment.unhealthy", "deployment.recovered")
    assert task.stopped_at and task.stopped_at < unhealthy < task.stopped_at + 60
    assert unhealthy < recovered < unhealthy + 120
    health = _record(deployment).health
    assert health and (health.status, health.running, health.wanted) == ("healthy", 1, 1)
    assert health.failure is None
