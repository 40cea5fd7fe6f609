"""Every failure code has a cause that produces it, with message, hint and AWS's evidence."""

import pytest

from chalicelib.domain.errors import FailureCode
from chalicelib.domain.record import Status
from tests.faults import failure_codes
from tests.faults.failure_codes import CAUSES, Cause


def test_every_code_of_the_contract_has_a_cause() -> None:
    assert {each.code for each in CAUSES} == set(FailureCode)


@pytest.mark.parametrize("each", CAUSES, ids=lambda each: each.title)
def test_a_cause_is_reported_and_nothing_remains(each: Cause) -> None:
    outcome = failure_codes.cause(each)

    failure = outcome.record.failure
    assert failure is not None
    assert failure.code == each.code, failure
    assert failure.message.endswith(".")
    assert failure.hint
    assert [key for key in each.evidence if not failure.evidence.get(key)] == []
    assert outcome.record.status is Status.FAILED
    assert outcome.problems == []
    assert failure_codes.row(each, outcome) in failure_codes.PAGE.read_text().splitlines(), (
        "docs/failures.md is out of date: python -m tests.faults.failure_codes"
    )
    if each.early:
        assert outcome.record.resources == []
        assert outcome.reason_after <= 10
