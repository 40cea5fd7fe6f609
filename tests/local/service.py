"""An ECS service behind a load balancer, created with the same calls as Slipway's steps."""

import contextlib
import json
import os
import signal
import socket
import urllib.error
import uuid
from pathlib import Path
from typing import Any

from local import sample
from local.emulator import Endpoint, client, open_url
from local.processes import wait_until

SECONDS = 30.0


class Service:
    """One service with its own cluster, load balancer, target group and log group."""

    def __init__(self, aws: Endpoint, load_balancers_url: str) -> None:
        self.name = f"svc-{uuid.uuid4().hex[:6]}"
        self.url = f"{load_balancers_url}/{self.name}"
        self.ecs = client("ecs", aws)
        self.elbv2 = client("elbv2", aws)
        self.logs = client("logs", aws)
        self.target_group = self._make_load_balancer()
        self.logs.create_log_group(logGroupName=self.name)
        self.ecs.create_cluster(clusterName=self.name)

    def _make_load_balancer(self) -> str:
        balancer = self.elbv2.create_load_balancer(
            Name=self.name, Subnets=["subnet-1", "subnet-2"], Type="application"
        )["LoadBalancers"][0]
        group = self.elbv2.create_target_group(
            Name=self.name,
            Protocol="HTTP",
            Port=80,
            VpcId="vpc-1",
            TargetType="ip",
            HealthCheckPath="/health",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=4,
            Matcher={"HttpCode": "200"},
        )["TargetGroups"][0]
        delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}]
        self.elbv2.modify_target_group_attributes(
            TargetGroupArn=group["TargetGroupArn"], Attributes=delay
        )
        self.elbv2.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
        )
        return str(group["TargetGroupArn"])

    def register_task_definition(self, image: str = sample.IMAGE, **container: Any) -> str:
        """Register a revision whose container has these additional fields; return its ARN."""
        container = {
            "name": "model",
            "image": image,
            "portMappings": [{"containerPort": 80}],
            "stopTimeout": 5,
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": self.name, "awslogs-stream-prefix": "task"},
            },
        } | container
        answer = self.ecs.register_task_definition(
            family=self.name,
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            containerDefinitions=[container],
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def create(self, task_definition: str, count: int = 1) -> None:
        """Create the ECS service."""
        self.ecs.create_service(
            cluster=self.name,
            serviceName=self.name,
            taskDefinition=task_definition,
            desiredCount=count,
            launchType="FARGATE",
            loadBalancers=[
                {
                    "targetGroupArn": self.target_group,
                    "containerName": "model",
                    "containerPort": 80,
                }
            ],
        )

    def update(self, **changes: Any) -> None:
        """Update the ECS service."""
        self.ecs.update_service(cluster=self.name, service=self.name, **changes)

    def delete(self) -> None:
        """Delete the service and its cluster; dependent resources may be deleted afterwards."""
        self.ecs.delete_service(cluster=self.name, service=self.name, force=True)
        self.wait_for_targets(0)
        self.ecs.delete_cluster(cluster=self.name)

    def healths(self) -> dict[str, dict[str, str]]:
        """Return the targets' health by their address, as DescribeTargetHealth describes it."""
        found = self.elbv2.describe_target_health(TargetGroupArn=self.target_group)
        described = found["TargetHealthDescriptions"]
        return {item["Target"]["Id"]: item["TargetHealth"] for item in described}

    def targets(self) -> list[str]:
        """Return the addresses of the targets that get requests."""
        return [id for id, health in self.healths().items() if health["State"] == "healthy"]

    def wait_for_targets(self, count: int) -> list[str]:
        """Return the addresses of the healthy targets once there are `count`."""
        wait_until(lambda: len(self.targets()) == count, SECONDS, f"not {count} targets")
        return self.targets()

    def described(self) -> dict[str, Any]:
        """Return the service as DescribeServices describes it."""
        answer = self.ecs.describe_services(cluster=self.name, services=[self.name])
        return dict(answer["services"][0])

    def stopped(self) -> list[dict[str, Any]]:
        """Return the tasks that have stopped."""
        return [task for task in self.tasks("STOPPED") if task["lastStatus"] == "STOPPED"]

    def task_ids(self, status: str = "RUNNING") -> list[str]:
        """Return the ids of the tasks that ECS wants in `status`."""
        answer = self.ecs.list_tasks(cluster=self.name, desiredStatus=status)
        return [arn.rsplit("/", 1)[-1] for arn in answer["taskArns"]]

    def stopped_reasons(self) -> list[str]:
        """Return the reasons of the stopped tasks."""
        return [task["stoppedReason"] for task in self.tasks("STOPPED")]

    def tasks(self, status: str = "RUNNING") -> list[dict[str, Any]]:
        """Return the tasks that ECS wants in `status`, with their tags."""
        ids = self.task_ids(status)
        if not ids:
            return []
        answer = self.ecs.describe_tasks(cluster=self.name, tasks=ids, include=["TAGS"])
        return list(answer["tasks"])

    def get(self, path: str = "/?uid=20") -> tuple[int, str, Any]:
        """GET through the load balancer; return (status, ID of the task, JSON of the response)."""
        try:
            with open_url(self.url + path, timeout=10) as answer:
                return answer.status, answer.headers.get("X-Served-By", ""), json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, "", None

    def kill_process(self, task_id: str) -> None:
        """Send SIGKILL to the process of a task; its environment contains the ID."""
        sought = f"TASK_ID={task_id[:8]}".encode()
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if sought in (folder / "environ").read_bytes().split(b"\0"):
                    os.kill(int(folder.name), signal.SIGKILL)

    def wait_for_process_end(self, address: str) -> None:
        """Wait until no process accepts connections on the address of a former target."""
        wait_until(lambda: not _accepts(address), SECONDS, f"{address} still answers")

    def log_lines(self, task_id: str) -> list[str]:
        """Return the lines of a task in CloudWatch Logs."""
        answer = self.logs.filter_log_events(
            logGroupName=self.name, logStreamNames=[f"task/model/{task_id}"]
        )
        return [event["message"] for event in answer["events"]]


def _accepts(address: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, 80), timeout=1):
        return True
    return False
