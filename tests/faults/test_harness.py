"""The matrix and the invariants see what is broken: each test breaks one thing on purpose."""

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
    """Stands in for what is taken away."""


@pytest.mark.parametrize(
    ("owner", "name", "instead", "case", "told"),
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
            id="an execution that nobody starts",
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
def test_what_is_broken_is_seen(
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    instead: Callable[..., Any],
    case: Case,
    told: str,
) -> None:
    monkeypatch.setattr(owner, name, instead)

    result = matrix.run([case])[case]

    assert any(told in problem for problem in result.problems), result


def test_a_resource_without_a_record_is_seen() -> None:
    with opened() as world:
        OPERATIONS["deploy"].ask(world)
        world.run_for(60)
        world.account.raw("dynamodb").delete_table(TableName=TABLE)
        make_table(world.account.raw("dynamodb"))

        found = invariants.broken(world)

    assert any(text.startswith("nobody's: load_balancer") for text in found)


def test_what_is_deleted_by_hand_is_made_again() -> None:
    """The reconciler's part, in the world of the matrix."""
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
