"""For all tests: the local stack, who runs what, and what is told at the end.

In a run of several processes (`pytest -n auto --dist loadgroup`) one process runs all tests that
need a whole stack: a second one would start the stacks again, and fight for the cores.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.stack import Stack, running
from tests.summary import LINES

WHOLE_STACKS = {"stack", "simulated"}
TOLD = "slipway_summary"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole of Slipway on the local stack, one for the test session."""
    state: Path = tmp_path_factory.mktemp("local") / "stack"
    with running(state) as started:
        yield started


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups for the processes: the tests of whole stacks, begun first, and each other module."""
    for item in items:
        needs_stack = WHOLE_STACKS & set(getattr(item, "fixturenames", ()))
        group = "stack" if needs_stack else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: next(item.iter_markers("xdist_group")).args != ("stack",))


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
