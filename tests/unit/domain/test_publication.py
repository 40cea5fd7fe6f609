"""Which events are published, with which type and body."""

import json
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain import publication
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.operation import Path
from chalicelib.domain.parts import Failure, Leftover, Prediction
from chalicelib.platform.clock import rfc3339
from tests.support.builders import MOMENT, active, deployment_of, failure_of, spec_of

LATER = MOMENT + timedelta(minutes=3)


def bodies(deployment: Deployment) -> list[dict[str, Any]]:
    """The bodies of the published events."""
    bodies = [publication.published(deployment, event) for event in deployment.new_events]
    return [json.loads(body) for body in bodies if body]


def types(deployment: Deployment) -> list[str]:
    return [body["type"] for body in bodies(deployment)]


def settled(deployment: Deployment) -> Deployment:
    deployment.new_events.clear()
    return deployment


def test_a_lifecycle_is_published() -> None:
    deployment = active()
    assert types(deployment) == ["deployment.created", "deployment.active"]
    settled(deployment).update(spec_of(count=2), LATER, new_image=False)
    deployment.activate(LATER, 0.08)
    assert types(deployment) == ["deployment.updated"]
    settled(deployment).roll_back(LATER)
    deployment.activate(LATER, 0.04)
    assert types(deployment) == ["deployment.rolled_back"]
    settled(deployment).pause(LATER)
    deployment.activate(LATER, 0.03)
    assert types(deployment) == ["deployment.paused"]
    settled(deployment).resume(LATER)
    deployment.activate(LATER, 0.04)
    assert types(deployment) == ["deployment.active"]
    settled(deployment).delete(LATER)
    deployment.end_torn_down(LATER)
    assert types(deployment) == ["deployment.deleted"]


def test_failures_are_published() -> None:
    deployment = deployment_of()
    deployment.fail("resolve_image", failure_of("resolve_image"), LATER)
    deployment.end_failed(LATER)
    assert types(deployment) == ["deployment.created", "deployment.failed"]
    failure = bodies(deployment)[1]["data"]["deployment"]["failure"]
    assert failure["code"] == "IMAGE_NOT_FOUND"
    assert "evidence" not in failure


def test_a_rolled_back_update_is_not_published_as_a_success() -> None:
    deployment = settled(active())
    deployment.update(spec_of(count=2), LATER, new_image=False)
    deployment.fail("await_ready", failure_of("await_ready"), LATER)
    deployment.switch_path(Path.ROLLBACK, LATER)
    deployment.activate(LATER, 0.04)
    assert types(deployment) == ["deployment.rolled_back"]
    assert bodies(deployment)[0]["data"]["deployment"]["operation"]["status"] == "rolled_back"


def test_a_failed_teardown_is_published_with_its_leftovers() -> None:
    deployment = settled(active())
    deployment.delete(LATER)
    deployment.settle([Leftover(kind="service", name="x", reason="AWS kept it")], LATER)
    deployment.end_failed(LATER)
    [body] = bodies(deployment)
    assert body["type"] == "deployment.delete_failed"
    assert body["data"]["deployment"]["leftovers"][0]["reason"] == "AWS kept it"


def test_a_retry_does_not_publish_a_second_creation() -> None:
    deployment = deployment_of()
    deployment.fail("resolve_image", failure_of("resolve_image"), LATER)
    deployment.end_failed(LATER)
    settled(deployment).retry(LATER, 0.04)
    assert types(deployment) == []


def test_the_body_shows_the_state_at_the_event() -> None:
    deployment = active(name="recommender")
    created = bodies(deployment)[0]
    assert created["timestamp"] == rfc3339(MOMENT)
    assert created["data"]["sequence"] == 1
    assert created["data"]["cut"] is False
    assert created["data"]["deployment"]["links"] == {"self": f"/deployments/{deployment.id}"}


@pytest.mark.parametrize("letter", ["x", "é", "🚢"])
def test_a_body_is_cut_to_twenty_kilobytes_and_says_so(letter: str) -> None:
    deployment = active()
    long = letter * 30_000
    deployment.failure = Failure(code="INTERNAL", step="x", message=long, hint=long)
    deployment.prediction = Prediction(path="/", status=200, latency_ms=1, sample=long)
    deployment.leftovers = [
        Leftover(kind="security_group", name=f"{n}", reason=long) for n in range(50)
    ]
    event = deployment.new_events[-1].model_copy(update={"message": long})
    body = publication.published(deployment, event)
    assert body is not None
    assert len(body.encode()) <= publication.MOST_BYTES
    data = json.loads(body)["data"]
    assert data["cut"] is True
    assert data["deployment"]["id"] == deployment.id
    assert long.startswith(data["message"]) and data["message"]


def test_a_short_body_is_complete() -> None:
    deployment = active()
    event = deployment.new_events[-1].model_copy(update={"message": "x" * 15_000})
    body = publication.published(deployment, event)
    assert body and json.loads(body)["data"]["message"] == "x" * 15_000


def test_every_type_of_the_contract_is_published() -> None:
    names = (
        "created active failed updated rolled_back paused expiring unhealthy recovered deleted "
        "delete_failed"
    )
    assert set(publication.TYPES) == {f"deployment.{name}" for name in names.split()}
