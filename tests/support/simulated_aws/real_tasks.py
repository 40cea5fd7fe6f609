"""Tasks that are processes: corrects MiniStack's responses about the local stack's tasks.

The local Fargate agent (`local/fargate_agent.py`) starts the processes, runs the health checks and
acts on them as ECS does, for every user of the local stack. MiniStack's API has no call to report
the results. So the agent writes them into the tasks' tags, and this rule turns the tags into AWS's
responses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from local.task_tags import TAG_ADDRESS, TAG_HEALTH_CHECK
from tests.support.simulated_aws.aws import Answer, AwsError, Call, Rule
from tests.support.simulated_aws.service_view import service_seen_by_aws
from tests.support.simulated_aws.targets import Met
from tests.support.simulated_aws.task_view import Task, seen_by_aws, tags_of

STATUSES = ("RUNNING", "STOPPED")


class RealTasks(Rule):
    """Corrects MiniStack's responses about tasks, services and targets.

    The agent does not register unhealthy targets with MiniStack, because MiniStack would send them
    requests. This rule shows them as `initial`, and `LoadBalancers` checks them with `probe`.
    """

    def __init__(self, raw: Callable[[str], Any]) -> None:
        """Args: raw: service -> a boto3 client straight to the emulator."""
        self._raw = raw
        self._created: dict[
            str, Answer
        ] = {}  # target group ARN -> the CreateService call of its service
        self._met: dict[str, Met] = {}

    def probe(self, address: str, port: int, path: str) -> Met:
        """The result of the agent's latest health check of an address."""
        return self._met.get(address, "refused")

    def before(self, call: Call) -> Answer | None:
        if call.name == "ec2.DeleteSecurityGroup":
            self._check_unused(call.params.get("GroupId", ""))
        return None

    def after(self, call: Call, answer: Answer) -> Answer:
        handler = getattr(self, f"_{call.service}_{call.operation}", None)
        changed: Answer | None = handler(call.params, answer) if handler else None
        return answer if changed is None else changed

    def _ecs_DescribeTasks(self, params: Answer, answer: Answer) -> Answer:
        arns = [task["taskArn"] for task in answer["tasks"]]
        with_tags = "TAGS" in params.get("include", [])
        shown = self._describe(params["cluster"], arns)
        if not with_tags:
            shown = [{key: value for key, value in t.items() if key != "tags"} for t in shown]
        return {**answer, "tasks": shown}

    def _ecs_ListTasks(self, params: Answer, answer: Answer) -> Answer:
        status = params.get("desiredStatus", "RUNNING")
        service = f"service:{params['serviceName']}" if "serviceName" in params else None
        arns = [
            task["taskArn"]
            for task in self._tasks(params["cluster"])
            if task["desiredStatus"] == status and service in (None, task.get("group"))
        ]
        return {"taskArns": arns}

    def _ecs_DescribeServices(self, params: Answer, answer: Answer) -> Answer:
        services = [self._service(params["cluster"], service) for service in answer["services"]]
        return {**answer, "services": services}

    def _ecs_CreateService(self, params: Answer, answer: Answer) -> Answer:
        for entry in params.get("loadBalancers", []):
            self._created[entry["targetGroupArn"]] = params
        return self._ecs_UpdateService(params, answer)

    def _ecs_UpdateService(self, params: Answer, answer: Answer) -> Answer:
        return {**answer, "service": self._service(params["cluster"], answer["service"])}

    _ecs_DeleteService = _ecs_UpdateService

    def _elbv2_DescribeTargetHealth(self, params: Answer, answer: Answer) -> Answer | None:
        created = self._created.get(params["TargetGroupArn"])
        if created is None or params.get("Targets"):
            return None
        entries = list(answer["TargetHealthDescriptions"])
        known = {entry["Target"]["Id"] for entry in entries}
        port = created["loadBalancers"][0]["containerPort"]
        for task in self._tasks(created["cluster"]):
            address = tags_of(task).get(TAG_ADDRESS)
            if task["lastStatus"] == "RUNNING" and address and address not in known:
                target = {"Id": address, "Port": port}
                entries.append({"Target": target, "TargetHealth": {"State": "initial"}})
        return {**answer, "TargetHealthDescriptions": entries}

    def _service(self, cluster: str, service: Answer) -> Answer:
        group = f"service:{service['serviceName']}"
        tasks = [task for task in self._tasks(cluster) if task.get("group") == group]
        return service_seen_by_aws(service, tasks)

    def _tasks(self, cluster: str) -> list[Task]:
        """All tasks of a cluster as AWS describes them; an empty list if the cluster is missing."""
        ecs = self._raw("ecs")
        arns: list[str] = []
        try:
            for status in STATUSES:
                arns += ecs.list_tasks(cluster=cluster, desiredStatus=status)["taskArns"]
            return self._describe(cluster, arns)
        except ClientError:
            return []

    def _describe(self, cluster: str, arns: list[str]) -> list[Task]:
        if not arns:
            return []
        answer = self._raw("ecs").describe_tasks(cluster=cluster, tasks=arns, include=["TAGS"])
        for task in answer["tasks"]:
            self._remember(tags_of(task))
        return [seen_by_aws(task) for task in answer["tasks"]]

    def _remember(self, tags: dict[str, str]) -> None:
        outcome = tags.get(TAG_HEALTH_CHECK)
        if outcome and TAG_ADDRESS in tags:
            self._met[tags[TAG_ADDRESS]] = int(outcome) if outcome.isdigit() else outcome  # type: ignore[assignment]

    def _check_unused(self, group: str) -> None:
        """Refuse to delete a security group that a task's network interface uses.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html
        """
        for created in self._created.values():
            network = created.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
            if group in network.get("securityGroups", []) and any(
                task["lastStatus"] != "STOPPED" for task in self._tasks(created["cluster"])
            ):
                message = f"resource {group} has a dependent object"
                raise AwsError("DependencyViolation", message)
