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
    """The domains that the deployment holds."""
    return frozenset() if deployment.status is Status.DELETED else frozenset(deployment.domains)


def holder(domain: str) -> str | None:
    """The ID of the live deployment that holds the domain."""
    item = table.get_item(*keys.domain(domain))
    return item["deployment_id"] if item else None


def changes(deployment: Deployment, before: frozenset[str]) -> list[dict[str, Any]]:
    """The changes of domains for the transaction that writes the record.

    `before` is what the deployment held when it was read. A second teardown reserves nothing again,
    because the domain may belong to another deployment now.
    """
    after = held(deployment)
    reserved = after - before if deployment.status is not Status.DELETING else ()
    return [_reserve(domain, deployment.id) for domain in sorted(reserved)] + [
        _release(domain) for domain in sorted(before - after) if holder(domain) == deployment.id
    ]


def release_all(deployment: Deployment) -> list[dict[str, Any]]:
    """Releases all domains of the deployment, for the transaction that deletes its record."""
    return [_release(domain) for domain in sorted(held(deployment))]


def check_available(deployment: Deployment, before: Iterable[str]) -> None:
    """After a write failed: raises `NameTaken` if another deployment holds a domain that it needs.

    The error does not name that deployment, because another owner may own it.
    """
    for domain in sorted(held(deployment).difference(before)):
        if holder(domain) not in (None, deployment.id):
            message = (
                f"{domain} belongs to another live deployment. "
                "Delete that deployment, or choose another domain."
            )
            raise NameTaken(message, errors=[{"field": "domain", "message": message}])


def _reserve(domain: str, deployment_id: str) -> dict[str, Any]:
    return table.put(
        {**keys.domain(domain).attributes, "deployment_id": deployment_id},
        "attribute_not_exists(pk) OR deployment_id = :id",
        {":id": deployment_id},
    )


def _release(domain: str) -> dict[str, Any]:
    return table.delete(*keys.domain(domain))
