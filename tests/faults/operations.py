"""The operations that the fault matrix disturbs: deploy, update, pause, resume, teardown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.domain.record import Status
from tests.faults import invariants
from tests.faults.environment import image
from tests.faults.world import Reply, World

NAME = "recommender"
BY_REQUESTS = {"min": 2, "max": 4, "metric": "requests_per_target", "target": 600}


@dataclass(frozen=True)
class Operation:
    """A caller's request, and the final status without faults.

    Attributes:
        own: patterns of the points that get faults. Some operations share most calls with an
            update and have few of their own. In a full run, all points get faults.
    """

    ask: Callable[[World], Reply]
    ends: Status
    on: str = ""
    tag: str = "1"
    own: tuple[str, ...] = ("*",)


def _create(world: World) -> Reply:
    spec = {
        "name": NAME,
        "image": image("1"),
        "tags": {"team": "a", "stage": "dev"},
        "smoke_test": {"path": "/?uid=20", "json_has": ["recommendations"]},
        "scaling": {"min": 1, "max": 3, "metric": "cpu", "target": 60},
        "certificate_arn": world.certificate,
        "domain": "recommend.example.com",
    }
    return world.create(**spec)


OPERATIONS = {
    "deploy": Operation(_create, Status.ACTIVE),
    "update": Operation(
        lambda world: world.update(
            NAME,
            image=image("2"),
            scaling=BY_REQUESTS,
            tags={"team": "b"},
            domain="moved.example.com",
        ),
        Status.ACTIVE,
        on="deploy",
        tag="2",
    ),
    "pause": Operation(
        lambda world: world.pause(NAME),
        Status.PAUSED,
        on="deploy",
        own=("pause:*", "*.CreateRule#*", "*.UpdateService#*", "finish:*"),
    ),
    "resume": Operation(
        lambda world: world.resume(NAME),
        Status.ACTIVE,
        on="pause",
        own=("resume:*", "*.UpdateService#*", "*.DeleteRule#*", "finish:*"),
    ),
    "teardown": Operation(lambda world: world.delete(NAME), Status.DELETED, on="deploy"),
}


def prepare(world: World, operation: Operation) -> None:
    """Bring the world to the operation's start."""
    if operation.on:
        before = OPERATIONS[operation.on]
        prepare(world, before)
        assert before.ask(world).status == 202
        assert world.run_until_idle(), "not idle"
        assert ended_well(world, before), invariants.Table(world).records


def ended_well(world: World, operation: Operation) -> bool:
    """Whether the world's state is the same as after the operation without faults."""
    records = list(invariants.Table(world).records.values())
    return [r.status for r in records] == [operation.ends] and (
        operation.ends is Status.DELETED
        or (records[0].spec.image == image(operation.tag) and records[0].failure is None)
    )
