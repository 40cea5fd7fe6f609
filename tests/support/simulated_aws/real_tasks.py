"""Tasks that are processes of the local stack hold their security groups, as on AWS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from tests.support.simulated_aws.aws import Answer, AwsError, Call, Rule

STATUSES = ("RUNNING", "STOPPED")


class RealTasks(Rule):
    """Refuses to delete a security group that a task's network interface uses.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html
    """

    def __init__(self, raw: Callable[[str], Any]) -> None:
        """Args: raw: service -> a boto3 client of the local stack's gateway."""
        self._raw = raw
        self._clusters: dict[str, set[str]] = {}  # by the security groups of their services

    def before(self, call: Call) -> Answer | None:
        if call.name == "ec2.DeleteSecurityGroup":
            group = call.params.get("GroupId", "")
            if any(self._has_tasks(cluster) for cluster in self._clusters.get(group, ())):
                message = f"resource {group} has a dependent object"
                raise AwsError("DependencyViolation", message)
        return None

    def after(self, call: Call, answer: Answer) -> Answer:
        if call.name == "ecs.CreateService":
            network = call.params.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
            for group in network.get("securityGroups", ()):
                self._clusters.setdefault(group, set()).add(call.params["cluster"])
        return answer

    def _has_tasks(self, cluster: str) -> bool:
        ecs = self._raw("ecs")
        try:
            arns = [
                arn
                for status in STATUSES
                for arn in ecs.list_tasks(cluster=cluster, desiredStatus=status)["taskArns"]
            ]
            tasks = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
        except ClientError:  # the cluster is deleted
            return False
        return any(task["lastStatus"] != "STOPPED" for task in tasks)
