"""Task definitions: what a task runs. The family is the deployment's id, each change a revision."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from chalicelib.domain import naming
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.domain.parts import Resource, ResourceKind
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.resources import log_group
from chalicelib.resources.tagging import lower, retag_ecs, tags_of

KIND = ResourceKind.TASK_DEFINITION
# A prediction is short; ECS kills what has not stopped after this many seconds.
STOP_TIMEOUT_SECONDS = 10
UNPRIVILEGED_PORTS_START = 1024
# DeleteTaskDefinitions takes at most ten a call.
DELETE_BATCH = 10
LOG_STREAM_PREFIX = "task"
# A rollback goes one version back; older ones than these are registered anew.
REVISIONS_LOOKED_AT = 10


def log_stream(task_id: str) -> str:
    """The stream that the awslogs driver gives a task's container: prefix/container/task id.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html
    """
    return f"{LOG_STREAM_PREFIX}/{naming.CONTAINER_NAME}/{task_id}"


@dataclass(frozen=True)
class Revision:
    """A revision of a family, and the tags that it carries."""

    arn: str
    tags: dict[str, str]

    @property
    def spec_hash(self) -> str:
        return self.tags.get(naming.TAG_SPEC, "")


def ensure(deployment: Deployment) -> Resource:
    """Registers a revision for the spec, unless there is one that was registered for just that.

    RegisterTaskDefinition adds a revision at every call, so a hash of what it says is tagged on: a
    step that runs again finds its own, and a rollback the one whose tasks are still serving. Tags
    are no part of the hash: they change on the revision that there is, and no task is restarted.
    """
    found = _find(deployment)
    if found:
        retag_ecs(deployment, found.arn, _outdated(deployment, found.tags))
        return Resource(kind=KIND, name=deployment.id, arn=found.arn)
    wanted = _definition(deployment)
    tags = lower(tags_of(deployment, **{naming.TAG_SPEC: _hash(wanted)}))
    answer = aws.client("ecs").register_task_definition(**wanted, tags=tags)
    arn = str(answer["taskDefinition"]["taskDefinitionArn"])
    return Resource(kind=KIND, name=deployment.id, arn=arn)


def _outdated(deployment: Deployment, carried: dict[str, str]) -> list[str]:
    """Keys of own tags that a revision carries otherwise than wanted.

    More than those that changed just now: it may be of some versions ago.
    """
    own, snapshots = deployment.spec.tags, (deployment.last_active, deployment.active_before)
    earlier = (snapshot.spec.tags for snapshot in snapshots if snapshot)
    known = {*own, *deployment.retagged}.union(*earlier)
    return sorted(key for key in known if carried.get(key) != own.get(key))


def find(deployment: Deployment) -> str | None:
    """The ARN of the newest active revision that was registered for the spec, or None."""
    found = _find(deployment)
    return found.arn if found else None


def _find(deployment: Deployment) -> Revision | None:
    wanted = _hash(_definition(deployment))
    newest = _describe(deployment.id)
    if newest is None or newest.spec_hash == wanted:
        return newest
    older = (_describe(arn) for arn in _newest_revisions(deployment.id) if arn != newest.arn)
    return next((found for found in older if found and found.spec_hash == wanted), None)


def _hash(definition: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]


def _definition(deployment: Deployment) -> dict[str, Any]:
    spec = deployment.spec
    container: dict[str, Any] = {
        "name": naming.CONTAINER_NAME,
        "image": deployment.image.pinned,
        "essential": True,
        "portMappings": [{"containerPort": spec.port, "protocol": "tcp"}],
        "environment": _environment(spec),
        "stopTimeout": STOP_TIMEOUT_SECONDS,
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": log_group.name_of(deployment.id),
                "awslogs-region": settings().aws_region,
                "awslogs-stream-prefix": LOG_STREAM_PREFIX,
                # A burst of log lines must not block the predictions that write them.
                "mode": "non-blocking",
            },
        },
    }
    if spec.command:
        container["command"] = spec.command
    if spec.secrets:
        container["secrets"] = [
            {"name": name, "valueFrom": arn} for name, arn in sorted(spec.secrets.items())
        ]
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


def _environment(spec: Spec) -> list[dict[str, str]]:
    values = {"PORT": str(spec.port), **spec.environment}
    # ECS refuses a name that is both a variable and a secret.
    return [
        {"name": name, "value": value}
        for name, value in sorted(values.items())
        if name not in spec.secrets
    ]


def _describe(name: str) -> Revision | None:
    """A revision, or a family's newest active one."""
    ecs = aws.client("ecs")
    try:
        answer = ecs.describe_task_definition(taskDefinition=name, include=["TAGS"])
    except ecs.exceptions.ClientException:
        return None  # "Unable to describe task definition": there is no active revision
    tags = {tag["key"]: tag["value"] for tag in answer.get("tags", [])}
    return Revision(answer["taskDefinition"]["taskDefinitionArn"], tags)


def _newest_revisions(deployment_id: str) -> list[str]:
    """ARNs of the family's last active revisions, newest first."""
    answer = aws.client("ecs").list_task_definitions(
        familyPrefix=deployment_id, status="ACTIVE", sort="DESC", maxResults=REVISIONS_LOOKED_AT
    )
    return [arn for arn in answer["taskDefinitionArns"] if _family(arn) == deployment_id]


def revisions(deployment_id: str, status: str) -> list[str]:
    """ARNs of the family's revisions of one status (`ACTIVE`, `INACTIVE`)."""
    pages = (
        aws.client("ecs")
        .get_paginator("list_task_definitions")
        .paginate(familyPrefix=deployment_id, status=status)
    )
    arns = [arn for page in pages for arn in page["taskDefinitionArns"]]
    # A prefix is not a name: `a-bcdefg` is one of `a-bcdefg-hijklm`.
    return [arn for arn in arns if _family(arn) == deployment_id]


def _family(arn: str) -> str:
    return arn.rsplit("/", 1)[-1].rsplit(":", 1)[0]


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
