"""Reserves quota for an owner: sums up what its deployments use, and guards the sum.

The live names of an owner lead to its deployments by a consistent read, and their records say what
each uses. A write that raises the sum also increments the version in the item `keys.quota`, from
the value that was read before the sum. Of two such writes at once, the later one fails and sums up
again. The version is not part of the sum, so the next sum is right, whatever is lost or edited by
hand.

Resources that were found without a record (`Deployment.adopt`) have no name and do not count,
because their size is unknown.
"""

from __future__ import annotations

from typing import Any

from chalicelib.domain import quota
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.operation import Path
from chalicelib.domain.quota import Exceeded, Limit, Use
from chalicelib.platform.settings import settings
from chalicelib.store import keys, table


def limits() -> tuple[Limit, ...]:
    """The limits of an owner in this stack, in the order of the fields of `Use`."""
    stack = settings()
    return (
        Limit("deployments", "MaxDeploymentsPerOwner", stack.max_deployments_per_owner),
        Limit("tasks", "MaxTasksPerOwner", stack.max_tasks_per_owner),
        Limit("vcpu", "MaxVcpuPerOwner", stack.max_vcpu_per_owner),
    )


def reserve(deployment: Deployment, before: Use) -> list[dict[str, Any]]:
    """What the write of the record must include if the deployment uses more than `before`.

    Raises `QuotaExceeded`. A teardown is never refused, though it may use what a failed create had
    already released.
    """
    after = quota.held(deployment)
    if not after.exceeds(before) or deployment.operation.path is Path.DESTROY:
        return []
    version = _version(deployment.owner)  # before the sum, so that a write in between is noticed
    excess = _exceeded(deployment, before, after)
    if excess:
        raise quota.refusal(deployment.owner, excess, limits())
    return [_increment(deployment.owner, version)]


def exceeded(deployment: Deployment, before: Use) -> list[Exceeded]:
    """The limits that the deployment would exceed if it used more than `before`."""
    return _exceeded(deployment, before, quota.held(deployment))


def of_owner(owner: str, *, except_id: str = "") -> Use:
    """What the owner's deployments use, without the deployment `except_id`."""
    any_name = keys.name(owner, "")
    named = table.query(
        "pk = :pk AND begins_with(sk, :name)",
        {":pk": any_name.pk, ":name": any_name.sk},
        ConsistentRead=True,
    )
    ids = {item["deployment_id"] for item in named} - {except_id}
    records = table.get_items([keys.deployment(each) for each in sorted(ids)])
    return sum(
        (quota.held(Deployment.model_validate_json(item["document"])) for item in records), Use()
    )


def _exceeded(deployment: Deployment, before: Use, after: Use) -> list[Exceeded]:
    used = of_owner(deployment.owner, except_id=deployment.id) + before
    return quota.exceeded(limits(), used, before, after)


def _version(owner: str) -> int:
    item = table.get_item(*keys.quota(owner))
    return int(item["version"]) if item else 0


def _increment(owner: str, version: int) -> dict[str, Any]:
    item = {**keys.quota(owner).attributes, "version": version + 1}
    if version == 0:
        return table.put(item, "attribute_not_exists(pk)")
    return table.put(item, "version = :version", {":version": version})
