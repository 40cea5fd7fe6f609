"""The stack that all tests of this folder share, and its client."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import Stack, running
from tests.stack.client import Client
from tests.support.slack_server import FakeSlack

# A day of retries takes 17 s: longer than any `Retry-After` of a subscriber in these tests, and so
# long that a busy machine is not late for the last one.
RETRY_TIME_SCALE = 2e-4


@pytest.fixture(scope="package")
def slack() -> Iterator[FakeSlack]:
    """The fake Slack of the stack."""
    with FakeSlack() as played:
        yield played


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory, slack: FakeSlack) -> Iterator[Stack]:
    """All of Slipway on the local stack. It stops early, because it takes CPU from other tests."""
    state: Path = tmp_path_factory.mktemp("local") / "stack"
    with contextlib.ExitStack() as until_the_end:
        # Only for this stack; other stacks of the session have no Slack.
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("SLACK_API_URL", slack.api_url)
            environment.setenv("LOCAL_SLACK_BOT_TOKEN", slack.token)
            environment.setenv("RETRY_TIME_SCALE", str(RETRY_TIME_SCALE))
            started = until_the_end.enter_context(running(state))
        yield started


@pytest.fixture(scope="package")
def api(stack: Stack) -> Client:
    """Slipway's API with the scopes read and deploy."""
    return Client(stack)
