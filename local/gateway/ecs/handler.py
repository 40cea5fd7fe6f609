"""Handles the calls of ECS that show tasks, and the reports of the agent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from local.gateway.direct import Direct
from local.gateway.ecs.reports import RUNNING, Reports
from local.gateway.ecs.services import service_seen_by_aws
from local.gateway.ecs.tasks import Task, seen_by_aws
from local.gateway.messages import HttpAnswer, HttpRequest
from local.gateway.relay import Forward
from local.gateway.wire import AwsError

PREFIX = "AmazonEC2ContainerServiceV20141113."
STATUSES = ("RUNNING", "STOPPED")
DESCRIBED_AT_ONCE = 100
Answer = dict[str, Any]


class Ecs:
    """The part of the gateway that completes ECS."""

    def __init__(self, direct: Direct) -> None:
        self._direct, self._reports = direct, Reports()

    def wants(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        """See `Handler`."""
        target = headers.get("X-Amz-Target", "")
        return target.startswith(PREFIX) and hasattr(self, f"_{target.removeprefix(PREFIX)}")

    async def handle(self, request: HttpRequest, forward: Forward) -> HttpAnswer:
        """See `Handler`."""
        answered = await forward(request)
        if answered.failed:
            return answered
        operation = request.headers["X-Amz-Target"].removeprefix(PREFIX)
        params, answer = json.loads(request.body), json.loads(answered.body)
        await getattr(self, f"_{operation}")(params, answer, forward)
        return HttpAnswer(answered.status, answered.headers, json.dumps(answer).encode())

    async def _SubmitTaskStateChange(
        self, params: Answer, answer: Answer, forward: Forward
    ) -> None:
        self._reports.submit(params)

    async def _DescribeTasks(self, params: Answer, answer: Answer, forward: Forward) -> None:
        answer["tasks"] = [self._seen(task) for task in answer["tasks"]]

    _RunTask = _DescribeTasks

    async def _StopTask(self, params: Answer, answer: Answer, forward: Forward) -> None:
        answer["task"] = self._seen(answer["task"])

    async def _ListTasks(self, params: Answer, answer: Answer, forward: Forward) -> None:
        """Move tasks between RUNNING and STOPPED whose process is not where MiniStack shows it."""
        cluster = params.get("cluster", "default")
        reports = self._reports.of_cluster(cluster)
        desired = params.get("desiredStatus", RUNNING)
        listed = answer["taskArns"]
        # Tasks whose process MiniStack and the agent may see differently.
        runs = {arn for arn, report in reports.items() if report.status == RUNNING}
        if desired == RUNNING:
            kept = [arn for arn in listed if arn in runs or arn not in reports]
            added = runs - set(listed)
        else:
            kept = [arn for arn in listed if arn not in runs]
            added = set(reports) - runs - set(listed)
            added |= runs & set(listed)
        if not added or answer.get("nextToken"):
            answer["taskArns"] = kept
            return
        group = f"service:{params['serviceName']}" if "serviceName" in params else None
        described = await self._describe(cluster, sorted(added), forward)
        answer["taskArns"] = kept + [
            task["taskArn"]
            for task in described
            if self._seen(task)["desiredStatus"] == desired and group in (None, task.get("group"))
        ]

    async def _DescribeServices(self, params: Answer, answer: Answer, forward: Forward) -> None:
        cluster = params.get("cluster", "default")
        tasks = await self._all_tasks(cluster, forward) if answer["services"] else []
        answer["services"] = [_service(service, tasks) for service in answer["services"]]

    async def _CreateService(self, params: Answer, answer: Answer, forward: Forward) -> None:
        tasks = await self._all_tasks(params.get("cluster", "default"), forward)
        answer["service"] = _service(answer["service"], tasks)

    _UpdateService = _DeleteService = _CreateService

    def _seen(self, task: Task) -> Task:
        return seen_by_aws(task, self._reports.of(task["taskArn"]))

    async def _all_tasks(self, cluster: str, forward: Forward) -> list[Task]:
        arns: list[str] = []
        for status in STATUSES:
            params = {"cluster": cluster, "desiredStatus": status}
            while True:
                page = await self._ask("ListTasks", params, forward)
                arns += page.get("taskArns", [])
                if "nextToken" not in page:
                    break
                params["nextToken"] = page["nextToken"]
        return [self._seen(task) for task in await self._describe(cluster, arns, forward)]

    async def _describe(self, cluster: str, arns: list[str], forward: Forward) -> list[Task]:
        tasks: list[Task] = []
        for start in range(0, len(arns), DESCRIBED_AT_ONCE):
            params = {"cluster": cluster, "tasks": arns[start : start + DESCRIBED_AT_ONCE]}
            tasks += (await self._ask("DescribeTasks", params, forward)).get("tasks", [])
        return tasks

    async def _ask(self, operation: str, params: Answer, forward: Forward) -> Answer:
        try:
            return await self._direct.ask(forward, "ecs", PREFIX + operation, params)
        except AwsError:  # the cluster has just been deleted
            return {}


def _service(service: Answer, tasks: list[Task]) -> Answer:
    group = f"service:{service['serviceName']}"
    return service_seen_by_aws(service, [task for task in tasks if task.get("group") == group])
