"""The end of a teardown: have the tasks stopped, and does AWS still have any of the resources?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from chalicelib.domain import naming, plan
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode, NotReady
from chalicelib.domain.operation import Kind
from chalicelib.domain.parts import Leftover
from chalicelib.platform import aws, clock, deadline
from chalicelib.platform.observability import logger
from chalicelib.platform.settings import settings
from chalicelib.resources import (
    cluster,
    dns_record,
    load_balancer,
    log_group,
    log_tail,
    scaling,
    security_groups,
    service,
    target_group,
    task_definition,
    tasks,
)
from chalicelib.store import kept_logs
from chalicelib.workflow.step import Outcome

# The functions of the steps have 30 s, and the log group is deleted in the same call.
KEEPING_LOGS = timedelta(seconds=10)
STEP_OF_KIND = {step.deletes: step.name for step in plan.DESTROY if step.deletes}
# The names of the resources of a kind that AWS has. A listener is deleted with its load balancer.
# DNS records are not here, because their names are domains and do not come from the ID.
EXISTS: dict[str, Callable[[str], list[str]]] = {
    scaling.KIND: scaling.exists,
    service.KIND: service.exists,
    load_balancer.KIND: load_balancer.exists,
    target_group.KIND: target_group.exists,
    security_groups.KIND: security_groups.exists,
    task_definition.KIND: task_definition.exists,
    cluster.KIND: cluster.exists,
    log_group.KIND: log_group.exists,
}


def delete_log_group(deployment: Deployment) -> Outcome:
    """Deletes the log group. After a failed create, the table keeps its last lines.

    The tasks have stopped, so no line is missing, unless an earlier step failed.
    """
    if deployment.operation.kind is Kind.CREATE:
        _keep_log_lines(deployment.id)
    log_group.delete(deployment.id)
    return Outcome()


def _keep_log_lines(deployment_id: str) -> None:
    """Keeps the last log lines, or logs why it could not: a teardown must not wait for them."""

    def keep() -> None:
        # Empty if an earlier attempt has deleted the log group: then it has kept the lines.
        if events := log_tail.read(deployment_id):
            kept_logs.save(deployment_id, events)

    try:
        deadline.within(KEEPING_LOGS, keep)
    except Exception:
        logger.warning("log lines not kept", exc_info=True, extra={"deployment": deployment_id})


def delete_service(deployment_id: str) -> None:
    """Deletes the service. Its tasks do not wait for open requests, as the URL ends anyway."""
    target_group.stop_draining(deployment_id)
    service.delete(deployment_id)


def drain_tasks(deployment: Deployment) -> Outcome:
    """Raises `NotReady` until every task has stopped; AWS deletes their network interfaces then."""
    unstopped = tasks.unstopped(deployment.id)
    if unstopped:
        raise NotReady(f"{len(unstopped)} task(s) stopping")
    return Outcome()


def verify(deployment: Deployment) -> Outcome:
    """Asks AWS by name and by tag whether any resource remains, and writes the receipt.

    The receipt reports a resource as gone only because AWS said so.

    Raises:
        NotReady: a resource remains.
        DeploymentFailed: a resource remains, and a step that deletes resources did not succeed.
    """
    leftovers = find_leftovers(deployment.id, deployment.domains)
    if leftovers:
        names = ", ".join(f"{item.kind} {item.name}" for item in leftovers)
        if deployment.operation.undone_deletes:
            raise DeploymentFailed(
                FailureCode.INTERNAL,
                f"Slipway could not delete every resource. AWS still has {names}.",
                hint="Fix the reason listed for each of the `leftovers`, then retry.",
            )
        raise NotReady(f"AWS still has {names}")

    def change(record: Deployment) -> None:
        record.settle([], clock.now())

    return Outcome(message="no resource remains, by name and by tag", change=change)


def with_reasons(leftovers: list[Leftover], deployment: Deployment) -> list[Leftover]:
    """Each with the reason why the step that should have deleted it did not."""
    undone = deployment.operation.undone_deletes
    return [
        item.model_copy(
            update={"reason": undone.get(STEP_OF_KIND.get(item.kind, "")) or item.reason}
        )
        for item in leftovers
    ]


def find_leftovers(deployment_id: str, domains: Iterable[str] = ()) -> list[Leftover]:
    """The resources of the deployment that AWS still has, and the DNS records of `domains` that
    point to it."""
    remaining = [(kind, name) for kind, exists in EXISTS.items() for name in exists(deployment_id)]
    remaining += [(dns_record.KIND, name) for name in dns_record.exists(deployment_id, domains)]
    by_name = [
        Leftover(kind=kind, name=name, reason="AWS still has a resource with this name")
        for kind, name in remaining
    ]
    return by_name + _find_by_tag(deployment_id)


def find_leftovers_or_unknown(deployment_id: str, domains: Iterable[str] = ()) -> list[Leftover]:
    """As `find_leftovers`. If AWS cannot be asked, one leftover of unknown kind reports that."""
    try:
        return find_leftovers(deployment_id, domains)
    except Exception as error:
        logger.exception("leftovers not looked for", extra={"deployment": deployment_id})
        reason = f"Slipway could not ask AWS which resources remain: {error}"
        return [Leftover(kind="unknown", name=deployment_id, reason=reason)]


def _find_by_tag(deployment_id: str) -> list[Leftover]:
    """Tagged resources of other kinds, or with other names, than the search by name covers.

    The tagging API lists a resource for some time after its deletion. So a resource that the search
    by name covers is not reported from here.
    """
    api = aws.client("resourcegroupstaggingapi")
    filters = [
        {"Key": naming.TAG_STACK, "Values": [settings().stack_name]},
        {"Key": naming.TAG_DEPLOYMENT, "Values": [deployment_id]},
    ]
    pages = api.get_paginator("get_resources").paginate(TagFilters=filters)
    arns = [entry["ResourceARN"] for page in pages for entry in page["ResourceTagMappingList"]]
    return [
        Leftover(kind="unknown", name=arn, reason="AWS still has a resource with this tag")
        for arn in arns
        if not _is_covered(arn, deployment_id)
    ]


def _is_covered(arn: str, deployment_id: str) -> bool:
    """Whether `find_leftovers` has asked by name for this resource, or for its parent."""
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
        return True  # `security_groups.exists` asks by tag as well as by name
    if resource.startswith("scalable-target/"):
        return True  # its ARN does not contain the deployment ID
    return resource.startswith(kinds) and deployment_id in resource
