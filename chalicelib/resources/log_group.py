"""The log group of the tasks. It has a retention, because logs are otherwise kept forever."""

from __future__ import annotations

import contextlib
from typing import Any

from chalicelib.domain import naming
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.domain.parts import Resource, ResourceKind
from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.resources.tagging import retag_logs, tags_of

KIND = ResourceKind.LOG_GROUP


def name_of(deployment_id: str) -> str:
    """The log group's name."""
    return naming.log_group(deployment_id, settings().stack_name)


def ensure(deployment: Deployment) -> Resource:
    """Creates the log group, or adopts the existing one."""
    logs, name = aws.client("logs"), name_of(deployment.id)
    try:
        logs.create_log_group(logGroupName=name, tags=tags_of(deployment))
    except logs.exceptions.ResourceAlreadyExistsException:
        if deployment.retagged:
            retag_logs(deployment, _arn(name))
    try:
        logs.put_retention_policy(logGroupName=name, retentionInDays=settings().log_retention_days)
    except logs.exceptions.ResourceNotFoundException:
        raise NotReady(f"log group {name} is not visible yet") from None
    return Resource(kind=KIND, name=name)


def _arn(name: str) -> str:
    """The ARN without `:*`, the suffix for its streams, as the tagging calls expect it."""
    groups = [group for group in _with_prefix(name) if group["logGroupName"] == name]
    if not groups:
        raise NotReady(f"log group {name} is not visible yet")
    return str(groups[0]["arn"]).removesuffix(":*")


def _with_prefix(prefix: str) -> list[dict[str, Any]]:
    answer = aws.client("logs").describe_log_groups(logGroupNamePrefix=prefix)
    groups: list[dict[str, Any]] = answer["logGroups"]
    return groups


def delete(deployment_id: str) -> None:
    """Deletes the log group and its lines. Succeeds if there is none."""
    logs = aws.client("logs")
    with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
        logs.delete_log_group(logGroupName=name_of(deployment_id))


def exists(deployment_id: str) -> list[str]:
    """The name of the log group if it still exists."""
    name = name_of(deployment_id)
    return [group["logGroupName"] for group in _with_prefix(name) if group["logGroupName"] == name]


def last_lines(deployment_id: str, stream: str, count: int = 20) -> list[str]:
    """The last `count` lines of one task, oldest first; none if it wrote nothing."""
    logs = aws.client("logs")
    try:
        answer = logs.get_log_events(
            logGroupName=name_of(deployment_id),
            logStreamName=stream,
            limit=count,
            startFromHead=False,
        )
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [event["message"] for event in answer["events"]][-count:]
