"""The state machine as data, and one execution of it in process."""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from chalice.utils import to_cfn_resource_name

import app
from infra.template import resources
from statemachine.definition import definition
from tests.support.project import ROOT
from tests.support.simulated_aws.asl import first_for
from tests.support.simulated_aws.aws import Call as AwsCall
from tests.support.simulated_aws.clock import SimulatedClock
from tests.support.simulated_aws.schedule import Schedule
from tests.support.simulated_aws.states import StepFunctions

DEFINITION: dict[str, Any] = definition()
TEMPLATE: dict[str, Any] = resources(ROOT)
SUBSTITUTIONS: dict[str, Any] = TEMPLATE["Resources"]["StateMachine"]["Properties"][
    "DefinitionSubstitutions"
]
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")

Invoke = Callable[[str, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """A Task state at any nesting level."""

    name: str
    state: dict[str, Any]

    @property
    def function(self) -> str:
        """The name in app.py of the function that the task calls."""
        return function_of(self.state["Resource"])

    @property
    def step(self) -> str:
        return str(self.state["Parameters"]["step"])

    @property
    def retriers(self) -> list[dict[str, Any]]:
        return list(self.state.get("Retry", []))

    def retrier(self, error: str) -> dict[str, Any] | None:
        """The retrier that Step Functions uses for `error`: the first that names it."""
        return first_for(self.retriers, error)


def tasks(states: dict[str, Any] = DEFINITION["States"]) -> Iterator[Task]:
    """All Tasks in these states and in their branches."""
    for name, state in states.items():
        if state["Type"] == "Task":
            yield Task(name, state)
        for branch in state.get("Branches", []):
            yield from tasks(branch["States"])


def tasks_of(way: str) -> list[Task]:
    """The Tasks of one path: `Converge` or `Destroy`."""
    return list(tasks({way: DEFINITION["States"][way]}))


def functions_by_logical_id() -> dict[str, str]:
    """Logical ID that Chalice generates -> name, for each function that runs steps."""
    return {id: name for id, name in _all_functions().items() if not events_of(id)}


def workers_by_logical_id() -> dict[str, str]:
    """Logical ID -> name, for each function that the table's stream wakes."""
    return {
        id: name
        for id, name in _all_functions().items()
        if any(event["Type"] == "DynamoDB" for event in events_of(id).values())
    }


def events_of(logical_id: str) -> dict[str, Any]:
    """The template's event sources of a function."""
    properties = TEMPLATE["Resources"].get(logical_id, {}).get("Properties", {})
    return dict(properties.get("Events", {}))


def _all_functions() -> dict[str, str]:
    return {to_cfn_resource_name(f.name): f.name for f in app.app.pure_lambda_functions}


def function_of(resource: str) -> str:
    """Resolve `${NetworkArn}` through its substitution to `network`."""
    placeholder = PLACEHOLDER.fullmatch(resource)
    assert placeholder, f"{resource} is not a placeholder"
    logical_id, attribute = SUBSTITUTIONS[placeholder[1]]["Fn::GetAtt"]
    assert attribute == "Arn"
    return functions_by_logical_id()[logical_id]


def call(function: str, event: dict[str, Any]) -> dict[str, Any]:
    """Call a Lambda function of app.py as AWS does."""
    handler = next(f for f in app.app.pure_lambda_functions if f.name == function).handler_string
    context = SimpleNamespace(aws_request_id=str(uuid.uuid4()))
    answer = getattr(app, handler.removeprefix("app."))(event, context)
    return dict(json.loads(json.dumps(answer)))


class Execution:
    """One execution in process, with its own clock: its waits take no time.

    Attributes:
        steps: the called steps in order, including retries.
        transitions: the number that Step Functions bills: each entered state and each retry.
    """

    def __init__(self, invoke: Invoke = call) -> None:
        self.steps: list[str] = []
        self.transitions = 0
        self._invoke = invoke

    def run(self, data: dict[str, Any]) -> str:
        """Run to the end and return the name of the last state."""
        schedule = Schedule(SimulatedClock())
        states = StepFunctions(schedule, DEFINITION, self._call)
        started = {"stateMachineArn": "", "name": "one", "input": json.dumps(data)}
        states.before(AwsCall("stepfunctions", "StartExecution", started))
        (execution,) = states.executions.values()
        while execution.status == "RUNNING":
            schedule.step()
        self.transitions = execution.interpreter.transitions
        return execution.interpreter.last

    def _call(self, resource: str, event: dict[str, Any]) -> dict[str, Any]:
        self.steps.append(event["step"])
        return self._invoke(function_of(resource), event)
