"""All faults at every change that deploy, update and teardown make in AWS and in the table.

Every case converges or ends clean, and never leaves anything unreported.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.faults import matrix
from tests.faults.disturbance import Case, Result
from tests.support.summary import LINES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per case. The cases are found by running each operation once."""
    if "case" in metafunc.fixturenames:
        # xdist gives each worker its own folder within one folder of the run.
        is_worker = hasattr(metafunc.config, "workerinput")
        shared = Path(metafunc.config.option.basetemp).parent if is_worker else None
        metafunc.parametrize("case", matrix.listed(shared), ids=lambda case: case.id)


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> dict[Case, Result]:
    """The results of all selected cases, which run together."""
    wanted = [
        item.callspec.params["case"]
        for item in request.session.items
        if hasattr(item, "callspec") and "case" in item.callspec.params
    ]
    results = matrix.run_apart(wanted)
    count = Counter(r.outcome if not r.problems else "broken" for r in results.values())
    LINES.append(
        f"fault matrix: {len(results)} cases: {count['converged']} converged, "
        f"{count['ended clean']} ended clean, {count['broken']} broke an invariant"
    )
    return results


def test_a_fault_converges_or_ends_clean(case: Case, results: dict[Case, Result]) -> None:
    result = results[case]

    assert result.problems == [], result.how
    # The operation waits for transient faults. Only a permanent refusal may prevent its success.
    assert result.outcome == "converged" or case.kind == "denied", result.how
