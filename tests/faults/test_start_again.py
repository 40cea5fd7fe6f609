"""A PATCH of a FAILED deployment, as whole operations: it is created again, or rolled out again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.domain.deployment import Deployment
from tests.faults.environment import image, opened
from tests.faults.invariants import Table, broken
from tests.faults.world import World
from tests.support.simulated_aws import containers
from tests.support.simulated_aws.weather import Fault

NAME, CRASHES, DOMAINS = "recommender", "crashes", ("a.example.com", "b.example.com")


@pytest.fixture
def world() -> Iterator[World]:
    with opened() as made:
        made.account.push(CRASHES, containers.exits(after=2.0))
        yield made


def settled(world: World) -> Deployment:
    """The only record, after everything has ended."""
    assert world.run_until_idle()
    assert broken(world) == []
    (record,) = Table(world).records.values()
    return record


def state(record: Deployment) -> tuple[str, str, str | None, int | None]:
    return (
        record.status,
        record.operation.kind,
        record.outcome,
        record.outcome_generation,
    )


def fail_to_create(world: World, on_failure: str) -> Deployment:
    """A create whose container crashes."""
    world.create(
        name=NAME,
        image=image(CRASHES),
        on_failure=on_failure,
        certificate_arn=world.certificate,
        domain=DOMAINS[0],
        tags={"team": "a"},
    )
    record = settled(world)
    assert state(record) == ("FAILED", "create", "failed", 1)
    assert bool(world.account.left(record.id)) == (on_failure == "keep")
    return record


@pytest.mark.parametrize("on_failure", ["teardown", "keep"])
def test_a_failed_create_is_created_again_with_the_changes(world: World, on_failure: str) -> None:
    before = fail_to_create(world, on_failure)

    changes = {"image": image("2"), "count": 2, "domain": DOMAINS[1], "tags": {"team": "b"}}
    reply = world.update(NAME, **changes)

    assert (reply.status, reply.body["status"], reply.body["failure"]) == (202, "CREATING", None)
    assert (reply.body["outcome"], reply.body["outcome_generation"]) == (None, 2)
    record = settled(world)
    assert state(record) == ("ACTIVE", "create", "succeeded", 2)
    assert record.id == before.id
    assert (record.spec.image, record.spec.count, record.spec.tags) == (
        image("2"),
        2,
        {"team": "b"},
    )
    assert record.url == f"https://{DOMAINS[1]}"


def test_a_create_that_fails_again_is_torn_down_again(world: World) -> None:
    fail_to_create(world, "keep")

    assert world.update(NAME, on_failure="teardown").status == 202

    record = settled(world)
    assert state(record) == ("FAILED", "create", "failed", 2)
    assert world.account.left(record.id) == []


def test_a_deployment_that_served_is_updated(world: World) -> None:
    """AWS refused its update, and the rollback too."""
    world.create(name=NAME, image=image("1"))
    assert settled(world).status == "ACTIVE"
    world.account.weather.plan(Fault("elbv2.DescribeLoadBalancers", "denied", times=10**6))
    world.update(NAME, image=image("2"))
    assert world.run_until_idle()
    (failed,) = Table(world).records.values()
    assert state(failed) == ("FAILED", "update", "failed", 2)
    world.account.weather.clear()

    reply = world.update(NAME, image=image("2"))

    assert (reply.status, reply.body["status"]) == (202, "UPDATING")
    record = settled(world)
    assert state(record) == ("ACTIVE", "update", "succeeded", 3)
    assert record.spec.image == image("2")


def test_of_a_retry_and_a_change_at_the_same_time_one_is_refused(world: World) -> None:
    fail_to_create(world, "teardown")

    replies = [world.update(NAME, image=image("2")), world.retry(NAME), world.update(NAME, port=81)]

    assert [reply.status for reply in replies] == [202, 409, 409]
    assert state(settled(world)) == ("ACTIVE", "create", "succeeded", 2)


def test_a_delete_supersedes_the_second_create(world: World) -> None:
    fail_to_create(world, "teardown")
    world.update(NAME, image=image("2"))
    world.run_for(60)

    world.delete(NAME)

    assert state(settled(world)) == ("DELETED", "delete", "succeeded", 3)
