"""This version in an account that another version has left.

A recording (see `record.py`) is loaded into an empty account: the recorded calls create the AWS
resources, and the table gets the recorded items. Running executions continue with the definition of
the version that started them, as on AWS. This version does everything after that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.platform.settings import settings
from tests.faults.world import World
from tests.support.gateway import Answered, Gateway
from tests.support.simulated_aws.aws import Call, ask
from tests.upgrade import record
from tests.upgrade.record import OWNER

VERSIONS = sorted(path.name for path in Path(record.FOLDER).iterdir() if path.name[0].isdigit())


@dataclass
class Upgraded:
    """An account in which this version has just replaced another one.

    Attributes:
        noted: the recording.
        steps: the steps that this version ran in executions of the other one, in order.
    """

    world: World
    noted: dict[str, Any]
    steps: list[str]
    gateway: Gateway

    @property
    def id(self) -> str:
        return str(self.noted["requests"][0]["answer"]["id"])

    def get(self, path: str = "") -> Answered:
        return self.gateway.get(f"/deployments/{self.id}{path}")

    def shown(self) -> tuple[str, str]:
        """The status of the deployment and of its operation."""
        body = self.get().json
        return body["status"], body["operation"]["status"]

    def finish(self) -> tuple[str, str]:
        """The same when nothing runs any more."""
        assert self.world.run_until_idle(), self.get().json
        return self.shown()


@contextmanager
def upgraded(
    version: str, situation: str, replaced: dict[str, str] | None = None
) -> Iterator[Upgraded]:
    """This version in the account of another one; `replaced` is text of the recording."""
    folder = Path(record.FOLDER) / version
    text = record.with_ids((folder / f"{situation}.json").read_text(), replaced or {})
    previous = json.loads((folder / "definition.json").read_text())
    with record.world_of_records() as world:
        noted = _restore(world, text)
        steps = _continue_executions(world, noted["executions"], previous)
        yield Upgraded(world, noted, steps, Gateway({OWNER: noted["token"]}))


def _restore(world: World, text: str) -> dict[str, Any]:
    """Creates the AWS resources and the items; returns the recording with this account's IDs."""
    ids = record.made_up(world)
    for number, made in enumerate(json.loads(text)["calls"]):
        world.clock.advance_to(made["at"])
        params = json.loads(record.with_ids(json.dumps(made["params"]), ids))
        call = Call(made["service"], made["operation"], params)
        record.learn(ids, number, ask(world.account.client(call.service), call))
    noted: dict[str, Any] = json.loads(record.with_ids(text, ids))
    world.clock.advance_to(noted["seconds"])
    for item in noted["items"]:
        world.account.raw("dynamodb").put_item(TableName=settings().table_name, Item=item)
    return noted


def _continue_executions(
    world: World, executions: list[dict[str, Any]], previous: dict[str, Any]
) -> list[str]:
    """Starts the executions that ran; steps that were done answer as they did, and run no more."""
    present, function = world.states.definition, world.states.function
    done = {
        (each["name"], said["path"], said["step"]): said["answer"]
        for each in executions
        for said in each["answers"]
    }
    steps: list[str] = []

    def answer(resource: str, event: dict[str, Any]) -> dict[str, Any]:
        name = f"{event['deployment_id']}-{event['generation']}"
        known: dict[str, Any] | None = done.pop((name, event["path"], event["step"]), None)
        if known is not None:
            return known
        steps.append(event["step"])
        return function(resource, event)

    world.states.function, world.states.definition = answer, previous
    for each in executions:
        started = {
            "stateMachineArn": settings().state_machine_arn,
            "name": each["name"],
            "input": each["input"],
        }
        world.states.before(Call("stepfunctions", "StartExecution", started))
    world.states.definition = present
    return steps
