"""The items that ensure that a domain belongs to at most one live deployment.

A deployment holds every domain in `domains` of its record, until it is DELETED. The transaction
that writes the record also reserves and releases its domains, so the two never differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NameTaken
from chalicelib.domain.record import Status
from chalicelib.store import keys, table


def held(deployment: Deployment) -> frozenset[str]:
    """The domains that are this deployment's."""
    return frozenset() if deployment.status is Status.DELETED else frozenset(deployment.domains)


def holder(domain: str) -> str | None:
    """The id of the live deployment that the domain belongs to."""
    item = table.get_item(*keys.domain(domain))
    return item["deployment_id"] if item else None


def changes(deployment: Deployment, before: frozenset[str]) -> list[dict[str, Any]]:
    """What the transaction that writes the record holds beside it, for `table.transact`.

    `before`: what it held as it was read. One that is torn down a second time takes nothing again:
    its domain may be another's by now.
    """
    after = held(deployment)
    taken = after - before if deployment.status is not Status.DELETING else ()
    return [_take(domain, deployment.id) for domain in sorted(taken)] + [
        _give_back(domain) for domain in sorted(before - after) if holder(domain) == deployment.id
    ]


def given_back(deployment: Deployment) -> list[dict[str, Any]]:
    """All that it holds, for the transaction that takes its record back."""
    return [_give_back(domain) for domain in sorted(held(deployment))]


def refuse_taken(deployment: Deployment, before: Iterable[str]) -> None:
    """After a write that failed: raises `NameTaken` where another holds a domain that it wants.

    Whose that is may be another owner's affair, so it is not told.
    """
    for domain in sorted(held(deployment).difference(before)):
        if holder(domain) not in (None, deployment.id):
            message = f"{domain} belongs to another live deployment: delete that, or choose another"
            raise NameTaken(message, errors=[{"field": "domain", "message": message}])


def _take(domain: str, deployment_id: str) -> dict[str, Any]:
    return table.put(
        {**keys.domain(domain).attributes, "deployment_id": deployment_id},
        "attribute_not_exists(pk) OR deployment_id = :id",
        {":id": deployment_id},
    )


def _give_back(domain: str) -> dict[str, Any]:
    return table.delete(*keys.domain(domain))
