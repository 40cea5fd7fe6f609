"""The loop in docs/using.md, run with bash: it reports success only for its own change."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

from chalicelib.platform import aws
from chalicelib.store import tokens
from tests.faults.environment import image, opened
from tests.faults.world import OWNERS, World
from tests.support.http_gateway import served
from tests.support.in_process import TABLE
from tests.support.project import ROOT
from tests.support.simulated_aws import containers

PAGE = ROOT / "docs" / "using.md"
NAME, CRASHES = "recommender", "crashes"
BETWEEN_REQUESTS = 60.0
# As `make up` prints it. Simulated time passes between two requests, so there is no need to wait.
CALL = """
call() { curl -s -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" "$@"; }
sleep() { :; }
"""

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "curl", "jq"))), reason="needs bash, curl and jq"
)


@pytest.fixture
def world() -> Iterator[World]:
    """A world with an ACTIVE deployment."""
    with opened() as made:
        made.account.push(CRASHES, containers.exits(after=2.0))
        made.create(name=NAME, image=image("1"))
        assert made.run_until_idle()
        yield made


def loop(reference: str) -> str:
    """The loop of the page, for this image."""
    [text] = re.findall(r"```bash\n(sent=.*?)```", PAGE.read_text(), re.DOTALL)
    assert text.count('"...:2"') == 1
    return CALL + text.replace('"...:2"', f'"{reference}"')


def polled(
    world: World, reference: str, meanwhile: Callable[[], object] = lambda: None
) -> tuple[int, str]:
    """The exit code and the output of the loop. `meanwhile` runs after each request."""
    _, token = tokens.issue(
        table_name=TABLE,
        owner=OWNERS[0],
        scopes=["read", "deploy"],
        client=aws.client("dynamodb"),
    )

    def after() -> None:
        meanwhile()
        world.run_for(BETWEEN_REQUESTS)

    with served(after) as url:
        made = subprocess.run(
            ["bash", "-c", loop(reference)],
            env={"PATH": "/usr/bin:/bin", "API": url, "TOKEN": token},
            capture_output=True,
            text=True,
            check=False,
        )
    return made.returncode, made.stdout + made.stderr


def test_a_change_that_serves_is_a_success(world: World) -> None:
    code, output = polled(world, image("2"))
    assert code == 0, output
    assert '"outcome": "succeeded"' in output


def test_a_change_that_is_rolled_back_is_no_success(world: World) -> None:
    code, output = polled(world, image(CRASHES))
    assert code == 1, output
    assert '"outcome": "rolled_back"' in output
    assert "CONTAINER_EXITED" in output


def test_a_change_that_a_delete_supersedes_is_no_success(world: World) -> None:
    code, output = polled(world, image("2"), lambda: world.delete(NAME))
    assert (code, output) == (2, "superseded by a later operation\n")


def test_a_change_without_effect_is_a_success_at_once(world: World) -> None:
    code, output = polled(world, image("1"))
    assert (code, output) == (0, "")


def test_a_refused_change_is_no_success(world: World) -> None:
    world.pause(NAME)
    assert polled(world, image("2"))[0] == 1
