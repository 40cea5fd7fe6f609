"""Screens of Slack from deployments on the simulated AWS, for docs/slack-messages.md.

`python -m tests.support.slack_screens` writes the page. docs/render makes the pictures from it.
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
# What the simulated load balancer's name would be resolved by on AWS.
DNS_SUFFIX = "-1234567890.us-east-1.elb.amazonaws.com"
HALF_OF_DEPLOY, HALF_OF_DELETE = 70, 15  # seconds


@dataclass(frozen=True)
class Screen:
    """One message: what it shows, and the name of its picture."""

    name: str
    title: str
    message: Message


def screens() -> list[Screen]:
    """A deploy, a failure and a delete, each as it went on the simulated AWS."""
    return [*_deploy_and_delete(), *_failure()]


def _deploy_and_delete() -> Iterator[Screen]:
    with opened() as world:
        made = _create(world)
        yield Screen("deploy-start", "A deploy begins", _operation(made))
        _run(world, made, lambda d: world.clock.seconds() > HALF_OF_DEPLOY)
        yield Screen("deploy-half", "It goes on: the same message, updated", _operation(made))
        _run(world, made, lambda d: not d.is_running)
        yield Screen("deploy-done", "It is done", _operation(made))
        world.clock.advance_to(world.clock.seconds() + 3600)
        yield Screen(
            "delete-question",
            "`/slipway delete recommender` asks back",
            blocks.confirm_delete(_shown(made)),
        )
        world.delete(made)
        begun = world.clock.seconds()
        _run(world, made, lambda d: world.clock.seconds() > begun + HALF_OF_DELETE)
        yield Screen("delete-half", "A delete goes on", _operation(made))
        _run(world, made, lambda d: not d.is_running)
        yield Screen("delete-done", "It ends with the receipt", _operation(made))


def _failure() -> Iterator[Screen]:
    with opened() as world:
        found = world.account.raw("ecr").describe_images(
            repositoryName=REPOSITORY, imageIds=[{"imageTag": "1"}]
        )
        digest = str(found["imageDetails"][0]["imageDigest"])
        world.account.containers.set(digest, containers.exits(1.0, 1, TRACEBACK))
        made = _create(world)
        _run(world, made, lambda d: d.failure is not None)
        yield Screen(
            "failure-told", "A deploy fails: told at once, while it is cleaned up", _operation(made)
        )
        _run(world, made, lambda d: not d.is_running)
        yield Screen("failure-done", "It has failed", _operation(made))


def _create(world: World) -> str:
    spec = {"image": image("1"), "ttl": "8h", "smoke_test": {"path": "/?uid=20"}}
    reply = world.create(name="recommender", **spec)
    assert reply.status == 202, reply
    return str(reply.body["id"])


def _run(world: World, made: str, until: Callable[[Deployment], bool]) -> None:
    while not until(_record(made)):
        world.schedule.step()


def _record(made: str) -> Deployment:
    record = store.get(made)
    assert record
    return record


def _operation(made: str) -> Message:
    return blocks.operation(_shown(made), USER, clock.now())


def _shown(made: str) -> dict[str, Any]:
    shown = resource.render(_record(made), clock.now())
    if shown["url"]:
        shown["url"] += DNS_SUFFIX
    if shown["prediction"]:
        shown["prediction"]["latency_ms"] = 12  # of this machine's, and never the same
    return shown


def page(shown: list[Screen]) -> str:
    """What follows the mark in docs/slack-messages.md."""
    return "\n".join(_part(screen) for screen in shown)


def _part(screen: Screen) -> str:
    document = {"text": screen.message.text, "blocks": screen.message.blocks}
    shown = json.dumps(document, indent=1, ensure_ascii=False)
    picture = f"![{screen.message.text}](images/slack-{screen.name}.png)"
    folded = f"<details><summary>Block Kit</summary>\n\n```json\n{shown}\n```\n\n</details>"
    return f"## {screen.title}\n\n{picture}\n\n{folded}\n"


def main() -> int:
    """Writes the page below the mark."""
    head = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text(f"{head}{MARK}\n{page(screens())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
