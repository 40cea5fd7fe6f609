"""The owners for whom Slack users and channels act. An admin maps each of them to one owner.

A channel's mapping takes precedence over the user's. In a team's channel everyone acts for the
team: a command there concerns the team's deployments, whoever sends it.

All mappings are in one partition, because they are few and are read together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.errors import NotFound, Retryable
from chalicelib.platform import clock
from chalicelib.slack import inbox
from chalicelib.store import keys, table
from chalicelib.store.tokens import SCOPES, Caller

# Slack never gets `admin`, because then every member of a channel would control all deployments.
GRANTED = ("read", "deploy")
ID_PATTERN = re.compile(r"[UWCGD][A-Z0-9]{1,20}", re.ASCII)
ATTEMPTS = 3


@dataclass(frozen=True)
class Mapping:
    """A user (`U...`, `W...`) or a channel (`C...`, `G...`, `D...`) that acts for an owner.

    `announce`: whether the channel gets messages about all of the owner's operations, however they
    were started.
    """

    id: str
    owner: str
    scopes: tuple[str, ...]
    announce: bool
    created_at: str


def owner_of(user: str, channel: str) -> Caller | None:
    """The caller as which a user acts in a channel; None if neither is mapped.

    One consistent read.
    """
    items = {
        item["sk"]: item
        for item in table.get_items([keys.slack_owner(channel), keys.slack_owner(user)])
    }
    item = items.get(channel) or items.get(user)
    if item is None:
        return None
    mapping = _mapping(item)
    return Caller(mapping.owner, frozenset(mapping.scopes), token_id=f"slack:{user}")


def channels_of(owner: str) -> list[str]:
    """The channels that announce an owner's operations. One query."""
    # The IDs of channels start with C, D or G. The IDs of users start with U or W, after H.
    items = table.query(
        "pk = :pk AND sk BETWEEN :first AND :last",
        {":pk": keys.SLACK_OWNERS, ":first": "C", ":last": "H", ":owner": owner, ":true": True},
        FilterExpression="slack_owner = :owner AND announce = :true",
    )
    return [item["sk"] for item in items]


def list_mappings() -> list[Mapping]:
    """All mappings, ordered by ID."""
    return [
        _mapping(i)
        for i in table.query("pk = :pk", {":pk": keys.SLACK_OWNERS}, ConsistentRead=True)
    ]


def put(slack_id: str, owner: str, scopes: list[str], announce: bool) -> tuple[Mapping, bool]:
    """Maps a user or channel to an owner, and replaces an existing mapping.

    Returns:
        The mapping, and whether it is new.

    Raises:
        Retryable: other requests keep writing the same mapping.
    """
    for _ in range(ATTEMPTS):
        known = table.get_item(*keys.slack_owner(slack_id))
        item = {
            **keys.slack_owner(slack_id).attributes,
            # Not `owner`, because that is the key of an index of deployments.
            "slack_owner": owner,
            "scopes": [scope for scope in SCOPES if scope in scopes],
            "announce": announce,
            "created_at": known["created_at"] if known else clock.rfc3339(clock.now()),
        }
        condition = "attribute_exists(pk)" if known else "attribute_not_exists(pk)"
        try:
            table.put_item(item, condition, {})
        except table.Conflict:
            continue
        return _mapping(item), known is None
    raise Retryable(f"another request is writing the mapping of {slack_id}")


def delete(slack_id: str) -> None:
    """Deletes a mapping. Raises `NotFound` if there is none, and `Retryable` as `put` does."""
    if table.get_item(*keys.slack_owner(slack_id)) is None:
        raise NotFound(f"{slack_id} is not mapped to an owner.")
    try:
        table.delete_item(*keys.slack_owner(slack_id), "attribute_exists(pk)", {})
    except table.Conflict:
        raise Retryable(f"another request is writing the mapping of {slack_id}") from None


def is_channel(slack_id: str) -> bool:
    """Whether the ID is a channel's, not a user's."""
    return inbox.CHANNEL.fullmatch(slack_id) is not None


def refusal(user: str, channel: str) -> str:
    """The reply to a user who acts for no owner."""
    return (
        f"Neither this channel ({channel}) nor you ({user}) are mapped to an owner in Slipway, so "
        "nothing was done. Ask a Slipway admin to map the channel or you: "
        f'`PUT /slack/owners/{channel}` or `PUT /slack/owners/{user}` with {{"owner": "..."}}.'
    )


def out_of_scope(user: str, channel: str, scope: str) -> str:
    """The reply to a user whose mapping lacks the scope of the command."""
    action = {"deploy": "change deployments", "read": "see deployments"}[scope]
    return (
        f"You ({user}) are not allowed to {action} from this channel ({channel}) because the scope "
        f"`{scope}` is missing. Nothing was done. Ask a Slipway admin to grant it: "
        f"`PUT /slack/owners/{channel}`, or `PUT /slack/owners/{user}` if the channel is not "
        'mapped, with {"owner": "...", "scopes": ["read", "deploy"]}.'
    )


def _mapping(item: dict[str, Any]) -> Mapping:
    return Mapping(
        id=item["sk"],
        owner=item["slack_owner"],
        scopes=tuple(item["scopes"]),
        announce=item["announce"],
        created_at=item["created_at"],
    )
