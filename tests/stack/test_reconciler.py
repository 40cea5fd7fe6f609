"""The reconciler on the whole stack: called by its schedule, and by events of Step Functions."""

from typing import Any

import pytest

from local.emulator import client as aws_client
from local.inspection import leftovers
from local.stack import Stack
from tests.stack.client import Client, predict, wait_until
from tests.stack.functions import run_scheduled


def reconcile(stack: Stack) -> dict[str, str]:
    """The findings of one run, by deployment."""
    found = run_scheduled(stack, "Reconciler")["findings"]
    return {finding["deployment"]: finding["finding"] for finding in found}


def execution_arn(stack: Stack, name: str) -> str:
    machines = aws_client("stepfunctions", stack).list_state_machines()
    (machine,) = machines["stateMachines"]
    return str(machine["stateMachineArn"]).replace(":stateMachine:", ":execution:") + f":{name}"


@pytest.fixture(scope="module")
def made(api: Client) -> Any:
    deployment = api.deploy("reconciled")
    yield deployment
    api.delete(deployment["id"])


def test_a_healthy_deployment_is_not_changed(made: dict[str, Any], stack: Stack) -> None:
    assert made["id"] not in reconcile(stack)


def test_a_manually_scaled_service_is_repaired(
    made: dict[str, Any], api: Client, stack: Stack
) -> None:
    ecs = aws_client("ecs", stack)
    ecs.update_service(cluster=made["id"], service=made["id"], desiredCount=3)

    assert reconcile(stack)[made["id"]] == "the desired count of the service is 3, not 1"

    repaired = api.follow(made["id"])
    assert (repaired["status"], repaired["operation"]["kind"]) == ("ACTIVE", "repair")
    found = ecs.describe_services(cluster=made["id"], services=[made["id"]])["services"][0]
    assert found["desiredCount"] == 1


def test_a_manually_deleted_service_is_created_again(
    made: dict[str, Any], api: Client, stack: Stack
) -> None:
    ecs = aws_client("ecs", stack)
    ecs.delete_service(cluster=made["id"], service=made["id"], force=True)

    assert reconcile(stack)[made["id"]] == "the service was deleted"

    repaired = api.follow(made["id"])
    assert repaired["status"] == "ACTIVE", repaired["failure"]
    assert predict(repaired["url"]).status == 200


def test_an_aborted_execution_is_replaced_automatically(api: Client, stack: Stack) -> None:
    """The template's rule sends Step Functions' event to the reconciler."""
    deployment = api.create("aborted")
    states = aws_client("stepfunctions", stack)
    states.stop_execution(executionArn=execution_arn(stack, f"{deployment}-1"))

    wait_until(lambda: api.get(deployment)["generation"] > 1, "another execution")

    assert api.follow(deployment)["status"] == "ACTIVE"
    assert "operation.taken_up" in [event["type"] for event in api.events(deployment)]
    assert api.delete(deployment)["status"] == "DELETED"
    assert leftovers(stack, deployment) == []


def test_resources_without_a_record_are_shown_to_their_owner_and_can_be_deleted(
    api: Client, stack: Stack
) -> None:
    tags = {
        "slipway:stack": "slipway",
        "slipway:deployment": "stray-abcdef",
        "slipway:owner": "demo",
    }
    aws_client("ecs", stack).create_cluster(
        clusterName="stray-abcdef", tags=[{"key": k, "value": v} for k, v in tags.items()]
    )

    assert "but the table has no record" in reconcile(stack)["stray-abcdef"]

    record = api.get("stray-abcdef")
    assert record["status"] == "DELETE_FAILED"
    assert [(item["kind"], item["name"]) for item in record["leftovers"]] == [
        ("cluster", "stray-abcdef")
    ]
    assert api.send("POST", "/deployments/stray-abcdef/retry").status == 202
    assert api.follow("stray-abcdef")["status"] == "DELETED"
    assert leftovers(stack, "stray-abcdef") == []
