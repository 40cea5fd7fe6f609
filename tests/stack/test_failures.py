"""Deployments that cannot succeed report why, and leave nothing unless the caller keeps it."""

from local.inspection import leftovers
from local.stack import Stack
from tests.stack.client import Client, predict

SMOKE_TEST = {"path": "/?uid=20", "json_has": ["nope"]}


def test_a_missing_image_creates_nothing(api: Client, stack: Stack) -> None:
    failed = api.deploy("no-image", image=f"{stack.sample_image.rsplit(':', 1)[0]}:none")

    assert (failed["status"], failed["operation"]["status"]) == ("FAILED", "failed")
    assert failed["failure"]["code"] == "IMAGE_NOT_FOUND"
    assert failed["failure"]["step"] == "resolve_image"
    assert failed["failure"]["message"] and failed["failure"]["hint"]
    assert failed["resources"] == []
    assert leftovers(stack, failed["id"]) == []
    assert api.delete("no-image")["status"] == "DELETED"


def test_a_failed_smoke_test_is_torn_down(api: Client, stack: Stack) -> None:
    failed = api.deploy("no-smoke", smoke_test=SMOKE_TEST)

    assert (failed["status"], failed["operation"]["status"]) == ("FAILED", "failed")
    assert failed["failure"]["code"] == "SMOKE_TEST_FAILED"
    assert failed["failure"]["step"] == "smoke_test"
    assert "nope" in failed["failure"]["message"]
    assert failed["failure"]["evidence"]["prediction"]["status"] == 200
    assert failed["resources"] and all(r["verified_gone"] for r in failed["resources"])
    assert failed["url"] is None
    assert failed["cost"]["usd_per_hour"] == 0
    assert leftovers(stack, failed["id"]) == []


def test_a_failed_create_can_be_kept_and_deleted_later(api: Client, stack: Stack) -> None:
    kept = api.deploy("kept", smoke_test=SMOKE_TEST, on_failure="keep")

    assert kept["status"] == "FAILED"
    assert kept["failure"]["code"] == "SMOKE_TEST_FAILED"
    assert kept["resources"] and not any(r["verified_gone"] for r in kept["resources"])
    assert predict(kept["url"]).status == 200

    gone = api.delete(kept["id"])

    assert gone["status"] == "DELETED"
    assert all(resource["verified_gone"] for resource in gone["resources"])
    assert leftovers(stack, kept["id"]) == []
