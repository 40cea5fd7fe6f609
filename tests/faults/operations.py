"""The operations that the fault matrix disturbs: deploy, update, teardown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.deployments.record import Status
from tests.faults import invariants
from tests.faults.environment import image
from tests.faults.world import Reply, World

NAME = "recommender"


@dataclass(frozen=True)
class Operation:
    """What a caller asks for, and the status that it ends in where nothing goes wrong."""

    ask: Callable[[World], Reply]
    ends: Status
    on: str = ""
    tag: str = "1"


def _create(world: World) -> Reply:
    spec = {
        "name": NAME,
        "image": image("1"),
        "tags": {"team": "a", "stage": "dev"},
        "smoke_test": {"path": "/?uid=20", "json_has": ["recommendations"]},
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
            count=2,
            tags={"team": "b"},
            domain="moved.example.com",
        ),
        Status.ACTIVE,
        on="deploy",
        tag="2",
    ),
    "teardown": Operation(lambda world: world.delete(NAME), Status.DELETED, on="deploy"),
}


def prepare(world: World, operation: Operation) -> None:
    """Brings the world to where the operation begins."""
    if operation.on:
        before = OPERATIONS[operation.on]
        assert before.ask(world).status == 202
        assert world.run_until_idle(), "not idle"
        assert ended_well(world, before), invariants.Table(world).records


def ended_well(world: World, operation: Operation) -> bool:
    """Whether the world is as it is after the operation when nothing went wrong."""
    records = list(invariants.Table(world).records.values())
    return [r.status for r in records] == [operation.ends] and (
        operation.ends is Status.DELETED
        or (records[0].spec.image == image(operation.tag) and records[0].failure is None)
    )
