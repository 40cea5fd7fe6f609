"""The log lines of a failed create outlive its log group, whatever happens during the teardown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.store import kept_logs
from chalicelib.workflow.diagnosis.diagnosis import CRASH_LOOP
from tests.faults.environment import image, opened
from tests.faults.invariants import Table, broken
from tests.faults.world import Point, World
from tests.support.simulated_aws import containers
from tests.support.simulated_aws.states import Killed
from tests.support.simulated_aws.weather import Fault

# They do not say why the container exits, so Slipway waits for three of them.
CRASHES, LINES = "crashes", ("Loading the model", "It ends.")


@pytest.fixture
def world() -> Iterator[World]:
    with opened() as made:
        made.account.push(CRASHES, containers.exits(after=2.0, logs=LINES))
        yield made


def kept(world: World) -> list[str]:
    """The kept messages of the only deployment, whose create has failed and is torn down."""
    world.create(name="recommender", image=image(CRASHES))
    assert world.run_until_idle()
    assert broken(world) == []
    (record,) = Table(world).records.values()
    assert (record.status, world.account.left(record.id)) == ("FAILED", [])
    return [event["message"] for event in kept_logs.find(record.id)]


def test_the_lines_of_every_task_are_kept(world: World) -> None:
    assert kept(world) == list(LINES * CRASH_LOOP)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "call",
    [
        "delete_log_group:logs.FilterLogEvents#1",
        "delete_log_group:dynamodb.TransactWriteItems#2",
        "delete_log_group:logs.DeleteLogGroup#1",
    ],
)
def test_a_function_that_dies_loses_no_line(world: World, call: str, when: str) -> None:
    died: list[str] = []

    def kill(point: Point) -> None:
        if point.label == call and point.when == when and not died:
            died.append(call)
            raise Killed

    world.interference = kill
    assert kept(world) == list(LINES * CRASH_LOOP)
    assert died


def test_a_teardown_ends_without_the_lines_if_aws_denies_them(world: World) -> None:
    world.account.weather.plan(Fault("logs.FilterLogEvents", "denied", times=10**6))
    assert kept(world) == []
