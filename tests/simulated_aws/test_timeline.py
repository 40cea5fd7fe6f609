"""Due actions run in order when the timeline catches up."""

from __future__ import annotations

from tests.support.simulated_aws.clock import START, SimulatedClock
from tests.support.simulated_aws.timeline import Timeline
from tests.support.simulated_aws.times import LOAD_BALANCER_ACTIVE, Times


def test_actions_run_in_order_each_at_its_due_time() -> None:
    clock, came = SimulatedClock(), []
    timeline = Timeline(clock)
    timeline.after(20, lambda: came.append(("later", timeline.now)))
    timeline.after(10, lambda: came.append(("sooner", timeline.now)))
    timeline.after(10, lambda: came.append(("then", timeline.now)))
    timeline.after(30, lambda: came.append(("never", timeline.now)))
    clock.advance_to(25)
    timeline.catch_up()

    assert came == [("sooner", 10), ("then", 10), ("later", 20)]
    assert timeline.now == 25
    assert timeline.next_due() == 30


def test_a_follow_up_action_counts_from_its_parents_due_time() -> None:
    clock, came = SimulatedClock(), []
    timeline = Timeline(clock)
    timeline.after(10, lambda: timeline.after(5, lambda: came.append(timeline.now)))
    clock.advance_to(100)
    timeline.catch_up()

    assert came == [15]


def test_an_action_that_calls_aws_does_not_start_another_catch_up() -> None:
    clock, came = SimulatedClock(), []
    timeline = Timeline(clock)

    def first() -> None:
        timeline.catch_up()
        came.append("first")

    timeline.after(1, first)
    timeline.after(2, lambda: came.append("second"))
    clock.advance_to(3)
    timeline.catch_up()

    assert came == ["first", "second"]


def test_times_equal_slipways_clock() -> None:
    clock = SimulatedClock()
    clock.advance_to(61.5)

    assert Timeline(clock).moment() == clock.now()
    assert Timeline(clock).moment(0) == START


def test_the_same_seed_draws_the_same() -> None:
    drawn = [[Times(seed).draw(LOAD_BALANCER_ACTIVE) for seed in (1, 2, 3)] for _ in range(2)]

    assert drawn[0] == drawn[1]
    assert set(drawn[0]) <= set(LOAD_BALANCER_ACTIVE)
