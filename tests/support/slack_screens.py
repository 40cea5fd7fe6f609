"""Slack screens of deployments on the simulated AWS, for docs/slack-messages.md.

`python -m tests.support.slack_screens` writes the page. docs/render draws the pictures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chalicelib.api import resource
from chalicelib.domain.deployment import Deployment
from chalicelib.platform import clock
from chalicelib.slack import blocks
from chalicelib.slack.blocks import Message
from chalicelib.store import deployments as store
from tests.faults.environment import image, opened
from tests.faults.failure_codes import TRACEBACK
from tests.faults.world import World
from tests.support.project import ROOT
from tests.support.simulated_aws import containers
from tests.support.simulated_aws.account import REPOSITORY

PAGE = ROOT / "docs" / "slack-messages.md"
MARK = "<!-- made by: python -m tests.support.slack_screens -->\n"
USER = "U0ANNA"
# The DNS name of a load balancer on AWS ends with this.
DNS_SUFFIX = "-1234567890.us-east-1.elb.amazonaws.com"
HALF_OF_DEPLOY, HALF_OF_DELETE = 70, 15  # seconds
CRASHES_AFTER = 3 * 3600


@dataclass(frozen=True)
class Screen:
    """A message, with the title of its section and the name of its picture."""

    name: str
    title: str
    message: Message


def screens() -> list[Screen]:
    """The screens of a deploy, a delete, a failure and an incident on the simulated AWS."""
    return [*_deploy_and_delete(), *_failure(), *_incident()]


def _deploy_and_delete() -> Iterator[Screen]:
    with opened() as world:
        deployment_id = _create(world)
        yield Screen("deploy-start", "A deploy starts", _operation(deployment_id))
        world.run_for(HALF_OF_DEPLOY)
        yield Screen("deploy-half", "The same message is updated", _operation(deployment_id))
        _run(world, deployment_id, lambda d: not d.is_running)
        yield Screen("deploy-done", "The deploy is done", _operation(deployment_id))
        world.clock.advance_to(world.clock.seconds() + 3600)
        yield Screen(
            "delete-question",
            "`/slipway delete recommender` asks for confirmation",
            blocks.confirm_delete(_shown(deployment_id)),
        )
        world.delete(deployment_id)
        begun = world.clock.seconds()
        _run(world, deployment_id, lambda d: world.clock.seconds() > begun + HALF_OF_DELETE)
        yield Screen("delete-half", "A delete runs", _operation(deployment_id))
        _run(world, deployment_id, lambda d: not d.is_running)
        yield Screen("delete-done", "The delete ends with a receipt", _operation(deployment_id))


def _failure() -> Iterator[Screen]:
    with opened() as world:
        images = world.account.raw("ecr").describe_images(
            repositoryName=REPOSITORY, imageIds=[{"imageTag": "1"}]
        )
        digest = str(images["imageDetails"][0]["imageDigest"])
        world.account.containers.set(digest, containers.exits(1.0, 1, TRACEBACK))
        made = _create(world)
        _run(world, made, lambda d: d.failure is not None)
        yield Screen("failure-reported", "A deploy fails and is cleaned up", _operation(made))
        _run(world, made, lambda d: not d.is_running)
        yield Screen("failure-done", "The deploy has failed", _operation(made))


def _incident() -> Iterator[Screen]:
    with opened() as world:
        images = world.account.raw("ecr").describe_images(
            repositoryName=REPOSITORY, imageIds=[{"imageTag": "1"}]
        )
        digest = str(images["imageDetails"][0]["imageDigest"])
        crash = containers.exits(CRASHES_AFTER, 1, ("MemoryError: cannot load the new ratings",))
        world.account.containers.set(digest, crash)
        made = _create(world)
        world.run_for(HALF_OF_DEPLOY)
        world.account.containers.set(digest, containers.serves())
        world.run_for(CRASHES_AFTER)
        yield Screen("incident", "An ACTIVE deployment goes down", _trouble(made))
        world.run_for(120)
        yield Screen("incident-over", "The same message when it has recovered", _trouble(made))


def _trouble(deployment_id: str) -> Message:
    incident = _record(deployment_id).incident
    assert incident
    return blocks.incident(_shown(deployment_id), incident)


def _create(world: World) -> str:
    spec = {"image": image("1"), "ttl": "8h", "smoke_test": {"path": "/?uid=20"}}
    reply = world.create(name="recommender", **spec)
    assert reply.status == 202, reply
    return str(reply.body["id"])


def _run(world: World, deployment_id: str, until: Callable[[Deployment], bool]) -> None:
    while not until(_record(deployment_id)):
        world.schedule.step()


def _record(deployment_id: str) -> Deployment:
    record = store.get(deployment_id)
    assert record
    return record


def _operation(deployment_id: str) -> Message:
    return blocks.operation(_shown(deployment_id), USER, clock.now())


def _shown(deployment_id: str) -> dict[str, Any]:
    shown = resource.render(_record(deployment_id), clock.now())
    if shown["url"]:
        shown["url"] += DNS_SUFFIX
    if shown["prediction"]:
        shown["prediction"]["latency_ms"] = 12  # the measured latency differs in every run
    return shown


def page(shown: list[Screen]) -> str:
    """The part of docs/slack-messages.md after the marker."""
    return "\n".join(_part(screen) for screen in shown)


def _part(screen: Screen) -> str:
    document = {"text": screen.message.text, "blocks": screen.message.blocks}
    shown = json.dumps(document, indent=1, ensure_ascii=False)
    picture = f"![{screen.message.text}](images/slack-{screen.name}.png)"
    folded = f"<details><summary>Block Kit</summary>\n\n```json\n{shown}\n```\n\n</details>"
    return f"## {screen.title}\n\n{picture}\n\n{folded}\n"


def main() -> int:
    """Write the part of the page after the marker."""
    head = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text(f"{head}{MARK}\n{page(screens())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
