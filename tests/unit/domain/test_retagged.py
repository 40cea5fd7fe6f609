"""The keys of tags that the resource modules must update."""

from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.workflow import recovery
from tests.support.builders import MOMENT, active, failure_of, spec_of

V1 = {"a": "1", "b": "1"}


def patch(deployment: Deployment, **fields: Any) -> None:
    deployment.update(spec_of(**fields), MOMENT, new_image=False)


def fail(deployment: Deployment) -> None:
    deployment.fail("create_service", failure_of("create_service"), MOMENT)
    recovery.recover(deployment, {}, MOMENT)


def test_a_create_has_no_tags_to_update() -> None:
    assert active(tags=V1).retagged == []


def test_added_changed_and_removed_keys_are_listed() -> None:
    deployment = active(tags=V1)
    patch(deployment, tags={"b": "2", "c": "1"})
    assert deployment.retagged == ["a", "b", "c"]
    deployment.activate(MOMENT, 0.04)
    assert deployment.retagged == []


def test_a_change_of_another_field_lists_no_tags() -> None:
    deployment = active(tags=V1)
    patch(deployment, tags=V1, count=2)
    assert deployment.retagged == []


def test_a_rollback_updates_the_same_keys() -> None:
    deployment = active(tags=V1)
    patch(deployment, tags={"b": "2", "c": "1"})
    fail(deployment)
    assert (deployment.spec.tags, deployment.retagged) == (V1, ["a", "b", "c"])
    deployment.activate(MOMENT, 0.04)
    assert deployment.retagged == []


def test_a_retry_after_a_failed_rollback_still_lists_the_keys() -> None:
    deployment = active(tags=V1)
    patch(deployment, tags={})
    fail(deployment)
    fail(deployment)
    deployment.retry(MOMENT, 0.04)
    assert (deployment.spec.tags, deployment.retagged) == (V1, ["a", "b"])


def test_keys_of_two_changes_are_all_listed() -> None:
    deployment = active(tags=V1)
    patch(deployment, tags={})
    assert deployment.last_active
    deployment.restore(deployment.last_active)
    deployment.restore(deployment.last_active)
    assert deployment.retagged == ["a", "b"]


def test_a_requested_rollback_lists_the_keys_too() -> None:
    deployment = active(tags=V1)
    patch(deployment, tags={"a": "1"})
    deployment.activate(MOMENT, 0.04)
    deployment.roll_back(MOMENT)
    assert (deployment.spec.tags, deployment.retagged) == (V1, ["b"])


def test_an_update_that_never_started_lists_no_tags() -> None:
    deployment = active(tags=V1)
    patch(deployment, tags={})
    deployment.withdraw_update(deployment.generation, MOMENT)
    assert (deployment.spec.tags, deployment.retagged) == (V1, [])
