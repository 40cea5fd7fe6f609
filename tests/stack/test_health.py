"""A deployment that crashes after it became ACTIVE, on the whole stack."""

from typing import Any

from local.stack import Stack
from tests.stack.client import Client, kill_task, wait_until
from tests.stack.functions import run_scheduled


def _changes(api: Client, deployment_id: str) -> list[dict[str, Any]]:
    kinds = ("deployment.unhealthy", "deployment.recovered")
    return [event for event in api.events(deployment_id) if event["type"] in kinds]


def test_a_crash_is_reported_and_so_is_the_recovery(api: Client, stack: Stack) -> None:
    made = api.deploy("crashing")
    health = made["health"]
    assert (health["status"], health["running"], health["wanted"]) == ("healthy", 1, 1)
    assert health["failure"] is None
    (task,) = api.send("GET", f"/deployments/{made['id']}/tasks").json["tasks"]

    kill_task(task["id"])

    wait_until(lambda: _changes(api, made["id"]), "the crash is reported")
    unhealthy = _changes(api, made["id"])[0]
    assert unhealthy["message"].startswith("down: 0 of 1 tasks serve.")

    def recovered() -> bool:
        run_scheduled(stack, "Health")  # a minute passes between two sweeps
        return len(_changes(api, made["id"])) == 2

    wait_until(recovered, "the recovery is reported")
    shown = api.get(made["id"])
    assert shown["status"] == "ACTIVE"
    assert (shown["health"]["status"], shown["health"]["failure"]) == ("healthy", None)
    api.delete(made["id"])
