from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.resources import cluster, tasks
from tests.support import aws_says
from tests.support.builders import ID


def task(n: int, status: str = "RUNNING") -> dict[str, Any]:
    details = [
        {"name": "networkInterfaceId", "value": f"eni-{n}"},
        {"name": "privateIPv4Address", "value": f"10.0.0.{n}"},
    ]
    return {
        "taskArn": f"arn:aws:ecs:us-east-1:123456789012:task/{ID}/{n:032x}",
        "lastStatus": status,
        "attachments": [
            {"type": "other", "details": [{"name": "privateIPv4Address", "value": "no"}]},
            {"type": "ElasticNetworkInterface", "details": details},
        ],
    }


def say(*described: dict[str, Any]) -> list[dict[str, Any]]:
    """Make ECS return these tasks. Return the list of DescribeTasks calls."""
    by_arn = {entry["taskArn"]: entry for entry in described}
    calls: list[dict[str, Any]] = []

    def describe(params: dict[str, Any]) -> dict[str, Any]:
        wanted = calls[-1]["tasks"]
        assert len(wanted) <= 100
        return {"tasks": [by_arn[arn] for arn in wanted]}

    calls = aws_says.watch("ecs", "DescribeTasks")
    aws_says.answer("ecs", "ListTasks", {"taskArns": list(by_arn)})
    aws_says.answer("ecs", "DescribeTasks", describe)
    return calls


@pytest.mark.usefixtures("cloud")
def test_a_missing_cluster_has_no_tasks() -> None:
    assert tasks.describe(ID) == []
    assert tasks.unstopped(ID) == []


def test_an_empty_cluster_has_no_tasks(deployment: Deployment) -> None:
    cluster.ensure(deployment)
    assert tasks.describe(ID) == []


@pytest.mark.usefixtures("cloud")
def test_many_tasks_are_described_in_batches() -> None:
    calls = say(*(task(n) for n in range(150)))
    assert len(tasks.describe(ID, desired=("RUNNING",))) == 150
    assert len(calls) == 2


@pytest.mark.usefixtures("cloud")
def test_a_task_counts_until_it_has_stopped() -> None:
    say(task(1, "DEPROVISIONING"), task(2, "STOPPED"))
    assert set(tasks.unstopped(ID)) == {f"{1:032x}"}


def test_details_come_from_the_network_interface() -> None:
    assert tasks.attachment(task(7), "privateIPv4Address") == "10.0.0.7"
    assert tasks.attachment(task(7), "unheard") is None
    assert tasks.attachment({"taskArn": "x"}, "privateIPv4Address") is None


@pytest.mark.usefixtures("cloud")
def test_one_call_gets_all_public_addresses() -> None:
    described = [
        {"NetworkInterfaceId": "eni-1", "Association": {"PublicIp": "203.0.113.1"}},
        {"NetworkInterfaceId": "eni-2"},
    ]
    calls = aws_says.watch("ec2", "DescribeNetworkInterfaces")
    aws_says.answer("ec2", "DescribeNetworkInterfaces", {"NetworkInterfaces": described})
    assert tasks.public_addresses([task(1), task(2)]) == {"eni-1": "203.0.113.1"}
    assert len(calls) == 1


def test_without_tasks_no_address_is_requested(aws_calls: list[str]) -> None:
    assert tasks.public_addresses([]) == {}
    assert aws_calls == []
