"""AWS with faults: throttling, lost responses, refused deletes. The final state is still correct.

The deployments of this module are created at the same time, each with its own faults.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from local.inspection import leftovers
from tests.stack.client import Client, predict
from tests.stack.harsh.simulated import OnlyFor, Simulated
from tests.support.simulated_aws.weather import Fault, Weather

# moto logs a warning for error codes that are in no model.
pytestmark = pytest.mark.filterwarnings("ignore:Exception.AwsError. with code")
# The share of all calls. boto3 makes three attempts, and then the state machine retries the step.
THROTTLED, LOST, BROKEN = 0.3, 0.2, 0.1
# Enough for a machine that starts all of these at the same time.
PATIENT = {"path": "/health", "grace": 300}
# Without the task definition: registering is not idempotent, so botocore's retry after a lost
# response creates an extra revision. It costs nothing, and is deleted with the others.
ONE_OF_EACH = {"cluster", "service", "load balancer", "target group"}

Ids = dict[str, str]


@pytest.fixture(scope="module")
def skies(simulated: Simulated) -> Iterator[dict[str, Weather]]:
    """The weather of each deployment, by name, until the module ends."""
    skies = {name: Weather(seed) for seed, name in enumerate(("throttled", "lost", "refused"))}
    skies["throttled"].chances = {"throttled": THROTTLED}
    skies["lost"].chances = {"lost_answer": LOST, "late_server_error": BROKEN, "reset": BROKEN}
    with contextlib.ExitStack() as held:
        for name, sky in skies.items():
            held.enter_context(simulated.proxy.rule(OnlyFor(f"{name}-", sky)))
        yield skies


@pytest.fixture(scope="module")
def made(harsh: Client, skies: dict[str, Weather]) -> Ids:
    """Start the creates, and return the deployments' IDs by name."""
    return {name: harsh.create(name, health_check=PATIENT) for name in skies}


def active(harsh: Client, deployment: str) -> dict[str, Any]:
    """The deployment, which must be ACTIVE."""
    ended = harsh.follow(deployment)
    assert (ended["status"], ended["failure"]) == ("ACTIVE", None)
    assert predict(ended["url"]).status == 200
    return ended


def gone(harsh: Client, simulated: Simulated, deployment: dict[str, Any]) -> None:
    """The deployment after a teardown that left nothing."""
    assert (deployment["status"], deployment["leftovers"]) == ("DELETED", [])
    assert all(resource["verified_gone"] for resource in deployment["resources"])
    assert deployment["cost"]["usd_per_hour"] == 0
    assert leftovers(simulated.stack, deployment["id"]) == []


def outcomes(simulated: Simulated, deployment: str) -> set[str]:
    """The outcomes of the calls that name a deployment."""
    return {seen.outcome for seen in simulated.proxy.calls if deployment in str(seen.call.params)}


def test_a_throttled_deploy_becomes_active(harsh: Client, simulated: Simulated, made: Ids) -> None:
    active(harsh, made["throttled"])

    assert {"Throttling", "ThrottlingException"} <= outcomes(simulated, made["throttled"])
    gone(harsh, simulated, harsh.delete(made["throttled"]))


def test_lost_responses_create_no_duplicates_and_leave_nothing(
    harsh: Client, simulated: Simulated, made: Ids
) -> None:
    active(harsh, made["lost"])
    there = leftovers(simulated.stack, made["lost"])

    assert "reset" in outcomes(simulated, made["lost"])
    kinds = [item.rsplit(" ", 1)[0] for item in there]
    assert {kind: kinds.count(kind) for kind in ONE_OF_EACH} == dict.fromkeys(ONE_OF_EACH, 1)
    gone(harsh, simulated, harsh.delete(made["lost"]))


def test_a_delete_that_aws_refuses_is_reported_and_can_be_retried(
    harsh: Client, simulated: Simulated, made: Ids, skies: dict[str, Weather]
) -> None:
    active(harsh, made["refused"])
    skies["refused"].plan(Fault("elbv2.DeleteLoadBalancer", "denied", times=100))

    stuck = harsh.delete(made["refused"])

    assert (stuck["status"], stuck["operation"]["status"]) == ("DELETE_FAILED", "failed")
    assert stuck["failure"]["code"] == "AWS_ACCESS_DENIED"
    assert "DeleteLoadBalancer" in stuck["failure"]["message"]
    assert stuck["failure"]["hint"]
    left = {item["kind"]: item for item in stuck["leftovers"]}
    assert left["load_balancer"]["name"] == made["refused"]
    assert "DeleteLoadBalancer" in left["load_balancer"]["reason"]
    assert stuck["cost"]["usd_per_hour"] > 0  # it still costs money

    skies["refused"].clear()
    answer = harsh.send("POST", f"/deployments/{made['refused']}/retry")

    assert answer.status == 202, answer.text
    gone(harsh, simulated, harsh.follow(made["refused"]))
