"""A pause and a resume, as a continuous caller of the URL sees them.

The caller gets predictions or Slipway's own response, and nothing else.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from local.inspection import leftovers
from tests.stack.client import Answer, Client, predict
from tests.stack.harsh.simulated import Simulated

PREDICTED, PAUSED = "predicted", "paused"


def kind_of(answer: Answer) -> str:
    """The kind of a response as text: a prediction, Slipway's own 503, or another response."""
    if answer.status == 200 and answer.json.get("recommendations"):
        return PREDICTED
    # A load balancer adds the character set to the type of a fixed response.
    is_json = answer.headers.get("Content-Type", "").startswith("application/json")
    if answer.status == 503 and is_json and answer.json.get("code") == "PAUSED":
        return PAUSED
    return f"{answer.status}: {answer.text[:200]}"


@contextlib.contextmanager
def kinds_of_responses(url: str) -> Iterator[list[str]]:
    """The kinds of responses that a continuous caller gets, each time the kind changes."""
    kinds: list[str] = []
    stop = threading.Event()

    def loop() -> None:
        while not stop.is_set():
            kind = kind_of(predict(url))
            if kinds[-1:] != [kind]:
                kinds.append(kind)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield kinds
    finally:
        stop.set()
        thread.join()


def test_a_caller_gets_only_predictions_or_the_pause_response(
    harsh: Client, simulated: Simulated
) -> None:
    made = harsh.deploy("sleepy")
    path = f"/deployments/{made['id']}"

    with kinds_of_responses(made["url"]) as kinds:
        assert harsh.send("POST", f"{path}/pause").status == 202
        paused = harsh.follow(made["id"])
        while_paused = predict(made["url"])
        assert harsh.send("POST", f"{path}/resume").status == 202
        resumed = harsh.follow(made["id"])
        assert kind_of(predict(made["url"])) == PREDICTED

    assert (paused["status"], paused["operation"]["status"]) == ("PAUSED", "succeeded"), paused
    assert paused["url"] == made["url"]
    assert paused["prediction"] == made["prediction"]
    assert paused["cost"]["usd_per_hour"] == 0.0325 < made["cost"]["usd_per_hour"]
    problem = while_paused.json
    assert (problem["status"], problem["retry_after"]) == (503, 60)
    assert f"{made['id']} is paused" in problem["detail"]
    assert (resumed["status"], resumed["operation"]["kind"]) == ("ACTIVE", "resume"), resumed
    assert resumed["cost"]["usd_per_hour"] == made["cost"]["usd_per_hour"]
    [rule] = [r for r in resumed["resources"] if r["kind"] == "listener_rule"]
    assert rule["verified_gone"]
    # The two nodes of the load balancer learn a change at different times.
    assert set(kinds) == {PREDICTED, PAUSED}
    assert (kinds[0], kinds[-1]) == (PREDICTED, PREDICTED)

    # A teardown also works while paused.
    assert harsh.send("POST", f"{path}/pause").status == 202
    assert harsh.follow(made["id"])["status"] == "PAUSED"
    tasks = harsh.send("GET", f"{path}/tasks").json["tasks"]
    assert {task["status"] for task in tasks} <= {"STOPPED"}
    gone = harsh.delete(made["id"])
    assert gone["status"] == "DELETED"
    assert all(resource["verified_gone"] for resource in gone["resources"])
    assert leftovers(simulated.stack, made["id"]) == []
