"""Task definitions: they define what a task runs.

The family is the deployment ID, and each change is a revision.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from chalicelib.domain import naming
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.domain.parts import Resource, ResourceKind
from chalicelib.domain.spec.fargate import LEAST_STORAGE_GIB
from chalicelib.domain.spec.request_timeout import stop_timeout
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.resources import log_group
from chalicelib.resources.tagging import lower, retag_ecs, tags_of

KIND = ResourceKind.TASK_DEFINITION
UNPRIVILEGED_PORTS_START = 1024
# DeleteTaskDefinitions accepts at most ten per call.
DELETE_BATCH = 10
LOG_STREAM_PREFIX = "task"
# A rollback goes back one version. If it needs an older revision, a new one is registered.
REVISIONS_LOOKED_AT = 10


def log_stream(task_id: str) -> str:
    """The log stream of a task's container in the awslogs driver: prefix/container/task ID.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html
    """
    return f"{LOG_STREAM_PREFIX}/{naming.CONTAINER_NAME}/{task_id}"


@dataclass(frozen=True)
class Revision:
    """A revision of a family, and its tags."""

    arn: str
    tags: dict[str, str]

    @property
    def spec_hash(self) -> str:
        return self.tags.get(naming.TAG_SPEC, "")


def ensure(deployment: Deployment) -> Resource:
    """Registers a revision for the spec, unless an active revision has the same content.

    RegisterTaskDefinition adds a revision in every call, so a tag holds a hash of the content. A
    step that runs again finds its own revision by it, and a rollback finds the one whose tasks
    still run. The hash excludes the tags: they change on the existing revision, without a restart
    of the tasks.
    """
    existing = _find(deployment)
    if existing:
        retag_ecs(deployment, existing.arn, _outdated(deployment, existing.tags))
        return Resource(kind=KIND, name=deployment.id, arn=existing.arn)
    wanted = _definition(deployment)
    tags = lower(tags_of(deployment, **{naming.TAG_SPEC: _hash(wanted)}))
    answer = aws.client("ecs").register_task_definition(**wanted, tags=tags)
    arn = str(answer["taskDefinition"]["taskDefinitionArn"])
    return Resource(kind=KIND, name=deployment.id, arn=arn)


def is_same(deployment: Deployment, other: Deployment) -> bool:
    """Whether both need the same revision, so that no task has to be replaced."""
    return _definition(deployment) == _definition(other)


def _outdated(deployment: Deployment, present: dict[str, str]) -> list[str]:
    """The keys of the caller's tags that differ between a revision and the spec.

    These can be more than the keys that just changed, because the revision can be older.
    """
    own, snapshots = deployment.spec.tags, (deployment.last_active, deployment.active_before)
    earlier = (snapshot.spec.tags for snapshot in snapshots if snapshot)
    known = {*own, *deployment.retagged}.union(*earlier)
    return sorted(key for key in known if present.get(key) != own.get(key))


def find(deployment: Deployment) -> str | None:
    """The ARN of the newest active revision with the content of the spec, or None."""
    revision = _find(deployment)
    return revision.arn if revision else None


def _find(deployment: Deployment) -> Revision | None:
    wanted = _hash(_definition(deployment))
    newest = _describe(deployment.id)
    if newest is None or newest.spec_hash == wanted:
        return newest
    older = (_describe(arn) for arn in _newest_revisions(deployment.id) if arn != newest.arn)
    return next((each for each in older if each and each.spec_hash == wanted), None)


def _hash(definition: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:16]


def _definition(deployment: Deployment) -> dict[str, Any]:
    spec = deployment.spec
    container: dict[str, Any] = {
        "name": naming.CONTAINER_NAME,
        "image": deployment.image.pinned,
        "essential": True,
        "portMappings": [{"containerPort": spec.container_port, "protocol": "tcp"}],
        "environment": _environment(spec),
        "stopTimeout": stop_timeout(spec.request_timeout),
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": log_group.name_of(deployment.id),
                "awslogs-region": settings().aws_region,
                "awslogs-stream-prefix": LOG_STREAM_PREFIX,
                # A burst of log lines must not block predictions.
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
    if spec.container_port < UNPRIVILEGED_PORTS_START:
        # On Fargate only root can listen on ports below 1024, and a container should not run as
        # root.
        # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_SystemControl.html
        sysctl = "net.ipv4.ip_unprivileged_port_start"
        container["systemControls"] = [{"namespace": sysctl, "value": "0"}]
    more = {"sizeInGiB": spec.storage_gib} if spec.storage_gib > LEAST_STORAGE_GIB else None
    return {
        "family": deployment.id,
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": str(spec.cpu),
        "memory": str(spec.memory),
        "runtimePlatform": {"cpuArchitecture": spec.architecture, "operatingSystemFamily": "LINUX"},
        "executionRoleArn": settings().execution_role_arn,
        "taskRoleArn": spec.task_role_arn or settings().task_role_arn,
        "containerDefinitions": [container],
        # ECS refuses the 20 GiB that each task has anyway.
        **({"ephemeralStorage": more} if more else {}),
    }


def _environment(spec: Spec) -> list[dict[str, str]]:
    values = {"PORT": str(spec.container_port), **spec.environment}
    # ECS refuses a name in both `environment` and `secrets`.
    return [
        {"name": name, "value": value}
        for name, value in sorted(values.items())
        if name not in spec.secrets
    ]


def _describe(name: str) -> Revision | None:
    """The revision of an ARN, or the newest active revision of a family; None if there is none."""
    ecs = aws.client("ecs")
    try:
        answer = ecs.describe_task_definition(taskDefinition=name, include=["TAGS"])
    except ecs.exceptions.ClientException:
        return None  # "Unable to describe task definition": no active revision exists
    tags = {tag["key"]: tag["value"] for tag in answer.get("tags", [])}
    return Revision(answer["taskDefinition"]["taskDefinitionArn"], tags)


def _newest_revisions(deployment_id: str) -> list[str]:
    """The ARNs of the newest active revisions of the family, newest first."""
    answer = aws.client("ecs").list_task_definitions(
        familyPrefix=deployment_id, status="ACTIVE", sort="DESC", maxResults=REVISIONS_LOOKED_AT
    )
    return [arn for arn in answer["taskDefinitionArns"] if _family(arn) == deployment_id]


def revisions(deployment_id: str, status: str) -> list[str]:
    """The ARNs of the family's revisions with a status (`ACTIVE` or `INACTIVE`)."""
    pages = (
        aws.client("ecs")
        .get_paginator("list_task_definitions")
        .paginate(familyPrefix=deployment_id, status=status)
    )
    arns = [arn for page in pages for arn in page["taskDefinitionArns"]]
    # A prefix also matches longer names: `a-bcdefg` matches `a-bcdefg-hijklm`.
    return [arn for arn in arns if _family(arn) == deployment_id]


def _family(arn: str) -> str:
    return arn.rsplit("/", 1)[-1].rsplit(":", 1)[0]


def delete(deployment_id: str) -> None:
    """Deregisters and deletes every revision. Raises `NotReady` if AWS refuses to delete one."""
    ecs = aws.client("ecs")
    active = revisions(deployment_id, "ACTIVE")
    for arn in active:
        ecs.deregister_task_definition(taskDefinition=arn)
    # The list of inactive revisions can lag, so add the ones that were just deregistered.
    arns = sorted({*active, *revisions(deployment_id, "INACTIVE")})
    for start in range(0, len(arns), DELETE_BATCH):
        batch = arns[start : start + DELETE_BATCH]
        failures = ecs.delete_task_definitions(taskDefinitions=batch).get("failures", [])
        if failures:
            raise NotReady(
                f"AWS did not delete {len(failures)} task definition revision(s): {failures[0]}"
            )


def exists(deployment_id: str) -> list[str]:
    """The ARNs of revisions that are not deleted. A revision with deletion in progress is gone."""
    return revisions(deployment_id, "ACTIVE") + revisions(deployment_id, "INACTIVE")
