"""What a deployment uses of its owner's quota, and which limits a request would exceed."""

from collections.abc import Callable

import pytest

from chalicelib.domain import quota
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.parts import Leftover
from chalicelib.domain.quota import Exceeded, Limit, Use, held
from chalicelib.domain.record import Status
from chalicelib.workflow import recovery
from tests.support.builders import (
    MOMENT,
    active,
    deployment_of,
    failure_of,
    in_status,
    rolling_back,
    spec_of,
    tearing_down_failed_create,
    without_tasks,
)

LIMITS = (Limit("deployments", "D", 20), Limit("tasks", "T", 50), Limit("vcpu", "V", 32))
NONE = Use()


def size(count: int = 1, cpu: int = 256) -> Use:
    return Use(1, count, count * cpu)


def updating(**change: object) -> Deployment:
    deployment = active(count=2)
    deployment.update(spec_of(**{"count": 2, **change}), MOMENT, new_image=False)
    return deployment


def left(kind: str) -> Deployment:
    deployment = active()
    deployment.delete(MOMENT)
    deployment.settle([Leftover(kind=kind, name="x", reason="held")], MOMENT)
    deployment.end_failed(MOMENT)
    return deployment


# --- held quota ----------------------------------------------------------------------------


NOT_ALL = (Status.DELETED, Status.UPDATING, Status.PAUSED)


@pytest.mark.parametrize("status", [s for s in Status if s not in NOT_ALL])
def test_quota_is_held_until_aws_confirms_the_deletion(status: Status) -> None:
    assert held(in_status(status)) == size()


def test_an_autoscaled_deployment_holds_its_maximum() -> None:
    scaling = {"min": 1, "max": 5, "metric": "cpu", "target": 60}
    assert quota.held(active(scaling=scaling)) == size(5)
    back = active(scaling=scaling)
    back.update(spec_of(count=2), MOMENT, new_image=False)
    assert quota.held(back) == size(5)  # a failure goes back to it


def test_a_paused_deployment_holds_no_tasks_once_none_runs() -> None:
    deployment = active(count=2)
    deployment.pause(MOMENT)
    assert quota.held(deployment) == size(2)  # a failure goes back to it
    deployment.activate(MOMENT, 0.0)
    assert quota.held(deployment) == size(0)
    deployment.resume(MOMENT)
    assert quota.held(deployment) == size(2)


def test_a_deleted_deployment_holds_nothing() -> None:
    assert held(in_status(Status.DELETED)) == NONE


def test_a_failed_create_holds_its_quota_until_it_is_torn_down() -> None:
    deployment = tearing_down_failed_create()
    assert held(deployment) == size()
    deployment.end_torn_down(MOMENT)
    assert (deployment.status, held(deployment)) == (Status.FAILED, Use(deployments=1))
    deployment.retry(MOMENT, 0.04)
    assert held(deployment) == size()


@pytest.mark.parametrize(
    ("kind", "holds"),
    [("security_group", Use(1)), ("service", size()), ("unknown", size())],
)
def test_remaining_tasks_count_while_the_service_exists(kind: str, holds: Use) -> None:
    deployment = left(kind)
    assert held(deployment) == holds
    deployment.retry(MOMENT, 0.04)
    assert (deployment.status, held(deployment)) == (Status.DELETING, holds)


def test_vcpu_depends_on_tasks_and_size() -> None:
    assert held(deployment_of(count=3, cpu=1024, memory=2048)) == Use(1, 3, 3072)


def test_a_deployment_without_tasks_counts_as_a_deployment() -> None:
    assert held(without_tasks()) == Use(1)


def test_an_update_to_less_holds_the_previous_use() -> None:
    deployment = updating(count=1)
    assert held(deployment) == size(2)
    deployment.activate(MOMENT, 0.04)
    assert held(deployment) == size(1)


def test_an_update_to_fewer_but_larger_tasks_holds_the_most_of_each() -> None:
    assert held(updating(count=1, cpu=1024, memory=2048)) == Use(1, 2, 1024)


def test_an_update_to_more_holds_it_immediately() -> None:
    assert held(updating(count=3)) == size(3)


# --- only a caller raises the use ------------------------------------------------------------


def _fails(deployment: Deployment) -> None:
    deployment.fail("await_ready", failure_of("await_ready"), MOMENT)
    recovery.recover(deployment, {}, MOMENT)


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (lambda: updating(count=1), _fails),
        (lambda: updating(count=3), _fails),
        (lambda: updating(count=1), lambda d: d.withdraw_update(2, MOMENT)),
        (lambda: updating(count=3), lambda d: d.activate(MOMENT, 0.04)),
        (lambda: rolling_back(MOMENT), _fails),
        (lambda: rolling_back(MOMENT), lambda d: d.activate(MOMENT, 0.04)),
        (deployment_of, _fails),
        (deployment_of, lambda d: d.continue_operation("died", MOMENT)),
        (active, lambda d: d.repair("drift", MOMENT)),
        (active, lambda d: d.delete(MOMENT)),
        (lambda: in_status(Status.DELETING), lambda d: d.end_torn_down(MOMENT)),
    ],
)
def test_background_work_never_raises_the_use(
    make: Callable[[], Deployment], change: Callable[[Deployment], object]
) -> None:
    deployment = make()
    before = held(deployment)
    change(deployment)
    assert not held(deployment).exceeds(before)


# --- limits --------------------------------------------------------------------------------


def test_a_limit_can_be_reached() -> None:
    assert quota.exceeded(LIMITS, Use(19, 49, 31 * 1024), NONE, Use(1, 1, 1024)) == []


def test_every_exceeded_limit_is_reported() -> None:
    excess = quota.exceeded(LIMITS, Use(20, 50, 32 * 1024), NONE, Use(1, 2, 512))
    assert excess == [
        Exceeded("deployments", 20, 20, 1),
        Exceeded("tasks", 50, 50, 2),
        Exceeded("vcpu", 32, 32.0, 0.5),
    ]


def test_an_owner_above_a_lowered_limit_can_reduce_its_use() -> None:
    """Four tasks of 4 vCPU become five of 1: over the limit of vCPU, but less than before."""
    before, after = Use(1, 4, 4 * 4096), Use(1, 5, 5 * 1024)
    assert quota.exceeded(LIMITS, Use(1, 4, 64 * 1024), before, after) == []


def test_the_refusal_names_limit_use_and_fix() -> None:
    refused = quota.refusal("team-a", [Exceeded("tasks", 50, 49, 2)], LIMITS)
    assert "50 tasks (49 used, 2 more requested)" in refused.detail
    assert "raise T." in refused.detail
    assert refused.headers == {"Retry-After": "60"}
