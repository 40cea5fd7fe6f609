"""Requests that take as long as `request_timeout` allows are not cut, on the simulated clock.

One request a second starts at each task that the load balancer may choose. A request is cut if the
container ends before it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.faults.environment import image, opened
from tests.faults.world import World

SECONDS = 20
BEFORE = SECONDS + 5


@dataclass
class Callers:
    """Clients of all tasks.

    Attributes:
        started: task ARN -> when its requests started, in simulated seconds.
        ended: task ARN -> when its container ended.
    """

    world: World
    started: dict[str, list[float]] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)

    def call_for(self, seconds: int) -> None:
        """Start requests for this time."""
        for _ in range(seconds):
            self.world.account.timeline.catch_up()
            now = self.world.clock.seconds()
            healthy = {
                address
                for group in self.world.account.load_balancers.targets.groups.values()
                for (address, _), target in group.targets.items()
                if target.health.state == "healthy"
            }
            for arn, task in self.world.account.fargate.tasks.all.items():
                if task.exited:
                    self.ended.setdefault(arn, now)
                elif task.interface.address in healthy:
                    self.started.setdefault(arn, []).append(now)
            self.world.run_for(1.0)

    def cut(self, seconds: float) -> int:
        """The number of requests of this length whose container ended first."""
        return sum(
            start + seconds > ended
            for arn, ended in self.ended.items()
            for start in self.started.get(arn, [])
        )


def serving(world: World, **spec: object) -> Callers:
    """A deployment that serves requests, and its callers."""
    fields = {"request_timeout": SECONDS, "image": image("1"), **spec}
    assert world.create(name="model", **fields).status == 202
    assert world.run_until_idle()
    callers = Callers(world)
    callers.call_for(BEFORE)
    return callers


@pytest.mark.parametrize(
    "change",
    [
        lambda world: world.update("model", image=image("2")),
        lambda world: world.update("model", count=1),
        lambda world: world.pause("model"),
        # The longer value counts for the tasks that are replaced.
        lambda world: world.update("model", request_timeout=SECONDS + 10),
        lambda world: world.update("model", request_timeout=1),
    ],
    ids=["update", "scale-in", "pause", "a longer request_timeout", "a shorter one"],
)
def test_no_request_is_cut(change: Callable[[World], object]) -> None:
    with opened() as world:
        callers = serving(world, count=3)
        change(world)
        callers.call_for(300)
        assert callers.ended, "no task was stopped"
        assert sum(map(len, callers.started.values())) > 3 * BEFORE
        assert callers.cut(SECONDS) == 0


def test_the_count_finds_cut_requests() -> None:
    with opened() as world:
        callers = serving(world)
        world.update("model", image=image("2"))
        callers.call_for(300)
        assert callers.cut(SECONDS + 10) > 0


def test_a_delete_does_not_wait_for_open_requests() -> None:
    with opened() as world:
        callers = serving(world, request_timeout=3500)
        began = world.clock.seconds()
        world.delete("model")
        callers.call_for(60)
        assert [ended - began < 10 for ended in callers.ended.values()] == [True]


def test_a_pause_waits_for_the_longest_requests() -> None:
    with opened() as world:
        serving(world, request_timeout=3500)
        began = world.clock.seconds()
        world.pause("model")
        world.run_for(3490)
        reply = world.ask("get", "team-a", "model")
        assert reply.body["status"] == "UPDATING"
        assert world.run_until_idle()
        assert world.ask("get", "team-a", "model").body["status"] == "PAUSED"
        assert world.clock.seconds() > began + 3500


def test_a_shorter_request_timeout_waits_for_the_requests_of_the_previous_tasks() -> None:
    with opened() as world:
        serving(world, request_timeout=1800)
        began = world.clock.seconds()
        world.update("model", request_timeout=1)
        assert world.run_until_idle()
        reply = world.ask("get", "team-a", "model")
        assert (reply.body["status"], reply.body["outcome"]) == ("ACTIVE", "succeeded")
        assert world.clock.seconds() > began + 1800
