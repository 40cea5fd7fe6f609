"""How long a failure takes until it is in the record, on the simulated clock.

`python -m tests.faults.report_times` prints the table for several draws of AWS's times.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.platform.settings import settings
from tests.faults.environment import image, opened
from tests.faults.world import World
from tests.support.simulated_aws import containers
from tests.support.simulated_aws.account import REPOSITORY
from tests.support.simulated_aws.containers import Behaviour

SEEDS = (0, 1, 2, 3, 15)
STRICT = {"status": "200"}


@dataclass(frozen=True)
class Scenario:
    """An image that does not serve.

    Attributes:
        health_check: members of the request's `health_check`.
        soon: the health checks are enough to be certain at the first task.
    """

    title: str
    behaviour: Behaviour
    health_check: dict[str, Any] = field(default_factory=lambda: STRICT)
    soon: bool = True


SCENARIOS = (
    Scenario("wrong path: 404", containers.answers(200, health=404), {**STRICT, "path": "/health"}),
    Scenario("wrong port: connection refused", containers.listens_on(8080)),
    Scenario("rejected host: 400", containers.answers(400)),
    Scenario("redirect: 301", containers.answers(301)),
    Scenario("error: 500", containers.answers(500)),
    Scenario("no answer within `timeout`", containers.hangs(), soon=False),
    Scenario("slower than `grace`", containers.slow_start(300), {**STRICT, "grace": 30}),
    Scenario("exits with 1", containers.exits(1.0, 1), soon=False),
    Scenario("image cannot be pulled", containers.pull_denied(), soon=False),
)


@dataclass(frozen=True)
class Report:
    """The end of one operation.

    Attributes:
        running, active: simulated seconds from the request until the first task of the version ran
            and the load balancer was active; None if that never happened.
        reported: seconds from the request until the record had the failure; None if it had none.
    """

    record: Deployment
    running: float | None
    active: float | None
    reported: float | None

    @property
    def after_both(self) -> float:
        """Seconds from `running` or `active`, whichever is later, until `reported`."""
        assert self.reported is not None, self.record.operation
        return self.reported - max(self.running or 0.0, self.active or 0.0)


def behave(world: World, tag: str, behaviour: Behaviour) -> None:
    """Set how tasks of an image behave that start from now on."""
    wanted = [{"imageTag": tag}]
    ecr = world.account.raw("ecr")
    found = ecr.describe_images(repositoryName=REPOSITORY, imageIds=wanted)["imageDetails"]
    world.account.containers.set(found[0]["imageDigest"], behaviour)


def created(seed: int, behaviour: Behaviour, **spec: Any) -> Report:
    """Create a deployment of this behaviour, and run it to the end of the operation."""
    with opened(seed) as world:
        behave(world, "1", behaviour)
        return _watched(world, lambda: world.create(name="model", image=image("1"), **spec).body)


def updated(seed: int, behaviour: Behaviour, **spec: Any) -> Report:
    """Update a deployment that serves to this behaviour. Its load balancer is active."""
    with opened(seed) as world:
        world.create(name="model", image=image("1"), **spec)
        assert world.run_until_idle()
        behave(world, "2", behaviour)
        return _watched(world, lambda: world.update("model", image=image("2")).body)


def _watched(world: World, request: Callable[[], dict[str, Any]]) -> Report:
    began, known = world.clock.seconds(), set(world.account.fargate.tasks.all)
    deployment_id = request()["id"]
    running = active = reported = None
    while (record := _record(world, deployment_id)).operation.status == "running":
        now = world.clock.seconds() - began
        if reported is None and record.failure:
            reported = now
        world.account.timeline.catch_up()
        started = [
            task.running_at - began
            for arn, task in world.account.fargate.tasks.all.items()
            if arn not in known and task.running_at is not None
        ]
        if running is None and reported is None:
            running = min(started, default=None)
        if active is None and any(
            balancer.state == "active"
            for balancer in world.account.load_balancers.balancers.values()
        ):
            active = now
        world.run_for(1.0)
    return Report(_record(world, deployment_id), running, active, reported)


def _record(world: World, deployment_id: str) -> Deployment:
    """Read the record without the layer, because a read must not count as a call."""
    key = {"pk": {"S": f"DEPLOYMENT#{deployment_id}"}, "sk": {"S": "RECORD"}}
    table = settings().table_name
    item = world.account.raw("dynamodb").get_item(TableName=table, Key=key)["Item"]
    return Deployment.model_validate_json(item["document"]["S"])


def main() -> int:
    """Print a table: the scenario, and the seconds of each operation (least to most)."""
    print("| failure | create: after the request | create | update |\n|---|---|---|---|")
    for each in SCENARIOS:
        made = [created(seed, each.behaviour, health_check=each.health_check) for seed in SEEDS]
        changed = [updated(seed, each.behaviour, health_check=each.health_check) for seed in SEEDS]
        cells = (
            [report.reported or 0.0 for report in made],
            [report.after_both for report in made],
            [report.after_both for report in changed],
        )
        print(
            f"| {each.title} | " + " | ".join(f"{min(c):.0f} to {max(c):.0f} s" for c in cells), "|"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
