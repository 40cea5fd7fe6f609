"""The matrix and the invariants detect errors: each test breaks one thing on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.domain.record import Record
from chalicelib.store import deployments as store
from chalicelib.workflow import reconcile, step
from tests.faults import invariants, matrix
from tests.faults.disturbance import Case
from tests.faults.environment import image, opened
from tests.faults.operations import OPERATIONS
from tests.support.in_process import TABLE, make_table


def nothing(*_: Any) -> None:
    """Replaces the removed function."""


@pytest.mark.parametrize(
    ("owner", "name", "instead", "case", "expected"),
    [
        pytest.param(
            step,
            "_wait_for_superseded",
            nothing,
            Case("deploy", "create_security_groups:ec2.CreateSecurityGroup#1", "deleted"),
            "changed something after",
            id="a teardown that does not wait",
        ),
        pytest.param(
            Record,
            "check_fence",
            nothing,
            Case("deploy", "create_cluster:dynamodb.TransactWriteItems#1", "deleted"),
            "recommender-",
            id="a step without a fence",
        ),
        pytest.param(
            reconcile,
            "_check_execution",
            lambda deployment: "",
            Case("deploy", "create:stepfunctions.StartExecution#1", "killed_before"),
            "no end state",
            id="an execution that is never started",
        ),
        pytest.param(
            store,
            "_release_name",
            lambda deployment: [],
            Case("teardown", "delete_service:ecs.DeleteService#1", "killed_after"),
            "holds the name",
            id="a name that is never released",
        ),
    ],
)
def test_a_broken_part_is_detected(
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    instead: Callable[..., Any],
    case: Case,
    expected: str,
) -> None:
    monkeypatch.setattr(owner, name, instead)

    result = matrix.run([case])[case]

    assert any(expected in problem for problem in result.problems), result


def test_a_resource_without_a_record_is_detected() -> None:
    with opened() as world:
        OPERATIONS["deploy"].ask(world)
        world.run_for(60)
        world.account.raw("dynamodb").delete_table(TableName=TABLE)
        make_table(world.account.raw("dynamodb"))

        problems = invariants.broken(world)

    assert any(text.startswith("no record for: load_balancer") for text in problems)


def test_a_manually_deleted_service_is_created_again() -> None:
    """The reconciler repairs it in the world of the matrix."""
    with opened() as world:
        reply = OPERATIONS["deploy"].ask(world)
        assert world.run_until_idle()
        world.account.client("ecs").delete_service(
            cluster=reply.body["id"], service=reply.body["id"], force=True
        )
        assert invariants.broken(world)

        assert world.run_until_idle()

        assert invariants.broken(world) == []
        (record,) = invariants.Table(world).records.values()
        assert (record.operation.kind, record.spec.image) == ("repair", image("1"))
