"""Step Functions on the simulated clock: start, stop, retry, catch and describe."""

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
    """An error that a state machine can name."""


class Broken(Exception):
    """Another error."""


def task(name: str, **more: Any) -> State:
    """A Task that calls the function of this name."""
    return {"Type": "Task", "Resource": name, "ResultPath": None, **({"End": True} | more)}


def one(state: State, **more: Any) -> State:
    """A state machine with one state."""
    return {"StartAt": "Only", "States": {"Only": state}, **more}


class World:
    """A state machine with functions that tests define."""

    def __init__(self, definition: State, **functions: Callable[[], Any]) -> None:
        self.clock = SimulatedClock()
        self.schedule = Schedule(self.clock)
        self.called: list[tuple[str, float]] = []
        self.events: list[dict[str, Any]] = []
        self._functions = functions
        self.states = StepFunctions(self.schedule, definition, self._function)
        self.states.watchers.append(self.events.append)

    def _function(self, name: str, event: dict[str, Any]) -> dict[str, Any]:
        self.called.append((name, self.clock.seconds()))
        return dict(self._functions.get(name, dict)() or {})

    def ask(self, operation: str, **params: Any) -> Answer:
        """Make one call to Step Functions."""
        answer = self.states.before(Call("stepfunctions", operation, params))
        assert answer is not None
        return answer

    def start(self, name: str = "a-1", text: str = "{}") -> str:
        """Start an execution and return its ARN."""
        return str(
            self.ask("StartExecution", stateMachineArn=MACHINE, name=name, input=text)[
                "executionArn"
            ]
        )

    def end(self) -> Execution:
        """Run everything to the end and return the first execution."""
        while self.schedule.next_at is not None:
            self.schedule.step()
        return next(iter(self.states.executions.values()))

    def call_times(self, name: str) -> list[float]:
        """The times of a function's calls, in simulated seconds."""
        return [moment for called, moment in self.called if called == name]

    def waits(self, name: str) -> list[float]:
        """Seconds between a function's calls, without the duration of the calls."""
        at = self.call_times(name)
        return [round(b - a) for a, b in itertools.pairwise(at)]


def times(count: int, error: type[BaseException]) -> Callable[[], None]:
    """A function that fails `count` times, and then succeeds."""
    left = [error] * count

    def function() -> None:
        if left:
            raise left.pop()

    return function


def test_starting_a_running_execution_again_returns_it() -> None:
    world = World(one(task("work")))

    assert world.start() == world.start()
    world.end()

    assert len(world.call_times("work")) == 1


@pytest.mark.parametrize("ended", [True, False])
def test_a_used_name_is_refused_for_other_input_and_after_the_end(ended: bool) -> None:
    world = World(one(task("work")))
    world.start()
    if ended:
        world.end()

    with pytest.raises(AwsError) as refused:
        world.start(text="{}" if ended else '{"other": 1}')

    assert refused.value.code == "ExecutionAlreadyExists"


def test_branches_wait_independently() -> None:
    retry = [{"ErrorEquals": ["NotReady"], "IntervalSeconds": 10, "MaxAttempts": 9}]
    slow = one(task("slow", Retry=retry))
    quick = {"StartAt": "A", "States": {"A": task("a", Next="B", End=False), "B": task("b")}}
    world = World(
        one({"Type": "Parallel", "Branches": [slow, quick], "End": True}), slow=times(1, NotReady)
    )

    world.start()

    assert world.end().status == "SUCCEEDED"
    assert world.call_times("b")[0] < world.call_times("slow")[1]


def test_a_failed_branch_stops_the_others_but_not_running_functions() -> None:
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


def test_delays_grow_by_the_backoff_rate_up_to_the_maximum() -> None:
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


def test_full_jitter_draws_a_shorter_delay() -> None:
    retry = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1000, "BackoffRate": 1}
    retry |= {"MaxAttempts": 30, "JitterStrategy": "FULL"}
    world = World(one(task("work", Retry=[retry])), work=times(30, NotReady))

    world.start()
    world.end()

    waits = world.waits("work")
    assert max(waits) <= 1002 and min(waits) < 300 and len(set(waits)) > 20


def test_zero_max_attempts_goes_directly_to_the_catcher() -> None:
    retry = [{"ErrorEquals": ["Broken"], "MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"]}]
    catch = [{"ErrorEquals": ["Broken"], "ResultPath": "$.error", "Next": "Caught"}]
    states = {
        "Only": task("work", Retry=retry, Catch=catch),
        "Caught": {"Type": "Pass", "End": True},
    }
    world = World({"StartAt": "Only", "States": states}, work=times(1, Broken))

    world.start(text='{"kept": 1}')
    output = json.loads(world.end().output or "")

    assert len(world.call_times("work")) == 1
    assert (output["kept"], output["error"]["Error"]) == (1, "Broken")


def test_a_killed_function_is_an_unknown_error() -> None:
    world = World(one(task("work")), work=times(1, Killed))

    world.start()

    assert world.end().error == "Lambda.Unknown"


def test_an_execution_ends_at_its_timeout() -> None:
    wait = {"Type": "Wait", "Seconds": 100, "Next": "Work"}
    states = {"Wait": wait, "Work": task("work")}
    world = World({"StartAt": "Wait", "States": states, "TimeoutSeconds": 60})

    world.start()

    assert world.end().status == "TIMED_OUT"
    assert world.called == []


def test_a_stopped_execution_is_aborted_and_sends_an_event() -> None:
    world = World(one(task("work", Retry=[{"ErrorEquals": ["States.ALL"]}])), work=times(1, Broken))
    arn = world.start()

    while not world.called:
        world.schedule.step()
    world.ask("StopExecution", executionArn=arn, error="Superseded")

    assert world.end().status == "ABORTED"
    assert len(world.called) == 1
    assert [detail["status"] for detail in world.events] == ["RUNNING", "ABORTED"]
    world.ask("StopExecution", executionArn=arn)  # stopping it again is no error


def test_reads_lag() -> None:
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


def test_unsupported_fields_are_refused() -> None:
    world = World(one(task("work", HeartbeatSeconds=5)))
    world.start()

    with pytest.raises(NotImplementedError, match="HeartbeatSeconds"):
        world.end()
