"""The end of a teardown: are the tasks gone, and does AWS know of anything that is left?"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chalicelib.domain import naming
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode, NotReady
from chalicelib.domain.parts import Leftover
from chalicelib.platform import aws
from chalicelib.platform.clock import now
from chalicelib.platform.observability import logger
from chalicelib.platform.settings import settings
from chalicelib.resources import (
    cluster,
    dns_record,
    load_balancer,
    log_group,
    scaling,
    security_groups,
    service,
    target_group,
    task_definition,
    tasks,
)
from chalicelib.workflow.step import Outcome

# (kind, what AWS knows of it, the step that removes it), in the order in which they are asked; a
# listener is gone with its load balancer. DNS records are asked for by their domains beside these.
KINDS: tuple[tuple[str, Callable[[str], list[str]], str], ...] = (
    (scaling.KIND, scaling.exists, "delete_scaling"),
    (service.KIND, service.exists, "delete_service"),
    (load_balancer.KIND, load_balancer.exists, "delete_load_balancer"),
    (target_group.KIND, target_group.exists, "delete_target_group"),
    (security_groups.KIND, security_groups.exists, "delete_security_groups"),
    (task_definition.KIND, task_definition.exists, "delete_task_definitions"),
    (cluster.KIND, cluster.exists, "delete_cluster"),
    (log_group.KIND, log_group.exists, "delete_log_group"),
)
STEP_OF_KIND = {kind: step for kind, _, step in KINDS} | {dns_record.KIND: "delete_dns_record"}


def drain_tasks(deployment: Deployment) -> Outcome:
    """Raises `NotReady` until every task has stopped: their network interfaces go after that."""
    left = tasks.unstopped(deployment.id)
    if left:
        raise NotReady(f"{len(left)} task(s) stopping")
    return Outcome()


def verify(deployment: Deployment) -> Outcome:
    """Asks AWS by name and by tag whether anything is left; raises `NotReady` while there is, and
    `DeploymentFailed` where it is something that could not be removed.

    The receipt is written here: each resource is told gone only because AWS said so.
    """
    left = find_leftovers(deployment.id, deployment.domains)
    if left:
        told = ", ".join(f"{item.kind} {item.name}" for item in left)
        if deployment.operation.undone_deletes:
            raise DeploymentFailed(
                FailureCode.INTERNAL,
                f"Not everything could be removed: AWS still has {told}.",
                hint="Look at `leftovers`, mend the cause that each tells, then retry.",
            )
        raise NotReady(f"AWS still knows of {told}")

    def change(record: Deployment) -> None:
        record.settle([], now())

    return Outcome(message="nothing left, by name and by tag", change=change)


def with_reasons(left: list[Leftover], deployment: Deployment) -> list[Leftover]:
    """Each with the reason why the step that should have removed it did not."""
    undone = deployment.operation.undone_deletes
    return [
        item.model_copy(
            update={"reason": undone.get(STEP_OF_KIND.get(item.kind, "")) or item.reason}
        )
        for item in left
    ]


def find_leftovers(deployment_id: str, domains: Iterable[str] = ()) -> list[Leftover]:
    """What AWS still knows of the deployment, and of those domains whatever leads to it."""
    found = [(kind, name) for kind, exists, _ in KINDS for name in exists(deployment_id)]
    found += [(dns_record.KIND, name) for name in dns_record.exists(deployment_id, domains)]
    by_name = [
        Leftover(kind=kind, name=name, reason="AWS still has it, by its name")
        for kind, name in found
    ]
    return by_name + _found_by_tag(deployment_id)


def told_leftovers(deployment_id: str, domains: Iterable[str] = ()) -> list[Leftover]:
    """What is left; that it cannot be looked for is told too, and holds nothing up."""
    try:
        return find_leftovers(deployment_id, domains)
    except Exception as error:
        logger.exception("leftovers not looked for", extra={"deployment": deployment_id})
        reason = f"AWS could not be asked what is left: {error}"
        return [Leftover(kind="unknown", name=deployment_id, reason=reason)]


def _found_by_tag(deployment_id: str) -> list[Leftover]:
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
        Leftover(kind="unknown", name=arn, reason="AWS still has it, by its tag")
        for arn in arns
        if not _is_covered(arn, deployment_id)
    ]


def _is_covered(arn: str, deployment_id: str) -> bool:
    """Whether `find_leftovers` has asked by name for this resource, or for the one it goes with."""
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
    if resource.startswith("scalable-target/"):
        return True  # its ARN does not tell whose it is
    return resource.startswith(kinds) and deployment_id in resource
