"""For all tests: the settings of moto, the distribution to processes, and the final summary."""

import os
from typing import Any

import moto.core.models
import pytest

# Before pytest imports the folder tests/local under the same name.
import local  # noqa: F401
from tests.support.summary import LINES

# Each of its folders has its own stack.
WHOLE_STACKS = "tests/stack/"
# All tests in these modules are independent. Other modules share fixtures of module scope.
INDEPENDENT = ("tests/faults/test_property.py", "tests/faults/test_failure_codes.py")
# The longest tests run first.
LONGEST = (WHOLE_STACKS, "tests/faults/test_matrix.py", "tests/faults/", "tests/contract/")
SUMMARY = "slipway_summary"
# moto takes up to 0.4 s to load its EC2 images into each new account, and no test uses them. moto
# reads the variable whenever it creates or resets an account, also after a test.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
# moto would also register 1,300 addresses for each new account, for calls without boto3.
moto.core.models.RESPONSES_METHODS.clear()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several processes, one for the tests of each whole stack, and one for each other module.

    Tests of stacks wait for AWS's times, so with more processes than cores they fail: that was
    tried, and health checks came too late.
    """
    from xdist.scheduler import LoadScopeScheduling

    # Keep our order, instead of sorting by the number of tests.
    config.option.loadscopereorder = False

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            if module.startswith(WHOLE_STACKS):
                return module.rpartition("/")[0]
            return nodeid if module in INDEPENDENT else module

    return ByModule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run whole stacks first, because they take the longest, and then the fault matrix."""

    def turn(item: pytest.Item) -> int:
        turns = (n for n, path in enumerate(LONGEST) if item.nodeid.startswith(path))
        return next(turns, len(LONGEST))

    items.sort(key=turn)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker process sends its lines to the controller."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[SUMMARY] = LINES


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """The controller collects a worker's lines. A worker that died has sent none."""
    LINES.extend(getattr(node, "workeroutput", {}).get(SUMMARY, []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the fault matrix, the property test and other tests ran."""
    for line in LINES:
        terminalreporter.write_line(line)
