"""This version takes over what the versions before it left behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.store import deployments as store
from tests.faults.environment import image
from tests.faults.invariants import broken
from tests.upgrade.record import NAME
from tests.upgrade.takeover import VERSIONS, Upgraded, upgraded

# What becomes of each situation when nobody asks for anything else: status, operation's status.
ENDS = {
    "active": ("ACTIVE", "succeeded"),
    "creating": ("ACTIVE", "succeeded"),
    "rolling_back": ("ACTIVE", "rolled_back"),
    "paused": ("PAUSED", "succeeded"),
    "deleting": ("DELETED", "succeeded"),
    "delete_failed": ("DELETE_FAILED", "failed"),
}
# What is asked next, and how it ends.
NEXT: dict[str, tuple[str, str, Any, tuple[str, str]]] = {
    "active": ("PATCH", "", {"image": image("2")}, ("ACTIVE", "succeeded")),
    "creating": ("POST", "/pause", None, ("PAUSED", "succeeded")),
    "rolling_back": ("PATCH", "", {"scaling": None, "count": 2}, ("ACTIVE", "succeeded")),
    "paused": ("POST", "/resume", None, ("ACTIVE", "succeeded")),
    "deleting": ("DELETE", "", None, ("DELETED", "succeeded")),
    "delete_failed": ("POST", "/retry", None, ("DELETED", "succeeded")),
}
# The outcome of each situation, which that version did not record.
OUTCOMES = {
    "active": ("succeeded", 1),
    "creating": (None, 1),
    "rolling_back": (None, 2),
    "paused": ("succeeded", 2),
    "deleting": (None, 2),
    "delete_failed": ("failed", 2),
}
RECORDINGS = [(version, situation) for version in VERSIONS for situation in ENDS]


@pytest.fixture(scope="module", params=RECORDINGS, ids=lambda each: "-".join(each))
def taken_over(request: pytest.FixtureRequest) -> Iterator[tuple[str, Upgraded]]:
    version, situation = request.param
    with upgraded(version, situation) as made:
        yield situation, made


def without_new_fields(answer: Any, earlier: Any) -> Any:
    """The answer without the fields that the earlier one does not have."""
    if isinstance(answer, dict) and isinstance(earlier, dict):
        return {
            name: without_new_fields(value, earlier[name])
            for name, value in answer.items()
            if name in earlier
        }
    if isinstance(answer, list) and isinstance(earlier, list) and len(answer) == len(earlier):
        return [without_new_fields(*pair) for pair in zip(answer, earlier, strict=True)]
    return answer


def test_shows_the_outcome_of_what_was_requested(taken_over: tuple[str, Upgraded]) -> None:
    situation, made = taken_over
    shown = made.get().json
    assert (shown["outcome"], shown["outcome_generation"]) == OUTCOMES[situation]


def test_answers_as_the_version_before(taken_over: tuple[str, Upgraded]) -> None:
    _, made = taken_over
    for asked in made.noted["requests"][-2:]:
        answered = made.gateway.get(asked["path"])
        assert answered.status == asked["status"]
        assert without_new_fields(answered.json, asked["answer"]) == asked["answer"]
        assert answered.headers.get("etag") == asked["etag"]
    assert made.gateway.get(f"/deployments/{NAME}").json == made.get().json
    assert [each["id"] for each in made.gateway.get("/deployments").json["deployments"]] == [
        made.id
    ]


def test_a_kept_idempotency_key_answers_again(taken_over: tuple[str, Upgraded]) -> None:
    situation, made = taken_over
    keyed = [asked for asked in made.noted["requests"] if "Idempotency-Key" in asked["headers"]]
    assert len(keyed) == (situation != "creating")
    for asked in keyed:
        again = made.gateway.post(asked["path"], asked["body"], headers=asked["headers"])
        assert (again.status, again.json) == (asked["status"], asked["answer"])
        other = made.gateway.post(asked["path"], {"ttl": "1d"}, headers=asked["headers"])
        assert (other.status, other.code) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_running_executions_finish(taken_over: tuple[str, Upgraded]) -> None:
    situation, made = taken_over
    running = made.shown()[1] == "running"
    assert made.finish() == ENDS[situation]
    assert made.steps or not running
    assert broken(made.world) == []


def test_the_next_operation_succeeds(taken_over: tuple[str, Upgraded]) -> None:
    situation, made = taken_over
    method, path, body, end = NEXT[situation]
    assert made.finish() == ENDS[situation]
    answered = made.gateway.send(method, f"/deployments/{made.id}{path}", body)
    assert answered.status == 202, answered.text
    assert made.finish() == end
    assert broken(made.world) == []


def test_a_delete_leaves_nothing(taken_over: tuple[str, Upgraded]) -> None:
    _, made = taken_over
    assert made.gateway.delete(f"/deployments/{made.id}").status == 202
    assert made.finish() == ("DELETED", "succeeded")
    record_now = store.get(made.id)
    assert record_now and all(each.verified_gone for each in record_now.resources)
    assert made.get().json["leftovers"] == []
    assert made.world.account.left(made.id) == []
    assert broken(made.world) == []
