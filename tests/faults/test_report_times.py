"""When failing health checks are reported, on the simulated clock."""

from __future__ import annotations

import pytest

from chalicelib.domain.errors import FailureCode
from tests.faults.report_times import SCENARIOS, SEEDS, STRICT, Scenario, created, updated
from tests.support.simulated_aws import containers

MOST_SECONDS = 110
# The load balancer becomes active early with the first, and late with the second.
DRAWS = SEEDS[:2]
SOON = [each for each in SCENARIOS if each.soon]
# (seconds until the model answers, `health_check.grace`)
SLOW = [(10, 11), (10, 60), (50, 51), (50, 60), (200, 201), (200, 600)]


@pytest.mark.parametrize("scenario", SOON, ids=lambda each: each.title)
@pytest.mark.parametrize("seed", DRAWS)
def test_a_version_that_cannot_pass_its_health_checks_is_reported_soon(
    seed: int, scenario: Scenario
) -> None:
    report = created(seed, scenario.behaviour, health_check=scenario.health_check)
    assert report.record.failure
    assert report.record.failure.code is FailureCode.HEALTH_CHECK_FAILED
    assert report.after_both <= MOST_SECONDS
    assert report.running is not None and report.reported is not None
    grace = report.record.spec.health_check.grace
    assert report.reported - report.running >= grace, "a slow model may look like this"


@pytest.mark.parametrize("scenario", SOON, ids=lambda each: each.title)
def test_an_update_that_cannot_pass_its_health_checks_is_reported_soon(scenario: Scenario) -> None:
    report = updated(
        SEEDS[0], scenario.behaviour, health_check={**scenario.health_check, "path": "/health"}
    )
    assert report.record.operation.status == "rolled_back"
    assert report.after_both <= MOST_SECONDS
    assert report.reported is not None and report.running is not None
    assert report.reported - report.running >= report.record.spec.health_check.grace


@pytest.mark.parametrize("seconds,grace", SLOW)
@pytest.mark.parametrize("seed", DRAWS)
def test_a_model_that_starts_within_its_grace_is_never_reported(
    seed: int, seconds: int, grace: int
) -> None:
    report = created(seed, containers.slow_start(seconds), health_check={**STRICT, "grace": grace})
    assert (report.record.status, report.reported) == ("ACTIVE", None)


@pytest.mark.parametrize("seconds,grace", SLOW)
def test_an_update_to_a_model_that_starts_within_its_grace_is_never_reported(
    seconds: int, grace: int
) -> None:
    report = updated(
        SEEDS[0], containers.slow_start(seconds), health_check={**STRICT, "grace": grace}
    )
    assert (report.record.operation.status, report.reported) == ("succeeded", None)
