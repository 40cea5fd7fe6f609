"""AWS on a bad day: throttled, answers lost, deletes refused. The end is right all the same.

The deployments of this module are made at once, each under its own sky.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from local.inspection import leftovers
from tests.stack.client import Client, predict
from tests.stack.simulated import OnlyFor, Simulated
from tests.support.simulated_aws.weather import Fault, Weather

# moto remarks on error codes that are in no model.
pytestmark = pytest.mark.filterwarnings("ignore:Exception.AwsError. with code")
# Of all calls; boto3 tries three times, and then the state machine tries the step again.
THROTTLED, LOST, BROKEN = 0.3, 0.2, 0.1
# Enough on a machine that starts all of these at once.
PATIENT = {"path": "/health", "grace": 300}
# Not of the task definition: registering is never idempotent, so botocore's own retry after a lost
# answer makes a spare revision. It costs nothing, and goes with the others.
ONE_OF_EACH = {"cluster", "service", "load balancer", "target group"}

Ids = dict[str, str]


@pytest.fixture(scope="module")
def skies(simulated: Simulated) -> Iterator[dict[str, Weather]]:
    """The weather of each deployment by its name, until the module ends."""
    skies = {name: Weather(seed) for seed, name in enumerate(("throttled", "lost", "refused"))}
    skies["throttled"].chances = {"throttled": THROTTLED}
    skies["lost"].chances = {"lost_answer": LOST, "late_server_error": BROKEN, "reset": BROKEN}
    with contextlib.ExitStack() as held:
        for name, sky in skies.items():
            held.enter_context(simulated.proxy.rule(OnlyFor(f"{name}-", sky)))
        yield skies


@pytest.fixture(scope="module")
def made(harsh: Client, skies: dict[str, Weather]) -> Ids:
    """The deployments' ids by name, their creates begun."""
    return {name: harsh.create(name, health_check=PATIENT) for name in skies}


def active(harsh: Client, deployment: str) -> dict[str, Any]:
    """The deployment, which must have come up."""
    ended = harsh.follow(deployment)
    assert (ended["status"], ended["failure"]) == ("ACTIVE", None)
    assert predict(ended["url"]).status == 200
    return ended


def gone(harsh: Client, simulated: Simulated, deployment: dict[str, Any]) -> None:
    """The end of a teardown that left nothing."""
    assert (deployment["status"], deployment["leftovers"]) == ("DELETED", [])
    assert all(resource["verified_gone"] for resource in deployment["resources"])
    assert deployment["cost"]["usd_per_hour"] == 0
    assert leftovers(simulated.stack.aws_endpoint_url, deployment["id"]) == []


def outcomes(simulated: Simulated, deployment: str) -> set[str]:
    """What came of the calls that name a deployment."""
    return {seen.outcome for seen in simulated.proxy.calls if deployment in str(seen.call.params)}


def test_a_throttled_deploy_becomes_active(harsh: Client, simulated: Simulated, made: Ids) -> None:
    active(harsh, made["throttled"])

    assert {"Throttling", "ThrottlingException"} <= outcomes(simulated, made["throttled"])
    gone(harsh, simulated, harsh.delete(made["throttled"]))


def test_lost_answers_leave_one_of_each_and_after_the_teardown_none(
    harsh: Client, simulated: Simulated, made: Ids
) -> None:
    active(harsh, made["lost"])
    there = leftovers(simulated.stack.aws_endpoint_url, made["lost"])

    assert "reset" in outcomes(simulated, made["lost"])
    kinds = [item.rsplit(" ", 1)[0] for item in there]
    assert {kind: kinds.count(kind) for kind in ONE_OF_EACH} == dict.fromkeys(ONE_OF_EACH, 1)
    gone(harsh, simulated, harsh.delete(made["lost"]))


def test_a_delete_that_aws_refuses_is_told_and_can_be_retried(
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
    assert stuck["cost"]["usd_per_hour"] > 0  # it is still paid for

    skies["refused"].clear()
    answer = harsh.send("POST", f"/deployments/{made['refused']}/retry")

    assert answer.status == 202, answer.text
    gone(harsh, simulated, harsh.follow(made["refused"]))
