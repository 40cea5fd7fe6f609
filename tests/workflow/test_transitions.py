"""The state transitions of a normal deploy, from the definition's own numbers."""

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.workflow.readiness import EARLIEST_ACTIVE
from tests.workflow.machine import DEFINITION, Task, tasks_of

BUDGET = 60
# After the load balancer is active, a target passes its first check, every 5 s by default.
FIRST_HEALTH_CHECK = 10
# Seconds from the load balancer's creation until it was active, as measured on AWS.
MEASURED = (92, 126, 133, 135, 139, 141, 142, 145, 148, 156, 156, 162, 164, 172, 172, 176, 182, 187)


def states_entered(states: dict[str, Any]) -> int:
    """All states of a path without a Choice. Each is entered once."""
    branches = [branch for state in states.values() for branch in state.get("Branches", [])]
    return len(states) + sum(states_entered(branch["States"]) for branch in branches)


def intervals(retrier: dict[str, Any]) -> Iterator[float]:
    """The delays of one retrier. Step Functions counts each retrier's attempts separately."""
    wait, longest = retrier["IntervalSeconds"], retrier.get("MaxDelaySeconds", float("inf"))
    for _ in range(retrier["MaxAttempts"]):
        yield min(wait, longest)
        wait *= retrier["BackoffRate"]


def await_ready_retries(await_ready: Task, ready_after: float) -> int:
    """Retries of await_ready until it finds the deployment ready.

    This is an upper bound: the first check is immediate, and a check takes no time.
    """
    early, late = await_ready.retrier("StillProvisioning"), await_ready.retrier("NotReady")
    assert early and late
    rarely, often = intervals(early), intervals(late)
    elapsed, count = 0.0, 0
    while elapsed < ready_after:
        waits = rarely if elapsed < EARLIEST_ACTIVE.total_seconds() else often
        elapsed += next(waits)
        count += 1
    return count


def transitions(active_after: float) -> int:
    """The transitions of one deploy, from the start to Done."""
    converge = DEFINITION["States"]["Converge"]
    around = len(["ChooseWay", "Done"])
    await_ready = next(task for task in tasks_of("Converge") if task.step == "await_ready")
    retries = await_ready_retries(await_ready, active_after + FIRST_HEALTH_CHECK)
    return around + states_entered({"Converge": converge}) + retries


@pytest.mark.parametrize("active_after", sorted(set(MEASURED)))
def test_a_deploy_stays_within_the_budget(active_after: int) -> None:
    assert transitions(active_after) <= BUDGET


@pytest.mark.parametrize("active_after", sorted(set(MEASURED)))
def test_an_active_load_balancer_is_noticed_soon(active_after: int) -> None:
    """Fewer transitions must not delay the caller."""
    await_ready = next(task for task in tasks_of("Converge") if task.step == "await_ready")
    late = await_ready.retrier("NotReady")
    assert late
    after = list(intervals(late))[: await_ready_retries(await_ready, active_after)]

    assert max(after) <= 10


def test_rare_checks_last_until_a_load_balancer_can_be_active() -> None:
    await_ready = next(task for task in tasks_of("Converge") if task.step == "await_ready")
    early = await_ready.retrier("StillProvisioning")

    assert early and sum(intervals(early)) > EARLIEST_ACTIVE.total_seconds()
    assert min(MEASURED) > EARLIEST_ACTIVE.total_seconds()
