"""Responses of AWS for the workflow's tests."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import aws_says
from tests.support.builders import ID, MOMENT

Parsed = dict[str, Any]
TARGET_GROUP = {"TargetGroups": [{"TargetGroupArn": "arn:target"}]}


class World:
    """A load balancer, a service and its tasks as AWS describes them. Tests can change them."""

    def __init__(self) -> None:
        self.state = "active"
        self.reason = ""
        self.service: Parsed | None = {
            "status": "ACTIVE",
            "runningCount": 1,
            "deployments": [{"status": "PRIMARY", "runningCount": 1}],
            "events": [{"message": "has started 1 tasks"}],
            "taskDefinition": f"arn:task-definition/{ID}:1",
        }
        self.targets: list[Parsed] = [target("healthy")]
        self.tasks: list[Parsed] = [running_task()]

    def speak(self) -> None:
        """Make AWS return this world from now on."""
        answers: dict[tuple[str, str], Callable[[Parsed], Parsed]] = {
            ("elbv2", "DescribeLoadBalancers"): self._load_balancers,
            ("elbv2", "DescribeTargetGroups"): lambda _: TARGET_GROUP,
            ("elbv2", "DescribeTargetHealth"): lambda _: {"TargetHealthDescriptions": self.targets},
            ("ecs", "DescribeServices"): lambda _: {
                "services": [self.service] if self.service else []
            },
            ("ecs", "ListTasks"): self._listed_tasks,
            ("ecs", "DescribeTasks"): self._described_tasks,
        }
        for (service, operation), parsed in answers.items():
            aws_says.answer(service, operation, parsed)

    def _listed_tasks(self, request: Parsed) -> Parsed:
        wanted = json.loads(request["body"])["desiredStatus"]
        return {"taskArns": [t["taskArn"] for t in self.tasks if t["desiredStatus"] == wanted]}

    def _described_tasks(self, request: Parsed) -> Parsed:
        wanted = json.loads(request["body"])["tasks"]
        return {"tasks": [task for task in self.tasks if task["taskArn"] in wanted]}

    def _load_balancers(self, _: Parsed) -> Parsed:
        state = {"Code": self.state, "Reason": self.reason}
        found = {"LoadBalancerArn": "arn:lb", "LoadBalancerName": ID, "DNSName": "lb.example"}
        return {"LoadBalancers": [{**found, "State": state}]}


@pytest.fixture
def world(cloud: None) -> World:
    made = World()
    made.speak()
    return made


def target(state: str, reason: str = "", n: int = 1) -> Parsed:
    """The target of the n-th task, as the load balancer shows it."""
    health = {"State": state, **({"Reason": reason} if reason else {})}
    return {"Target": {"Id": f"10.0.0.{n}", "Port": 80}, "TargetHealth": health}


def running_task(n: int = 1, revision: int = 1) -> Parsed:
    """The n-th task, while it serves."""
    details = [{"name": "privateIPv4Address", "value": f"10.0.0.{n}"}]
    return {
        "taskArn": f"arn:aws:ecs:us-east-1:123456789012:task/{ID}/{1000 + n:032x}",
        "taskDefinitionArn": f"arn:task-definition/{ID}:{revision}",
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        "createdAt": MOMENT,
        "attachments": [{"type": "ElasticNetworkInterface", "details": details}],
    }


def stopped_task(n: int = 1, **fields: Any) -> Parsed:
    """A task whose container exited by itself with code 1."""
    return {
        "taskArn": f"arn:aws:ecs:us-east-1:123456789012:task/{ID}/{n:032x}",
        "taskDefinitionArn": f"arn:task-definition/{ID}:1",
        "lastStatus": "STOPPED",
        "desiredStatus": "STOPPED",
        "stopCode": "EssentialContainerExited",
        "stoppedReason": "Essential container in task exited",
        "createdAt": MOMENT,
        "stoppedAt": MOMENT,
        "containers": [{"name": "app", "exitCode": 1}],
        **fields,
    }
