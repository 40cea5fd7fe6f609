"""What a check of health, and the end of an operation, change in the record."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.health import CHECK_INTERVAL, FOLLOW_UP, LATE_FOLLOW_UP
from chalicelib.domain.record import Status
from tests.support.builders import MOMENT, active, in_status, rolling_back, seen, spec_of

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def published(deployment: Deployment) -> list[str]:
    kinds = ("deployment.unhealthy", "deployment.recovered")
    return [str(event.type) for event in deployment.new_events if event.type in kinds]


def observed(deployment: Deployment, *running: int, wanted: int = 1) -> None:
    """One check a minute, starting a minute after the last one."""
    health = deployment.health
    at = (health and health.checked_at) or MOMENT
    for count in running:
        at += MINUTE
        deployment.record_health(seen(at, count, wanted), at)


def test_an_operation_that_ends_active_is_healthy_and_checked_soon() -> None:
    deployment = active()
    assert deployment.shown_health
    shown = deployment.shown_health
    assert (shown.status, shown.running, shown.wanted) == ("healthy", 1, 1)
    assert shown.checked_at == shown.since == MOMENT
    assert deployment.health_due_at == MOMENT + FOLLOW_UP


@pytest.mark.parametrize("status", [s for s in Status if s not in (Status.ACTIVE, Status.UPDATING)])
def test_health_is_null_if_nothing_should_serve(status: Status) -> None:
    assert in_status(status).shown_health is None


def test_health_is_null_during_pause_and_resume_but_not_during_an_update() -> None:
    deployment = active()
    deployment.update(spec_of(count=2), MOMENT, new_image=False)
    assert deployment.shown_health and deployment.shown_health.status == "healthy"
    deployment = active()
    deployment.pause(MOMENT)
    assert deployment.shown_health is None
    deployment.activate(MOMENT, 0.03)
    assert deployment.shown_health is None
    deployment.resume(MOMENT)
    assert deployment.shown_health is None
    deployment.activate(MOMENT, 0.04)
    assert deployment.shown_health and deployment.shown_health.status == "healthy"


def test_a_paused_deployment_that_is_updated_has_no_health() -> None:
    deployment = in_status(Status.PAUSED)
    deployment.update(spec_of(count=2), MOMENT, new_image=False)
    assert deployment.status == "UPDATING"
    assert deployment.shown_health is None


def test_a_record_of_the_version_before_is_unknown() -> None:
    deployment = active()
    deployment.health = None
    shown = deployment.shown_health
    assert shown and (shown.status, shown.running, shown.wanted) == ("unknown", None, 1)
    assert shown.checked_at is None


def test_the_first_check_of_an_unknown_deployment_tells_only_trouble() -> None:
    healthy, down = active(), active()
    for deployment in (healthy, down):
        deployment.health = None
    observed(healthy, 1)
    assert published(healthy) == []
    observed(down, 0)
    assert published(down) == ["deployment.unhealthy"]


def test_every_change_is_an_event() -> None:
    deployment = active(count=2)
    observed(deployment, 1, 1, 0, 0, 1, 2, 2, wanted=2)
    assert published(deployment) == [
        "deployment.unhealthy",  # degraded
        "deployment.unhealthy",  # down
        "deployment.unhealthy",  # degraded
        "deployment.recovered",
    ]
    messages = [e.message for e in deployment.new_events if e.type == "deployment.unhealthy"]
    assert messages[0] == "degraded: 1 of 2 tasks serve. it is not there"


def test_a_reason_stays_until_there_is_another_and_ends_with_the_recovery() -> None:
    deployment = active()
    observed(deployment, 0)
    at = MOMENT + 2 * MINUTE
    deployment.record_health(seen(at, 0, failure=None), at)
    assert deployment.health and deployment.health.failure
    assert deployment.health.since == MOMENT + MINUTE
    observed(deployment, 1)
    assert deployment.health.failure is None


def test_a_check_that_is_older_than_the_recorded_one_changes_nothing() -> None:
    deployment = active()
    observed(deployment, 1, 1)
    late = MOMENT + MINUTE
    assert deployment.record_health(seen(late, 0), MOMENT + 3 * MINUTE) is False
    assert deployment.health and deployment.health.status == "healthy"
    assert published(deployment) == []


def test_the_same_check_twice_tells_once() -> None:
    deployment = active()
    at = MOMENT + MINUTE
    for _ in range(2):
        deployment.record_health(seen(at, 0), at)
    assert published(deployment) == ["deployment.unhealthy"]


def test_checks_follow_until_tasks_serve_and_then_every_quarter_of_an_hour() -> None:
    deployment = active()

    def gap_after(observation_at: datetime, running: int, **more: bool) -> timedelta:
        deployment.record_health(seen(observation_at, running, **more), observation_at)
        assert deployment.health_due_at
        return deployment.health_due_at - observation_at

    at = MOMENT + MINUTE
    assert gap_after(at, 1) == CHECK_INTERVAL < timedelta(minutes=15)
    assert gap_after(at + MINUTE, 1, is_settled=False) == FOLLOW_UP
    assert gap_after(at + 2 * MINUTE, 0) == FOLLOW_UP
    assert gap_after(at + 18 * MINUTE, 0) == LATE_FOLLOW_UP
    assert gap_after(at + 19 * MINUTE, 1) == CHECK_INTERVAL


def test_a_check_is_never_requested_for_later_than_it_is_due() -> None:
    deployment = active()
    deployment.request_check(MOMENT)
    deployment.request_check(MOMENT + HOUR)
    assert deployment.health_due_at == MOMENT


def test_trouble_within_an_hour_after_a_recovery_is_the_same_incident() -> None:
    deployment = active()
    observed(deployment, 0, 1, 0)
    assert deployment.incident and deployment.incident.times == 2
    first = deployment.incident.started_at
    observed(deployment, 1)
    later = MOMENT + 2 * HOUR
    deployment.record_health(seen(later, 0), later)
    assert (deployment.incident.times, deployment.incident.started_at) == (1, later)
    assert first == MOMENT + MINUTE


def test_a_deployment_that_flaps_improves_only_when_it_is_steady() -> None:
    deployment = active()
    observed(deployment, *[0, 1] * 3)
    assert published(deployment) == ["deployment.unhealthy", "deployment.recovered"] * 3
    observed(deployment, 0, *[1] * 9)
    assert deployment.health and (deployment.health.status, deployment.health.running) == (
        "down",
        1,
    )
    assert deployment.health.failure
    observed(deployment, 1)
    assert deployment.health.status == "healthy"


@pytest.mark.parametrize("running", [(0, 1, 2), (1, 0), (0, 1, 1)])
def test_a_day_of_flapping_gives_few_events(running: tuple[int, ...]) -> None:
    deployment = active(count=2)
    observed(deployment, *(running * 1440)[:1440], wanted=2)
    assert len(published(deployment)) < 15


def test_a_deployment_that_has_flapped_is_not_down_while_one_of_its_tasks_serves() -> None:
    deployment = active(count=2)
    observed(deployment, *[0, 2] * 4, wanted=2)
    observed(deployment, *[1] * 8, wanted=2)
    assert deployment.health and deployment.health.status == "down"
    observed(deployment, *[1] * 60, wanted=2)
    assert deployment.health.status == "degraded"
    assert published(deployment)[-2:] == ["deployment.unhealthy"] * 2
    observed(deployment, *[2] * 10, wanted=2)
    assert deployment.health.status == "healthy"


def test_an_operation_that_ends_active_recovers_the_deployment() -> None:
    deployment = active()
    observed(deployment, 0)
    deployment.update(spec_of(count=2), MOMENT + HOUR, new_image=False)
    assert deployment.shown_health and deployment.shown_health.status == "down"
    deployment.activate(MOMENT + HOUR, 0.04)
    assert deployment.health and deployment.health.status == "healthy"
    assert published(deployment) == ["deployment.unhealthy", "deployment.recovered"]
    assert deployment.incident and deployment.incident.recovered_at == MOMENT + HOUR


def test_a_rollback_that_ends_active_is_healthy() -> None:
    deployment = rolling_back(MOMENT)
    deployment.activate(MOMENT, 0.04)
    assert deployment.health and deployment.health.status == "healthy"


def test_a_pause_ends_an_incident_without_a_recovery() -> None:
    deployment = active()
    observed(deployment, 0)
    deployment.pause(MOMENT + HOUR)
    deployment.activate(MOMENT + HOUR, 0.03)
    assert deployment.health is None and deployment.health_due_at is None
    deployment.resume(MOMENT + HOUR)
    deployment.activate(MOMENT + HOUR, 0.04)
    assert published(deployment) == ["deployment.unhealthy"]
    assert deployment.incident is None


def test_nothing_is_checked_while_an_operation_runs_or_nothing_should_serve() -> None:
    checked = [status for status in Status if in_status(status).can_be_checked]
    assert checked == [Status.ACTIVE]
