"""The steps of an operation: on both of its paths, and in storage."""

import json
from datetime import timedelta

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.operation import (
    CONVERGE_STEPS,
    Operation,
    Path,
    StepStatus,
    full_name,
    split_name,
)
from tests.support.builders import MOMENT, rolling_back, tearing_down_failed_create

# Stored by a version in which steps had no path: an update that fails and is rolled back.
EARLIER = {
    "kind": "update",
    "status": "running",
    "generation": 2,
    "path": "rollback",
    "started_at": "2026-11-24T09:30:00Z",
    "finished_at": None,
    "deadline": "2026-11-24T09:46:00Z",
    "steps": [
        {
            "name": "create_service",
            "status": "failed",
            "started_at": "2026-11-24T09:30:00Z",
            "finished_at": "2026-11-24T09:31:00Z",
            "attempts": 1,
            "message": "it did not start",
        },
        {
            "name": "rollback_create_service",
            "status": "running",
            "started_at": "2026-11-24T09:31:10Z",
            "finished_at": None,
            "attempts": 2,
            "message": "1 of 2 tasks",
        },
        {
            "name": "rollback_await_ready",
            "status": "pending",
            "started_at": None,
            "finished_at": None,
            "attempts": 0,
            "message": "",
        },
    ],
    "takeovers": 0,
    "evidence": {},
}


def test_a_step_of_a_rollback_is_the_same_step_on_another_path() -> None:
    operation = rolling_back(MOMENT).operation

    assert [(step.name, step.path) for step in operation.steps] == [
        *((name, Path.CONVERGE) for name in CONVERGE_STEPS),
        *((name, Path.ROLLBACK) for name in CONVERGE_STEPS),
    ]
    assert operation.step("await_ready").status == StepStatus.PENDING
    assert operation.steps[CONVERGE_STEPS.index("await_ready")].status == StepStatus.FAILED


def test_a_path_is_added_once() -> None:
    operation = rolling_back(MOMENT).operation
    operation.list_steps()
    assert len(operation.steps) == 2 * len(CONVERGE_STEPS)


def test_events_have_the_public_step_name() -> None:
    deployment = rolling_back(MOMENT)
    deployment.begin_step("preflight", "2/rollback/preflight/r", MOMENT, MOMENT)
    deployment.finish_step("preflight", MOMENT)
    events = [(event.type, event.step) for event in deployment.new_events[-2:]]
    assert events == [
        ("step.running", "rollback_preflight"),
        ("step.succeeded", "rollback_preflight"),
    ]


def test_a_record_of_an_earlier_version_is_stored_unchanged() -> None:
    operation = Operation.model_validate(EARLIER)

    assert [(step.name, step.path) for step in operation.steps] == [
        ("create_service", Path.CONVERGE),
        ("create_service", Path.ROLLBACK),
        ("await_ready", Path.ROLLBACK),
    ]
    assert operation.step("create_service").message == "1 of 2 tasks"
    assert operation.model_dump(mode="json", exclude={"requested"}) == EARLIER


def test_an_operation_of_an_earlier_version_continues() -> None:
    document = rolling_back(MOMENT).model_dump(mode="json") | {"operation": EARLIER}
    deployment = Deployment.model_validate(document)

    deployment.finish_step("create_service", MOMENT)
    deployment.continue_operation("its execution timed out", MOMENT + timedelta(minutes=1))

    first, second, *others = deployment.operation.steps
    assert (first.status, second.status) == (StepStatus.FAILED, StepStatus.SUCCEEDED)
    rollback = {second.name, *(step.name for step in others)}
    assert rollback == set(CONVERGE_STEPS)
    assert {step.path for step in others} == {Path.ROLLBACK}


def test_a_stored_operation_is_read_unchanged() -> None:
    for deployment in (rolling_back(MOMENT), tearing_down_failed_create()):
        document = json.loads(deployment.model_dump_json())
        assert Deployment.model_validate(document).operation == deployment.operation


def test_a_stored_step_name_is_split_correctly() -> None:
    for path in Path:
        assert split_name(full_name("finish", path)) == ("finish", path is Path.ROLLBACK)
