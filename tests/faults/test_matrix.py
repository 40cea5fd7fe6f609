"""Every change that deploy, update and teardown make at AWS and in the table, and all that may go
wrong there: it converges or ends clean, and never leaves anything untold."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.faults import matrix
from tests.faults.disturbance import Case, Result
from tests.support.summary import LINES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a case; the cases are found by running each operation once."""
    if "case" in metafunc.fixturenames:
        # xdist gives each worker a folder of its own within one folder of the run.
        is_worker = hasattr(metafunc.config, "workerinput")
        shared = Path(metafunc.config.option.basetemp).parent if is_worker else None
        metafunc.parametrize("case", matrix.listed(shared), ids=lambda case: case.id)


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> dict[Case, Result]:
    """All cases that were selected, run together."""
    wanted = [
        item.callspec.params["case"]
        for item in request.session.items
        if hasattr(item, "callspec") and "case" in item.callspec.params
    ]
    found = matrix.run_apart(wanted)
    count = Counter(r.outcome if not r.problems else "untold" for r in found.values())
    LINES.append(
        f"fault matrix: {len(found)} cases: {count['converged']} converged, "
        f"{count['ended clean']} ended clean, {count['untold']} left anything untold"
    )
    return found


def test_a_fault_converges_or_ends_clean(case: Case, results: dict[Case, Result]) -> None:
    result = results[case]

    assert result.problems == [], result.how
    # What passes is waited out; only what stays refused may keep the operation from its end.
    assert result.outcome == "converged" or case.kind == "denied", result.how
