"""Concurrent deployments, names in use, and deletes during a create."""

from typing import Any

from local.inspection import leftovers
from local.stack import Stack
from tests.stack.client import Client, calling_continuously, predict, wait_until


def step_status(deployment: dict[str, Any], name: str) -> str:
    steps = {step["name"]: step["status"] for step in deployment["operation"]["steps"]}
    return str(steps.get(name, "absent"))


def check_cancelled(api: Client, stack: Stack, gone: dict[str, Any]) -> None:
    """Check that the create is cancelled and that none of its resources remain."""
    events = api.events(gone["id"])
    types = [event["type"] for event in events]
    assert (gone["status"], gone["operation"]["kind"]) == ("DELETED", "delete")
    assert gone["leftovers"] == []
    assert all(resource["verified_gone"] for resource in gone["resources"])
    assert "operation.cancelled" in types
    assert "deployment.active" not in types
    deleting = types.index("deployment.deleting")
    assert {event["operation"] for event in events[deleting:]} == {"delete"}
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert leftovers(stack, gone["id"]) == []


def test_deleting_one_keeps_the_other_and_releases_its_name(api: Client, stack: Stack) -> None:
    ids = [api.create("one"), api.create("other")]
    one, other = (api.follow(each) for each in ids)
    assert (one["status"], other["status"]) == ("ACTIVE", "ACTIVE")
    assert one["url"] != other["url"]

    second = api.send("POST", "/deployments", api.spec("one"))
    assert (second.status, second.json["code"]) == (409, "NAME_TAKEN")
    assert ids[0] in second.json["detail"]
    with calling_continuously(other["url"]) as caller:
        gone = api.delete("one")
    assert gone["status"] == "DELETED"
    assert leftovers(stack, one["id"]) == []

    assert caller.answered and caller.failed == []
    assert predict(other["url"]).status == 200
    assert api.get("other")["status"] == "ACTIVE"
    assert api.send("GET", "/deployments/one").status == 404

    again = api.create("one")
    assert again != one["id"]
    check_cancelled(api, stack, api.delete("one"))
    assert api.get(one["id"])["status"] == "DELETED"
    assert api.delete("other")["status"] == "DELETED"
    assert leftovers(stack, other["id"]) == []


def test_a_delete_right_after_the_create_is_accepted(api: Client, stack: Stack) -> None:
    deployment = api.create("regret")

    check_cancelled(api, stack, api.delete(deployment))


def test_a_delete_cancels_a_create_that_creates_resources(api: Client, stack: Stack) -> None:
    deployment = api.create("regret-soon")
    wait_until(
        lambda: step_status(api.get(deployment), "create_load_balancer") != "pending",
        "the load balancer's step",
    )

    check_cancelled(api, stack, api.delete(deployment))


def test_a_delete_cancels_a_create_that_waits_for_tasks(api: Client, stack: Stack) -> None:
    # A container that never listens keeps await_ready waiting until the DELETE comes.
    deployment = api.create("regret-late", command=["sleep", "600"])
    wait_until(lambda: step_status(api.get(deployment), "await_ready") == "running", "await_ready")
    busy = api.send("PATCH", f"/deployments/{deployment}", {"count": 2})
    assert (busy.status, busy.json["code"]) == (409, "OPERATION_IN_PROGRESS")

    check_cancelled(api, stack, api.delete(deployment))
