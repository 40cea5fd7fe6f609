"""For all tests: the local stack, who runs what, and what is told at the end."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.stack import Stack, running
from tests.support.slack_server import FakeSlack
from tests.support.summary import LINES

WHOLE_STACKS = "tests/stack/"
TOLD = "slipway_summary"


# A day of retries is 9 s: longer than a subscriber asks for by `Retry-After` in these tests.
RETRY_TIME_SCALE = 1e-4


@pytest.fixture(scope="session")
def slack() -> Iterator[FakeSlack]:
    """The server that plays Slack for the stack of the session."""
    with FakeSlack() as played:
        yield played


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, slack: FakeSlack) -> Iterator[Stack]:
    """The whole of Slipway on the local stack, one for the test session."""
    state: Path = tmp_path_factory.mktemp("local") / "stack"
    with contextlib.ExitStack() as until_the_end:
        # For this stack alone: others of the session have no Slack.
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("SLACK_API_URL", slack.api_url)
            environment.setenv("LOCAL_SLACK_BOT_TOKEN", slack.token)
            environment.setenv("RETRY_TIME_SCALE", str(RETRY_TIME_SCALE))
            started = until_the_end.enter_context(running(state))
        yield started


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """In a run of several processes: one for all tests of whole stacks, the others by module.

    A second process with stacks would start them again, and fight for the cores.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return WHOLE_STACKS if nodeid.startswith(WHOLE_STACKS) else nodeid.partition("::")[0]

    return ByModule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those of whole stacks come first, for they take the longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(WHOLE_STACKS))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One process of several hands its lines over."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[TOLD] = LINES


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Takes them over in the process that reports; one that died told nothing."""
    LINES.extend(getattr(node, "workeroutput", {}).get(TOLD, []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the fault matrix, the property test and others ran."""
    for line in LINES:
        terminalreporter.write_line(line)
