"""The state machine matches the template, app.py and the errors, and its retries last."""

import itertools
import json
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from chalicelib.domain import errors, plan
from chalicelib.domain.operation import CONVERGE_DEADLINE, DESTROY_DEADLINE
from chalicelib.domain.spec.health_check import HealthCheck
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform import clock
from chalicelib.store import work
from tests.workflow.machine import (
    DEFINITION,
    PLACEHOLDER,
    ROOT,
    SUBSTITUTIONS,
    TEMPLATE,
    Task,
    events_of,
    functions_by_logical_id,
    tasks,
    tasks_of,
    workers_by_logical_id,
)

STEPS = [*tasks_of("Converge"), *tasks_of("Destroy")]
# Errors that a step raises while it waits for AWS. They are not failures.
PASSING = ("NotReady", "StillProvisioning", "Throttled", "Retryable")
FINAL = ("DeploymentFailed", "Superseded")


def _longest(model: type[BaseModel], field: str) -> timedelta:
    (most,) = (m.le for m in model.model_fields[field].metadata if hasattr(m, "le"))
    return timedelta(seconds=int(most))


LONGEST_CONVERGE = (
    CONVERGE_DEADLINE + _longest(HealthCheck, "grace") + _longest(Spec, "request_timeout")
)


def by_name(task: Task) -> str:
    return task.name


def names_in(definition: Any) -> set[str]:
    """Every error name in the definition."""
    if isinstance(definition, list):
        return set().union(*map(names_in, definition)) if definition else set()
    if not isinstance(definition, dict):
        return set()
    own = set(definition.get("ErrorEquals", []))
    return own.union(*map(names_in, definition.values()))


def test_placeholders_substitutions_and_functions_are_the_same() -> None:
    placeholders = set(PLACEHOLDER.findall(json.dumps(DEFINITION)))
    logical_ids = {value["Fn::GetAtt"][0] for value in SUBSTITUTIONS.values()}

    assert placeholders == set(SUBSTITUTIONS)
    assert {f"{logical_id}Arn" for logical_id in logical_ids} == placeholders
    assert logical_ids == set(functions_by_logical_id())


def test_the_functions_are_those_of_the_plan() -> None:
    assert set(functions_by_logical_id().values()) == set(plan.Function)


def test_items_can_wake_every_worker() -> None:
    assert set(workers_by_logical_id().values()) == {work.COURIER, work.CHAT_WORKER}


@pytest.mark.parametrize(("logical_id", "name"), workers_by_logical_id().items())
def test_a_worker_is_woken_by_its_items_and_by_the_sweep(logical_id: str, name: str) -> None:
    events = {event["Type"]: event["Properties"] for event in events_of(logical_id).values()}

    assert events["Schedule"] == {"Schedule": "rate(1 minute)"}
    assert events["DynamoDB"]["Stream"] == {"Fn::GetAtt": ["Table", "StreamArn"]}
    (pattern,) = events["DynamoDB"]["FilterCriteria"]["Filters"]
    wake = work.due_now(name, clock.now())["wake"]
    assert json.loads(pattern["Pattern"]) == {"dynamodb": {"NewImage": {"wake": {"S": [wake]}}}}


def test_the_stream_includes_what_a_worker_reads() -> None:
    table = TEMPLATE["Resources"]["Table"]["Properties"]

    assert table["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}


def predecessors(states: dict[str, Any], before: frozenset[str] = frozenset()) -> dict[str, Any]:
    """For each step in these states, the steps that end before it starts."""
    found: dict[str, Any] = {}
    for state in states.values():  # in the order in which they run
        inside = {state["Parameters"]["step"]: before} if state["Type"] == "Task" else {}
        for branch in state.get("Branches", []):
            inside |= predecessors(branch["States"], before)
        found |= inside
        before = before | frozenset(inside)
    return found


def test_a_step_runs_after_the_steps_that_it_needs() -> None:
    ended = predecessors({"Destroy": DEFINITION["States"]["Destroy"]})

    assert ended.keys() == {step.name for step in plan.DESTROY}
    for step in plan.DESTROY:
        assert set(step.needs) <= ended[step.name]


def test_the_definition_can_be_printed_for_review() -> None:
    command = [sys.executable, "-m", "statemachine.definition"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout

    assert json.loads(printed) == DEFINITION


def test_every_error_name_is_a_class_that_steps_raise() -> None:
    own = {name for name in names_in(DEFINITION) if not name.startswith("States.")}
    classes = {name for name in own if issubclass(getattr(errors, name), errors.WorkflowError)}

    assert own == classes
    assert {*PASSING, *FINAL} == {cls.__name__ for cls in errors.WorkflowError.__subclasses__()}


@pytest.mark.parametrize("task", STEPS, ids=by_name)
def test_a_step_is_retried_only_for_transient_errors(task: Task) -> None:
    for error in PASSING:
        retrier = task.retrier(error)
        assert retrier and retrier["MaxAttempts"] > 0
    for error in FINAL:
        retrier = task.retrier(error)
        assert retrier and retrier["MaxAttempts"] == 0
    assert "NotReady" in (task.retrier("NotReady") or {})["ErrorEquals"]


@pytest.mark.parametrize("task", list(tasks()), ids=by_name)
def test_states_all_is_alone_and_last(task: Task) -> None:
    with_all = [r["ErrorEquals"] for r in task.retriers if "States.ALL" in r["ErrorEquals"]]

    assert with_all == [["States.ALL"]]
    assert task.retriers[-1]["ErrorEquals"] == ["States.ALL"]


@pytest.mark.parametrize("task", list(tasks()), ids=by_name)
def test_retries_for_all_errors_back_off_with_jitter(task: Task) -> None:
    retrier = task.retriers[-1]

    assert retrier["BackoffRate"] >= 2
    assert retrier["JitterStrategy"] == "FULL"
    assert retrier["MaxDelaySeconds"] <= 60


def total_delay(retrier: dict[str, Any]) -> float:
    """The maximum total delay of a retrier, in seconds."""
    rate, longest = retrier["BackoffRate"], retrier.get("MaxDelaySeconds", float("inf"))
    intervals = (retrier["IntervalSeconds"] * rate**n for n in itertools.count())
    return sum(min(longest, i) for i in itertools.islice(intervals, retrier["MaxAttempts"]))


@pytest.mark.parametrize(
    ("task", "deadline"),
    [(task, LONGEST_CONVERGE) for task in tasks_of("Converge")]
    + [(task, DESTROY_DEADLINE) for task in tasks_of("Destroy")],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_retries_of_a_waiting_step_outlast_the_deadline(task: Task, deadline: Any) -> None:
    """So the step itself ends the wait and reports what it waited for."""
    retrier = task.retrier("NotReady")

    assert retrier and total_delay(retrier) > deadline.total_seconds()


def test_the_execution_timeout_outlasts_every_path() -> None:
    """A create that fails at its deadline still has time for the whole teardown."""
    longest = max(LONGEST_CONVERGE + DESTROY_DEADLINE, 2 * LONGEST_CONVERGE)

    assert longest.total_seconds() < DEFINITION["TimeoutSeconds"] <= 4 * longest.total_seconds()
