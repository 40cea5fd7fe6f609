"""The fault matrix's summary, told at the end of the run."""

from __future__ import annotations

import pytest

from tests.faults.summary import LINES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the matrix and the property test ran."""
    for line in LINES:
        terminalreporter.write_line(line)
