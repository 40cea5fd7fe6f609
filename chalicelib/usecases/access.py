"""What a caller may do, and which deployments it can see."""

from __future__ import annotations

import re

from chalicelib.domain import naming
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import Forbidden, NotFound
from chalicelib.store import deployments as store
from chalicelib.store.tokens import Caller


def require(caller: Caller, scope: str) -> None:
    """Raises `Forbidden` unless the caller has the scope; `admin` includes the others."""
    if scope not in caller.scopes and not caller.is_admin:
        raise Forbidden(f"This token does not have the scope {scope}.")


def find(caller: Caller, reference: str) -> Deployment:
    """The deployment with this ID, or the caller's live deployment of this name.

    Raises `NotFound`, also for a deployment of another owner unless the caller is an admin: a
    caller must not learn that such a deployment exists.
    """
    deployment = store.get(reference) if naming.ID_PATTERN.fullmatch(reference) else None
    if not _is_visible(deployment, caller) and re.fullmatch(naming.NAME_PATTERN, reference):
        named = store.id_of_name(caller.owner, reference)
        deployment = store.get(named) if named else None
    if deployment is None or not _is_visible(deployment, caller):
        raise NotFound(f"There is no deployment {reference}.")
    return deployment


def owner_filter(caller: Caller) -> str | None:
    """The owner whose deployments the caller sees; None if it sees every owner's."""
    return None if caller.is_admin else caller.owner


def _is_visible(deployment: Deployment | None, caller: Caller) -> bool:
    return deployment is not None and (caller.is_admin or deployment.owner == caller.owner)
