"""The end of a teardown: are the tasks gone, and does AWS know of anything that is left?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chalicelib import aws
from chalicelib.clock import now
from chalicelib.deployments import naming
from chalicelib.deployments.deployment import Deployment
from chalicelib.deployments.errors import NotReady
from chalicelib.resources import (
    cluster,
    load_balancer,
    log_group,
    security_groups,
    service,
    target_group,
    task_definition,
    tasks,
)
from chalicelib.settings import settings
from chalicelib.workflow.step import Outcome

# In the order in which they are asked; a listener is gone with its load balancer.
KINDS: tuple[tuple[str, Callable[[str], list[str]]], ...] = (
    (service.KIND, service.exists),
    (load_balancer.KIND, load_balancer.exists),
    (target_group.KIND, target_group.exists),
    (security_groups.KIND, security_groups.exists),
    (task_definition.KIND, task_definition.exists),
    (cluster.KIND, cluster.exists),
    (log_group.KIND, log_group.exists),
)


def drain_tasks(deployment: Deployment) -> Outcome:
    """Raises `NotReady` until every task has stopped: their network interfaces go after that."""
    left = tasks.unstopped(deployment.id)
    if left:
        raise NotReady(f"{len(left)} task(s) stopping")
    return Outcome()


def verify(deployment: Deployment) -> Outcome:
    """Asks AWS by name and by tag whether anything is left; raises `NotReady` while there is.

    The receipt is written here: each resource is told gone only because AWS said so.
    """
    left = find_leftovers(deployment.id)
    if left:
        raise NotReady(
            "AWS still knows of " + ", ".join(f"{item['kind']} {item['name']}" for item in left)
        )

    def change(record: Deployment) -> None:
        for resource in record.resources:
            if not resource.verified_gone:
                resource.deleted_at, resource.verified_gone = now(), True
        record.leftovers = []

    return Outcome(message="nothing left, by name and by tag", change=change)


def find_leftovers(deployment_id: str) -> list[dict[str, Any]]:
    """What AWS still knows of the deployment: `[{kind, name, reason}]`."""
    by_name = [
        {"kind": kind, "name": name, "reason": "found by its name"}
        for kind, exists in KINDS
        for name in exists(deployment_id)
    ]
    return by_name or _found_by_tag(deployment_id)


def _found_by_tag(deployment_id: str) -> list[dict[str, Any]]:
    """Tagged resources of kinds, or under names, that the look by name does not cover.

    The tagging API goes on listing a resource for a while after its deletion, so what the
    look by name has just found gone is not taken from it.
    """
    api = aws.client("resourcegroupstaggingapi")
    filters = [
        {"Key": naming.TAG_STACK, "Values": [settings().stack_name]},
        {"Key": naming.TAG_DEPLOYMENT, "Values": [deployment_id]},
    ]
    pages = api.get_paginator("get_resources").paginate(TagFilters=filters)
    arns = [entry["ResourceARN"] for page in pages for entry in page["ResourceTagMappingList"]]
    return [
        {"kind": "unknown", "name": arn, "reason": "found by its tag"}
        for arn in arns
        if not _is_covered(arn, deployment_id)
    ]


def _is_covered(arn: str, deployment_id: str) -> bool:
    """Whether `find_leftovers` has asked for this very resource by name."""
    kinds = (
        "service",
        "cluster",
        "task-definition",
        "loadbalancer",
        "targetgroup",
        "listener",
        "log-group",
        "task",
    )
    resource = arn.split(":", 5)[-1]
    if resource.startswith("security-group/"):
        return True  # asked for by tag as well as by name
    return resource.startswith(kinds) and deployment_id in resource
