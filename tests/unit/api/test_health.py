"""Health in the answers, in ETags and in lists; and the size of a page."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.api import pages
from chalicelib.domain.deployment import Deployment
from chalicelib.store import deployments as store
from tests.support.builders import ID, MOMENT, OWNER, active, failure_of, seen, spec_of
from tests.support.gateway import Gateway

LATER = MOMENT + timedelta(hours=1)


@pytest.fixture
def served(gateway: Gateway) -> str:
    """An ACTIVE deployment. Returns its path."""
    store.create(active())
    return f"/deployments/{ID}"


def observe(running: int) -> None:
    observation = seen(LATER, running)
    if observation.failure:
        observation.failure.evidence = {"log_lines": ["no model"]}
    store.update(ID, lambda record: record.record_health(observation, LATER))


def test_health_has_the_shape_of_the_contract(served: str, gateway: Gateway) -> None:
    observe(0)
    assert gateway.get(served).json["health"] == {
        "status": "down",
        "running": 0,
        "wanted": 1,
        "since": "2026-11-24T10:30:00.000Z",
        "checked_at": "2026-11-24T10:30:00.000Z",
        "failure": {
            "code": "CONTAINER_EXITED",
            "step": "health",
            "message": "it is not there",
            "hint": "push it",
            "evidence": {"log_lines": ["no model"]},
        },
    }
    assert gateway.get(served).json["failure"] is None


def test_a_record_of_the_version_before_is_unknown(gateway: Gateway) -> None:
    deployment = active()
    deployment.health = deployment.health_due_at = None
    store.create(deployment)
    health = gateway.get(f"/deployments/{ID}").json["health"]
    assert (health["status"], health["running"], health["wanted"]) == ("unknown", None, 1)


def test_a_check_changes_the_etag_but_not_the_edition(served: str, gateway: Gateway) -> None:
    before = gateway.get(served).headers["etag"]
    for running in (0, 1):
        observe(running)
    assert gateway.get(served).headers["etag"] != before
    changed = gateway.patch(served, {"count": 2}, headers={"If-Match": before})
    assert changed.status == 202


def test_reading_health_calls_only_the_table(
    served: str, gateway: Gateway, aws_calls: list[str]
) -> None:
    observe(0)
    aws_calls.clear()
    gateway.get(served)
    gateway.get("/deployments")
    assert {call.partition(".")[0] for call in aws_calls} == {"dynamodb"}


def test_the_events_show_the_changes(served: str, gateway: Gateway) -> None:
    observe(0)
    events = gateway.get(f"{served}/events").json["events"]
    assert events[-1]["type"] == "deployment.unhealthy"
    assert events[-1]["status"] == "ACTIVE"
    assert events[-1]["message"] == "down: 0 of 1 tasks serve. it is not there"


def test_a_list_has_no_evidence(served: str, gateway: Gateway) -> None:
    observe(0)

    def fail(record: Deployment) -> None:
        failure = failure_of("await_ready")
        record.failure = failure.model_copy(update={"evidence": {"log_lines": ["x"]}})

    store.update(ID, fail)
    [listed] = gateway.get("/deployments").json["deployments"]
    assert listed["failure"] == {**gateway.get(served).json["failure"], "evidence": {}}
    assert listed["health"]["failure"]["evidence"] == {}
    assert listed["health"]["failure"]["message"] == "it is not there"
    assert gateway.get(served).json["failure"]["evidence"] == {"log_lines": ["x"]}


def test_a_page_ends_before_it_is_too_large_and_the_next_one_continues(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        deployment = active(f"model-aaaaa{'abcde'[number]}", command=["x" * 30_000])
        deployment.name = f"model-{number}"
        store.create(deployment)
    monkeypatch.setattr(pages, "MOST_BYTES", 100_000)
    found: list[str] = []
    cursor: str | None = ""
    sizes = []
    while cursor is not None:
        query = {"limit": "100", **({"cursor": cursor} if cursor else {})}
        answer = gateway.get("/deployments", query=query)
        sizes.append(len(answer.text.encode()))
        found += [each["id"] for each in answer.json["deployments"]]
        cursor = answer.json["next_cursor"]
    assert sorted(found) == [f"model-aaaaa{letter}" for letter in "abcde"]
    assert max(sizes) <= 100_000 and len(sizes) == 3


def test_a_page_has_at_least_one_entry_and_counts_every_escape() -> None:
    assert pages.MOST_BYTES == 4_000_000
    large = {"text": "x" * 5_000_000}
    assert pages.fitting([large, large]) == [large]
    quotes: list[dict[str, Any]] = [{"text": '"' * 500_000}] * 4
    page = pages.fitting(quotes)
    # A function returns its body as a string within JSON, of at most 6 MB.
    assert len(json.dumps(json.dumps(page))) < 4_100_000


def test_a_pause_hides_health(served: str, gateway: Gateway) -> None:
    observe(0)
    assert gateway.post(f"{served}/pause", None).json["health"] is None


def test_an_update_shows_the_last_health(served: str, gateway: Gateway) -> None:
    observe(0)
    assert spec_of().count == 1
    answer = gateway.patch(served, {"count": 2})
    assert (answer.json["status"], answer.json["health"]["status"]) == ("UPDATING", "down")
    assert answer.json["owner"] == OWNER
