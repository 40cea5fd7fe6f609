"""For all tests: the local stack, who runs what, and what is told at the end."""

import contextlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from local.stack import Stack, running
from tests.support.project import ROOT
from tests.support.slack_server import FakeSlack
from tests.support.summary import LINES

WHOLE_STACKS = "tests/stack/"
# The fixture that starts a stack of its own, and the group of the tests that use it.
SIMULATED = "simulated"
# Every test of these is independent; the others share what is made once for a module.
INDEPENDENT = ("tests/faults/test_property.py", "tests/faults/test_failure_codes.py")
# What takes the longest comes first.
LONGEST = (WHOLE_STACKS, "tests/faults/test_matrix.py", "tests/faults/")
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
def pytest_xdist_auto_num_workers() -> int:
    """A process for each core, and one for each kind of stack: its tests mostly wait."""
    return (os.cpu_count() or 1) + 2


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """In a run of several processes: one for each kind of stack, the other tests by module.

    A second process with a stack of one kind would start it again, and compete for the cores.
    """
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # our order, not that of the numbers of tests

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            if module.startswith(WHOLE_STACKS):
                return f"{WHOLE_STACKS}{SIMULATED}" if _uses_simulated(module) else WHOLE_STACKS
            return nodeid if module in INDEPENDENT else module

    return ByModule(config, log)


@cache
def _uses_simulated(module: str) -> bool:
    """The process that schedules the tests knows their ids alone."""
    return f"{SIMULATED}: " in (ROOT / module).read_text()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole stacks first, because they take the longest, then the fault matrix."""

    def turn(item: pytest.Item) -> int:
        turns = (n for n, path in enumerate(LONGEST) if item.nodeid.startswith(path))
        return next(turns, len(LONGEST))

    items.sort(key=turn)


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
