"""The state machine as data, and a small interpreter that runs it in process.

The interpreter knows what `statemachine/deployment.asl.json` uses: Choice, Parallel (its branches
one after the other), Task, Succeed, Fail, Retry without its waits, and Catch.
"""

import itertools
import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from chalice.utils import to_cfn_resource_name

import app

ROOT = Path(__file__).resolve().parent.parent.parent
DEFINITION: dict[str, Any] = json.loads((ROOT / "statemachine/deployment.asl.json").read_text())
TEMPLATE: dict[str, Any] = json.loads((ROOT / "infra/resources.json").read_text())
SUBSTITUTIONS: dict[str, Any] = TEMPLATE["Resources"]["StateMachine"]["Properties"][
    "DefinitionSubstitutions"
]
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
MOST_RETRIES = 5

Invoke = Callable[[str, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """A Task state, wherever it is nested."""

    name: str
    state: dict[str, Any]

    @property
    def function(self) -> str:
        """The name that app.py gives the function that it calls."""
        return function_of(self.state["Resource"])

    @property
    def step(self) -> str:
        return str(self.state["Parameters"]["step"])

    @property
    def retriers(self) -> list[dict[str, Any]]:
        return list(self.state.get("Retry", []))

    def retrier(self, error: str) -> dict[str, Any] | None:
        """The one that Step Functions would take for `error`: the first that names it."""
        return next((r for r in self.retriers if matches(r, error)), None)


def tasks(states: dict[str, Any] = DEFINITION["States"]) -> Iterator[Task]:
    """Every Task in these states and in their branches."""
    for name, state in states.items():
        if state["Type"] == "Task":
            yield Task(name, state)
        for branch in state.get("Branches", []):
            yield from tasks(branch["States"])


def tasks_of(way: str) -> list[Task]:
    """The Tasks of one way: `Converge` or `Destroy`."""
    return list(tasks({way: DEFINITION["States"][way]}))


def matches(handler: dict[str, Any], error: str) -> bool:
    """Whether a retrier or catcher is for `error`."""
    return bool({error, "States.ALL"} & set(handler["ErrorEquals"]))


def functions_by_logical_id() -> dict[str, str]:
    """The CloudFormation id that Chalice gives each function, with the function's name."""
    return {to_cfn_resource_name(f.name): f.name for f in app.app.pure_lambda_functions}


def function_of(resource: str) -> str:
    """From `${NetworkArn}` over its substitution to `network`."""
    placeholder = PLACEHOLDER.fullmatch(resource)
    assert placeholder, f"{resource} is no placeholder"
    logical_id, attribute = SUBSTITUTIONS[placeholder[1]]["Fn::GetAtt"]
    assert attribute == "Arn"
    return functions_by_logical_id()[logical_id]


def call(function: str, event: dict[str, Any]) -> dict[str, Any]:
    """Calls a Lambda function of app.py as AWS would."""
    handler = next(f for f in app.app.pure_lambda_functions if f.name == function).handler_string
    context = SimpleNamespace(aws_request_id=str(uuid.uuid4()))
    answer = getattr(app, handler.removeprefix("app."))(event, context)
    return dict(json.loads(json.dumps(answer)))


class StateFailed(Exception):
    """A state ended with an error that nothing in its own branch caught."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error, self.cause = error, cause


class Execution:
    """One execution in process.

    Attributes:
        steps: the steps in the order in which they were called, retries included.
        transitions: as Step Functions bills them: each state entered, each retry.
    """

    def __init__(self, invoke: Invoke = call) -> None:
        self.steps: list[str] = []
        self.transitions = 0
        self._invoke = invoke

    def run(self, data: dict[str, Any]) -> str:
        """Runs to the end; returns the name of the state that it ended in."""
        name, _ = self._run_states(DEFINITION, data)
        return name

    def _run_states(
        self, machine: dict[str, Any], data: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        name = machine["StartAt"]
        while True:
            state = machine["States"][name]
            self.transitions += 1
            following, data = self._run_state(state, data)
            if following is None:
                return name, data
            name = following

    def _run_state(
        self, state: dict[str, Any], data: dict[str, Any]
    ) -> tuple[str | None, dict[str, Any]]:
        if state["Type"] in ("Succeed", "Fail"):
            return None, data
        if state["Type"] == "Choice":
            return _chosen(state, data), data
        try:
            result = self._parallel(state, data) if "Branches" in state else self._task(state, data)
        except StateFailed as failed:
            catcher = next((c for c in state.get("Catch", []) if matches(c, failed.error)), None)
            if catcher is None:
                raise
            error = {"Error": failed.error, "Cause": failed.cause}
            return catcher["Next"], _placed(catcher, data, error)
        return state.get("Next"), _placed(state, data, result)

    def _parallel(self, state: dict[str, Any], data: dict[str, Any]) -> list[dict[str, Any]]:
        return [self._run_states(branch, data)[1] for branch in state["Branches"]]

    def _task(self, state: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        event = {
            key.removesuffix(".$"): data[value.removeprefix("$.")] if key.endswith(".$") else value
            for key, value in state["Parameters"].items()
        }
        task = Task("", state)
        for attempt in itertools.count(1):
            self.steps.append(event["step"])
            try:
                return self._invoke(task.function, event)
            except Exception as error:
                name = type(error).__name__
                retrier = task.retrier(name)
                most = min(retrier["MaxAttempts"], MOST_RETRIES) if retrier else 0
                if attempt > most:
                    cause = json.dumps({"errorType": name, "errorMessage": str(error)})
                    raise StateFailed(name, cause) from error
                self.transitions += 1
        raise AssertionError("not reached")


def _chosen(state: dict[str, Any], data: dict[str, Any]) -> str:
    for rule in state["Choices"]:
        tests = rule.get("Or", [rule])
        if any(data[t["Variable"].removeprefix("$.")] == t["StringEquals"] for t in tests):
            return str(rule["Next"])
    return str(state["Default"])


def _placed(state: dict[str, Any], data: dict[str, Any], result: Any) -> Any:
    """What goes on to the next state, by `ResultPath`."""
    path = state.get("ResultPath", "$")
    if path is None:
        return data
    return result if path == "$" else {**data, path.removeprefix("$."): result}
