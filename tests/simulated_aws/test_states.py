"""Step Functions on the simulated clock: what is started, stopped, retried, caught and seen."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.simulated_aws.aws import Answer, AwsError, Call
from tests.support.simulated_aws.clock import SimulatedClock
from tests.support.simulated_aws.schedule import Schedule
from tests.support.simulated_aws.states import LAG, Execution, Killed, StepFunctions

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:slipway"
State = dict[str, Any]


class NotReady(Exception):
    """An error by name."""


class Broken(Exception):
    """Another one."""


def task(name: str, **more: Any) -> State:
    """A Task that calls the function of this name."""
    return {"Type": "Task", "Resource": name, "ResultPath": None, **({"End": True} | more)}


def one(state: State, **more: Any) -> State:
    """A state machine of one state."""
    return {"StartAt": "Only", "States": {"Only": state}, **more}


class World:
    """A state machine with functions that do as they are told."""

    def __init__(self, definition: State, **functions: Callable[[], Any]) -> None:
        self.clock = SimulatedClock()
        self.schedule = Schedule(self.clock)
        self.called: list[tuple[str, float]] = []
        self.told: list[dict[str, Any]] = []
        self._functions = functions
        self.states = StepFunctions(self.schedule, definition, self._function)
        self.states.watchers.append(self.told.append)

    def _function(self, name: str, event: dict[str, Any]) -> dict[str, Any]:
        self.called.append((name, self.clock.seconds()))
        return dict(self._functions.get(name, dict)() or {})

    def ask(self, operation: str, **params: Any) -> Answer:
        """One call."""
        answer = self.states.before(Call("stepfunctions", operation, params))
        assert answer is not None
        return answer

    def start(self, name: str = "a-1", text: str = "{}") -> str:
        """Starts an execution; its ARN."""
        return str(
            self.ask("StartExecution", stateMachineArn=MACHINE, name=name, input=text)[
                "executionArn"
            ]
        )

    def end(self) -> Execution:
        """Runs all there is to run; the execution that was started first."""
        while self.schedule.next_at is not None:
            self.schedule.step()
        return next(iter(self.states.executions.values()))

    def moments(self, name: str) -> list[float]:
        """When a function was called, in simulated seconds."""
        return [moment for called, moment in self.called if called == name]

    def waits(self, name: str) -> list[float]:
        """Seconds between its calls, without what a call takes itself."""
        at = self.moments(name)
        return [round(b - a) for a, b in itertools.pairwise(at)]


def times(count: int, error: type[BaseException]) -> Callable[[], None]:
    """A function that fails so many times, and then succeeds."""
    left = [error] * count

    def function() -> None:
        if left:
            raise left.pop()

    return function


def test_a_second_start_of_the_same_while_it_runs_is_the_first() -> None:
    world = World(one(task("work")))

    assert world.start() == world.start()
    world.end()

    assert len(world.moments("work")) == 1


@pytest.mark.parametrize("ended", [True, False])
def test_a_name_is_refused_for_other_work_and_after_its_end(ended: bool) -> None:
    world = World(one(task("work")))
    world.start()
    if ended:
        world.end()

    with pytest.raises(AwsError) as refused:
        world.start(text="{}" if ended else '{"other": 1}')

    assert refused.value.code == "ExecutionAlreadyExists"


def test_each_branch_waits_by_itself() -> None:
    retry = [{"ErrorEquals": ["NotReady"], "IntervalSeconds": 10, "MaxAttempts": 9}]
    slow = one(task("slow", Retry=retry))
    quick = {"StartAt": "A", "States": {"A": task("a", Next="B", End=False), "B": task("b")}}
    world = World(
        one({"Type": "Parallel", "Branches": [slow, quick], "End": True}), slow=times(1, NotReady)
    )

    world.start()

    assert world.end().status == "SUCCEEDED"
    assert world.moments("b")[0] < world.moments("slow")[1]


def test_a_branch_that_fails_stops_the_others_but_not_a_function_that_runs() -> None:
    behind = {"StartAt": "A", "States": {"A": task("a", Next="B", End=False), "B": task("b")}}
    failing = one(task("fails"))
    parallel = {"Type": "Parallel", "Branches": [failing, behind], "End": True}
    world = World(one(parallel), fails=times(1, Broken))

    world.start()
    execution = world.end()

    assert (execution.status, execution.error) == ("FAILED", "Broken")
    assert json.loads(execution.cause or "")["errorType"] == "Broken"
    assert [name for name, _ in world.called if name != "fails"] in (["a"], ["a", "b"])


def test_each_retrier_counts_its_own_attempts() -> None:
    retry = [
        {"ErrorEquals": ["NotReady"], "IntervalSeconds": 10, "BackoffRate": 1, "MaxAttempts": 2},
        {"ErrorEquals": ["Broken"], "IntervalSeconds": 50, "MaxAttempts": 1},
    ]
    errors = [NotReady, Broken, NotReady]
    world = World(one(task("work", Retry=retry)), work=lambda: _raise(errors))

    world.start()

    assert world.end().status == "SUCCEEDED"
    assert [round(wait, -1) for wait in world.waits("work")] == [10, 50, 10]


def _raise(errors: list[type[Exception]]) -> None:
    if errors:
        raise errors.pop(0)


def test_waits_grow_by_the_rate_up_to_the_longest() -> None:
    retry = [
        {
            "ErrorEquals": ["States.ALL"],
            "IntervalSeconds": 100,
            "BackoffRate": 2,
            "MaxDelaySeconds": 300,
            "MaxAttempts": 4,
        }
    ]
    world = World(one(task("work", Retry=retry)), work=times(9, NotReady))

    world.start()

    assert world.end().error == "NotReady"
    assert [round(wait, -1) for wait in world.waits("work")] == [100, 200, 300, 300]


def test_full_jitter_draws_below_the_wait() -> None:
    retry = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1000, "BackoffRate": 1}
    retry |= {"MaxAttempts": 30, "JitterStrategy": "FULL"}
    world = World(one(task("work", Retry=[retry])), work=times(30, NotReady))

    world.start()
    world.end()

    waits = world.waits("work")
    assert max(waits) <= 1002 and min(waits) < 300 and len(set(waits)) > 20


def test_no_attempts_goes_straight_to_the_catcher() -> None:
    retry = [{"ErrorEquals": ["Broken"], "MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"]}]
    catch = [{"ErrorEquals": ["Broken"], "ResultPath": "$.error", "Next": "Told"}]
    states = {"Only": task("work", Retry=retry, Catch=catch), "Told": {"Type": "Pass", "End": True}}
    world = World({"StartAt": "Only", "States": states}, work=times(1, Broken))

    world.start(text='{"kept": 1}')
    output = json.loads(world.end().output or "")

    assert len(world.moments("work")) == 1
    assert (output["kept"], output["error"]["Error"]) == (1, "Broken")


def test_a_killed_function_is_an_unknown_error() -> None:
    world = World(one(task("work")), work=times(1, Killed))

    world.start()

    assert world.end().error == "Lambda.Unknown"


def test_an_execution_ends_at_its_time_out() -> None:
    wait = {"Type": "Wait", "Seconds": 100, "Next": "Work"}
    states = {"Wait": wait, "Work": task("work")}
    world = World({"StartAt": "Wait", "States": states, "TimeoutSeconds": 60})

    world.start()

    assert world.end().status == "TIMED_OUT"
    assert world.called == []


def test_a_stopped_execution_is_aborted_and_told() -> None:
    world = World(one(task("work", Retry=[{"ErrorEquals": ["States.ALL"]}])), work=times(1, Broken))
    arn = world.start()

    while not world.called:
        world.schedule.step()
    world.ask("StopExecution", executionArn=arn, error="Superseded")

    assert world.end().status == "ABORTED"
    assert len(world.called) == 1
    assert [detail["status"] for detail in world.told] == ["RUNNING", "ABORTED"]
    world.ask("StopExecution", executionArn=arn)  # again is no error


def test_reads_lag_behind() -> None:
    world = World(one(task("work")))
    arn = world.start()
    with pytest.raises(AwsError):
        world.ask("DescribeExecution", executionArn=arn)

    world.end()
    assert world.ask("ListExecutions", stateMachineArn=MACHINE)["executions"] == []
    world.clock.advance_to(world.clock.seconds() + LAG)

    assert world.ask("DescribeExecution", executionArn=arn)["status"] == "SUCCEEDED"


def test_a_list_is_newest_first_and_paged() -> None:
    world = World(one(task("work")))
    for name in ("a-1", "a-2", "a-3"):
        world.start(name)
    world.end()
    world.clock.advance_to(60)

    first = world.ask("ListExecutions", stateMachineArn=MACHINE, maxResults=2)
    rest = world.ask("ListExecutions", stateMachineArn=MACHINE, nextToken=first["nextToken"])

    assert [e["name"] for e in first["executions"] + rest["executions"]] == ["a-3", "a-2", "a-1"]
    assert "nextToken" not in rest
    running = world.ask("ListExecutions", stateMachineArn=MACHINE, statusFilter="RUNNING")
    assert running["executions"] == []


def test_what_the_interpreter_does_not_know_is_refused() -> None:
    world = World(one(task("work", HeartbeatSeconds=5)))
    world.start()

    with pytest.raises(NotImplementedError, match="HeartbeatSeconds"):
        world.end()
