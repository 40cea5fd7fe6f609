"""The parts of Amazon States Language that Slipway's state machine uses.

The interpreter refuses a field that it does not support; it never ignores one.

https://states-language.net/spec.html
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from tests.support.simulated_aws.schedule import Routine, Wish, sleep, together

State = dict[str, Any]
# Takes a state's `Resource` and its input; the wait ends with the function's result.
Invoke = Callable[[str, dict[str, Any]], Wish]

COMMON = {"Type", "Comment", "Next", "End"}
KNOWN = {
    "Task": {"Resource", "Parameters", "ResultPath", "Retry", "Catch"},
    "Parallel": {"Branches", "ResultPath", "Retry", "Catch"},
    "Choice": {"Choices", "Default"},
    "Wait": {"Seconds"},
    "Pass": {"Parameters", "Result", "ResultPath"},
    "Succeed": set(),
    "Fail": {"Error", "Cause"},
}
# `States.ALL` does not match these.
UNCATCHABLE = {"States.DataLimitExceeded", "States.Runtime"}
DEFAULTS = {"IntervalSeconds": 1, "MaxAttempts": 3, "BackoffRate": 2.0}


class StateFailed(Exception):
    """A state ended with an error that no state has caught yet."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error, self.cause = error, cause


class Interpreter:
    """One execution's states.

    Attributes:
        transitions: the number that Step Functions bills: each entered state and each retry.
        last: the name of the last entered state.
    """

    def __init__(self, invoke: Invoke, randomness: random.Random) -> None:
        self.transitions = 0
        self.last = ""
        self._invoke, self._random = invoke, randomness

    def run(self, machine: State, data: Any) -> Routine:
        """Run from `StartAt` to an end state. Return the output or raise `StateFailed`."""
        name = machine["StartAt"]
        while name is not None:
            state = machine["States"][name]
            check(name, state)
            self.transitions += 1
            self.last = name
            name, data = yield from self._run_state(state, data)
        return data

    def _run_state(self, state: State, data: Any) -> Routine:
        kind = state["Type"]
        if kind == "Choice":
            return chosen(state, data), data
        if kind == "Fail":
            raise StateFailed(state.get("Error", ""), state.get("Cause", ""))
        if kind == "Wait":
            yield sleep(state["Seconds"])
        elif kind == "Pass":
            result = state["Result"] if "Result" in state else parameters(state, data)
            data = placed(state, data, result)
        elif kind in ("Task", "Parallel"):
            return (yield from self._run_work(state, data))
        return state.get("Next"), data

    def _run_work(self, state: State, data: Any) -> Routine:
        """Run a Task or a Parallel state with its `Retry` and `Catch`."""
        attempts: dict[int, int] = {}
        while True:
            try:
                result = yield from self._attempt(state, data)
                return state.get("Next"), placed(state, data, result)
            except StateFailed as failed:
                delay = self._delay(state, failed.error, attempts)
                if delay is None:
                    catcher = first_for(state.get("Catch", []), failed.error)
                    if catcher is None:
                        raise
                    error_output = {"Error": failed.error, "Cause": failed.cause}
                    return catcher["Next"], placed(catcher, data, error_output)
            self.transitions += 1
            yield sleep(delay)

    def _attempt(self, state: State, data: Any) -> Routine:
        if state["Type"] == "Parallel":
            return (yield together([self.run(branch, data) for branch in state["Branches"]]))
        return (yield self._invoke(state["Resource"], parameters(state, data)))

    def _delay(self, state: State, error: str, attempts: dict[int, int]) -> float | None:
        """Seconds until the next attempt, or None. Each retrier counts its own attempts."""
        retriers = state.get("Retry", [])
        retrier = first_for(retriers, error)
        if retrier is None:
            return None
        number = retriers.index(retrier)
        how = {**DEFAULTS, **retrier}
        previous = attempts.get(number, 0)
        if previous >= how["MaxAttempts"]:
            return None
        attempts[number] = previous + 1
        delay = float(how["IntervalSeconds"]) * float(how["BackoffRate"]) ** previous
        delay = min(delay, float(how.get("MaxDelaySeconds", delay)))
        return self._random.uniform(0, delay) if how.get("JitterStrategy") == "FULL" else delay


def check(name: str, state: State) -> None:
    """Raise `NotImplementedError` for a field that this interpreter does not support."""
    unknown = set(state) - COMMON - KNOWN.get(state["Type"], set())
    if state["Type"] not in KNOWN or unknown:
        raise NotImplementedError(f"{name}: {state['Type']} with {sorted(unknown)}")


def matches(handler: State, error: str) -> bool:
    """Whether a retrier or catcher applies to `error`."""
    names = set(handler["ErrorEquals"])
    if error in names or ("States.TaskFailed" in names and error != "States.Timeout"):
        return True
    return "States.ALL" in names and error not in UNCATCHABLE


def first_for(handlers: list[State], error: str) -> State | None:
    """The first retrier or catcher that matches `error`, in Step Functions' order."""
    return next((handler for handler in handlers if matches(handler, error)), None)


def parameters(state: State, data: Any) -> Any:
    """A state's input after `Parameters`."""
    return filled(state["Parameters"], data) if "Parameters" in state else data


def filled(template: Any, data: Any) -> Any:
    """A payload template with its `.$` fields replaced by their values."""
    if not isinstance(template, dict):
        return template
    return {
        key.removesuffix(".$"): at(data, value) if key.endswith(".$") else filled(value, data)
        for key, value in template.items()
    }


def at(data: Any, path: str) -> Any:
    """The value at a reference path such as `$.error.Cause`. Raises `StateFailed`."""
    value = data
    for part in path.removeprefix("$").split(".")[1:]:
        if not isinstance(value, dict) or part not in value:
            raise StateFailed("States.Runtime", f"{path} is not in {json.dumps(data)}")
        value = value[part]
    return value


def placed(state: State, data: Any, result: Any) -> Any:
    """A state's output after `ResultPath`."""
    path = state.get("ResultPath", "$")
    if path is None:
        return data
    return result if path == "$" else {**data, path.removeprefix("$."): result}


def chosen(state: State, data: Any) -> str:
    """The name of the state that a Choice selects."""
    for rule in state["Choices"]:
        if holds(rule, data):
            return str(rule["Next"])
    if "Default" not in state:
        raise StateFailed("States.NoChoiceMatched", json.dumps(data))
    return str(state["Default"])


def holds(rule: State, data: Any) -> bool:
    """Whether a Choice rule is true for the input."""
    if "And" in rule:
        return all(holds(part, data) for part in rule["And"])
    if "Or" in rule:
        return any(holds(part, data) for part in rule["Or"])
    if "Not" in rule:
        return not holds(rule["Not"], data)
    (operator,) = set(rule) - {"Variable", "Next", "Comment"}
    if operator == "IsPresent":
        try:
            at(data, rule["Variable"])
        except StateFailed:
            return not rule["IsPresent"]
        return bool(rule["IsPresent"])
    if operator not in ("StringEquals", "BooleanEquals", "NumericEquals"):
        raise NotImplementedError(operator)
    return bool(at(data, rule["Variable"]) == rule[operator])
