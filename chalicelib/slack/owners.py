"""For whom somebody in Slack acts: users and channels, each mapped to an owner by an admin.

A channel's mapping counts before the user's: in a team's channel everybody acts for the team, and
what is said there is about the team's deployments, whoever says it.

All are items of one partition, `SLACK_OWNERS` / `<id of the user or channel>`: few, read together.
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

# `admin` is never given to Slack: it would be every deployment's for whoever gets into a channel.
GRANTED = ("read", "deploy")
ID_PATTERN = re.compile(r"[UWCGD][A-Z0-9]{1,20}", re.ASCII)
ATTEMPTS = 3


@dataclass(frozen=True)
class Mapping:
    """A user (`U...`, `W...`) or a channel (`C...`, `G...`, `D...`) that acts for an owner.

    `announce`: whether the owner's operations are told there, however they were started.
    """

    id: str
    owner: str
    scopes: tuple[str, ...]
    announce: bool
    created_at: str


def owner_of(user: str, channel: str) -> Caller | None:
    """As whom a user acts in a channel; None where neither is mapped. One consistent read."""
    found = {
        item["sk"]: item
        for item in table.get_items([keys.slack_owner(channel), keys.slack_owner(user)])
    }
    item = found.get(channel) or found.get(user)
    if item is None:
        return None
    mapping = _mapping(item)
    return Caller(mapping.owner, frozenset(mapping.scopes), token_id=f"slack:{user}")


def channels_of(owner: str) -> list[str]:
    """The channels that announce an owner's operations. One query."""
    # Users begin with U or W, so they are left out: only C, D and G are before H.
    found = table.query(
        "pk = :pk AND sk BETWEEN :first AND :last",
        {":pk": keys.SLACK_OWNERS, ":first": "C", ":last": "H", ":owner": owner, ":true": True},
        FilterExpression="slack_owner = :owner AND announce = :true",
    )
    return [item["sk"] for item in found]


def list_mappings() -> list[Mapping]:
    """All of them, by id."""
    return [
        _mapping(i)
        for i in table.query("pk = :pk", {":pk": keys.SLACK_OWNERS}, ConsistentRead=True)
    ]


def put(slack_id: str, owner: str, scopes: list[str], announce: bool) -> tuple[Mapping, bool]:
    """Maps a user or channel to an owner, in place of a mapping that is there.

    Returns:
        The mapping, and whether it is a new one.

    Raises:
        Retryable: somebody else writes it at this moment.
    """
    for _ in range(ATTEMPTS):
        known = table.get_item(*keys.slack_owner(slack_id))
        item = {
            **keys.slack_owner(slack_id).attributes,
            # Not `owner`, which is the key of an index of deployments.
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
    raise Retryable(f"the mapping of {slack_id} is being written by somebody else")


def delete(slack_id: str) -> None:
    """Takes a mapping away. Raises `NotFound` where there is none, `Retryable` likewise."""
    if table.get_item(*keys.slack_owner(slack_id)) is None:
        raise NotFound(f"{slack_id} is not mapped to an owner")
    try:
        table.delete_item(*keys.slack_owner(slack_id), "attribute_exists(pk)", {})
    except table.Conflict:
        raise Retryable(f"the mapping of {slack_id} is being written by somebody else") from None


def is_channel(slack_id: str) -> bool:
    """Whether it is a channel's id and not a user's."""
    return inbox.CHANNEL.fullmatch(slack_id) is not None


def refusal(user: str, channel: str) -> str:
    """What somebody is told who acts for no owner."""
    return (
        f"You ({user}) act for no owner in Slipway, and neither does this channel ({channel}), so "
        "nothing was done. An admin of Slipway can change that, for you or for the whole channel: "
        f'`PUT /slack/owners/{user}` or `PUT /slack/owners/{channel}` with {{"owner": "..."}}.'
    )


def out_of_scope(user: str, channel: str, scope: str) -> str:
    """What somebody is told whose mapping does not let them do it."""
    may_not = {"deploy": "change anything", "read": "look"}[scope]
    return (
        f"You ({user}) may not {may_not} from this channel ({channel}): it takes the scope "
        f"{scope}, so nothing was done. An admin of Slipway can give it: "
        f"`PUT /slack/owners/{channel}`, or `PUT /slack/owners/{user}` where the channel is "
        'not mapped, with `"scopes": ["read", "deploy"]` beside the owner.'
    )


def _mapping(item: dict[str, Any]) -> Mapping:
    return Mapping(
        id=item["sk"],
        owner=item["slack_owner"],
        scopes=tuple(item["scopes"]),
        announce=item["announce"],
        created_at=item["created_at"],
    )
