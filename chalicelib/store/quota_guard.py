"""What an owner's deployments hold together, and the claim to more of it.

The live names of an owner (`OWNER#<owner>`, `NAME#<name>`) find its deployments by a consistent
read, and their records say what each holds. A write that raises it must also raise the version in
`OWNER#<owner>`, `QUOTA` from what it was before the sum was taken: of two at once the later one
fails, and takes the sum again. The version guards the sum and is no part of it, so whatever is
lost or mended by hand, the next sum is right.

Resources that were found without a record (`Deployment.adopt`) have no name and are not counted:
what they are is not known.
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
    """What an owner may have in this stack, in the order of `Use`."""
    own = settings()
    return (
        Limit("deployments", "MaxDeploymentsPerOwner", own.max_deployments_per_owner),
        Limit("tasks", "MaxTasksPerOwner", own.max_tasks_per_owner),
        Limit("vcpu", "MaxVcpuPerOwner", own.max_vcpu_per_owner),
    )


def claim(deployment: Deployment, before: Use) -> list[dict[str, Any]]:
    """What a write must hold besides, where the deployment is to hold more than `before`.

    Raises `QuotaExceeded`. Nothing is asked where it holds no more. What is on its way out is
    never refused, though it may hold what a failed create had given back.
    """
    after = quota.held(deployment)
    if not after.exceeds(before) or deployment.operation.path is Path.DESTROY:
        return []
    version = _version(deployment.owner)  # before the sum: what comes in between is found out
    found = _exceeded(deployment, before, after)
    if found:
        raise quota.refusal(deployment.owner, found, limits())
    return [_raised(deployment.owner, version)]


def exceeded(deployment: Deployment) -> list[Exceeded]:
    """The limits that a create of the deployment would exceed now."""
    return _exceeded(deployment, Use(), quota.held(deployment))


def of_owner(owner: str, *, but: str = "") -> Use:
    """What the owner's deployments hold, all but the one of the id `but`."""
    named = table.query(
        "pk = :pk AND begins_with(sk, :name)",
        {":pk": keys.quota(owner).pk, ":name": keys.NAME},
        ConsistentRead=True,
    )
    ids = {item["deployment_id"] for item in named} - {but}
    records = table.get_items([keys.deployment(known) for known in sorted(ids)])
    return sum(
        (quota.held(Deployment.model_validate_json(item["document"])) for item in records), Use()
    )


def _exceeded(deployment: Deployment, before: Use, after: Use) -> list[Exceeded]:
    used = of_owner(deployment.owner, but=deployment.id) + before
    return quota.exceeded(limits(), used, before, after)


def _version(owner: str) -> int:
    item = table.get_item(*keys.quota(owner))
    return int(item["version"]) if item else 0


def _raised(owner: str, version: int) -> dict[str, Any]:
    item = {**keys.quota(owner).attributes, "version": version + 1}
    if not version:
        return table.put(item, "attribute_not_exists(pk)")
    return table.put(item, "version = :version", {":version": version})
