"""Task definitions: what a task runs. The family is the deployment's id, each change a revision."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from chalicelib import aws
from chalicelib.deployments import naming
from chalicelib.deployments.deployment import Deployment
from chalicelib.deployments.errors import NotReady
from chalicelib.deployments.parts import Resource
from chalicelib.resources import log_group
from chalicelib.resources.tagging import lower, tags_of
from chalicelib.settings import settings

KIND = "task_definition"
# A prediction is short; ECS kills what has not stopped after this many seconds.
STOP_TIMEOUT_SECONDS = 10
UNPRIVILEGED_PORTS_START = 1024
# DeleteTaskDefinitions takes at most ten a call.
DELETE_BATCH = 10


def ensure(deployment: Deployment) -> Resource:
    """Registers a revision for the spec, unless the newest one was registered for just that.

    RegisterTaskDefinition adds a revision at every call, so a hash of what it says is tagged on:
    a step that runs again finds its own.
    """
    wanted = _definition(deployment)
    spec_hash = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
    newest = _newest(deployment.id)
    if newest and newest[1] == spec_hash:
        return Resource(kind=KIND, name=deployment.id, arn=newest[0])
    tags = lower(tags_of(deployment, **{naming.TAG_SPEC: spec_hash}))
    answer = aws.client("ecs").register_task_definition(**wanted, tags=tags)
    return Resource(
        kind=KIND, name=deployment.id, arn=answer["taskDefinition"]["taskDefinitionArn"]
    )


def _definition(deployment: Deployment) -> dict[str, Any]:
    spec = deployment.spec
    container: dict[str, Any] = {
        "name": naming.CONTAINER_NAME,
        "image": deployment.image.pinned,
        "essential": True,
        "portMappings": [{"containerPort": spec.port, "protocol": "tcp"}],
        "environment": _environment({"PORT": str(spec.port), **spec.environment}),
        "stopTimeout": STOP_TIMEOUT_SECONDS,
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": log_group.name_of(deployment.id),
                "awslogs-region": settings().aws_region,
                "awslogs-stream-prefix": "task",
                # A burst of log lines must not block the predictions that write them.
                "mode": "non-blocking",
            },
        },
    }
    if spec.command:
        container["command"] = spec.command
    if spec.port < UNPRIVILEGED_PORTS_START:
        # Fargate's kernel lets only root listen below 1024, and a container should not be root.
        # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_SystemControl.html
        sysctl = "net.ipv4.ip_unprivileged_port_start"
        container["systemControls"] = [{"namespace": sysctl, "value": "0"}]
    return {
        "family": deployment.id,
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": str(spec.cpu),
        "memory": str(spec.memory),
        "runtimePlatform": {"cpuArchitecture": spec.architecture, "operatingSystemFamily": "LINUX"},
        "executionRoleArn": settings().execution_role_arn,
        "taskRoleArn": settings().task_role_arn,
        "containerDefinitions": [container],
    }


def _environment(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in sorted(values.items())]


def _newest(deployment_id: str) -> tuple[str, str] | None:
    """(ARN, spec hash) of the newest active revision."""
    ecs = aws.client("ecs")
    try:
        answer = ecs.describe_task_definition(taskDefinition=deployment_id, include=["TAGS"])
    except ecs.exceptions.ClientException:
        return None  # "Unable to describe task definition": there is no active revision
    tags = {tag["key"]: tag["value"] for tag in answer.get("tags", [])}
    return answer["taskDefinition"]["taskDefinitionArn"], tags.get(naming.TAG_SPEC, "")


def newest_arn(deployment_id: str) -> str | None:
    """The ARN of the newest active revision, or None."""
    newest = _newest(deployment_id)
    return newest[0] if newest else None


def revisions(deployment_id: str, status: str) -> list[str]:
    """ARNs of the family's revisions of one status (`ACTIVE`, `INACTIVE`)."""
    pages = (
        aws.client("ecs")
        .get_paginator("list_task_definitions")
        .paginate(familyPrefix=deployment_id, status=status)
    )
    arns = [arn for page in pages for arn in page["taskDefinitionArns"]]
    # A prefix is not a name: `a-bcdefg` is one of `a-bcdefg-hijklm`.
    return [arn for arn in arns if arn.rsplit("/", 1)[-1].rsplit(":", 1)[0] == deployment_id]


def delete(deployment_id: str) -> None:
    """Deregisters every revision, then deletes them all; raises `NotReady` if one is refused."""
    ecs = aws.client("ecs")
    active = revisions(deployment_id, "ACTIVE")
    for arn in active:
        ecs.deregister_task_definition(taskDefinition=arn)
    # A list may lag: what was deregistered just now goes too, whether it is shown yet or not.
    arns = sorted({*active, *revisions(deployment_id, "INACTIVE")})
    for start in range(0, len(arns), DELETE_BATCH):
        batch = arns[start : start + DELETE_BATCH]
        failures = ecs.delete_task_definitions(taskDefinitions=batch).get("failures", [])
        if failures:
            raise NotReady(f"{len(failures)} task definition(s) not deleted: {failures[0]}")


def exists(deployment_id: str) -> list[str]:
    """Revisions that are not deleted; one that AWS is removing by itself counts as gone."""
    return revisions(deployment_id, "ACTIVE") + revisions(deployment_id, "INACTIVE")
