"""The Slack messages about deployments: their items, and which messages there are.

| item | pk | sk |
|---|---|---|
| message of an operation | `DEPLOYMENT#<id>` | `MESSAGE#<operation.started_at>#<channel>` |
| notice of an expiry | `DEPLOYMENT#<id>` | `MESSAGE#expiry-<expires_at>#<channel>` |
| message of an incident | `DEPLOYMENT#<id>` | `MESSAGE#incident-<started_at>#<channel>` |

`<channel>` is the ID of a Slack channel, or `webhook` for the channel of the stack's incoming
webhook.

| attribute | content |
|---|---|
| `asked_by` | ID of the Slack user who started the operation; absent for any other start |
| `response_url`, `response_until` | the command's `response_url`, and when it expires |
| `posts` | how many posts were attempted where Slipway can only post |
| `state` | the health in the last content that was sent about an incident |
| `ts` | of the message that `chat.postMessage` created; with it, the message is updated |
| `barred` | routes that Slack has closed for this message (names in `notifier.py`) |
| `digest`, `told_at` | digest of the content that was sent last, and when |
| `shown`, `sequence` | that content as JSON, and the deployment's last event at that time |
| `failures`, `not_before` | failed attempts since then, and when the next attempt is allowed |
| `faults` | how many of them were caused by a bug in Slipway |

An item is work (`work.py`) until the end of its operation is sent, or until an hour after that end.
With a bot token, there is one message that is updated. Otherwise the command's `response_url` gets
a post at the start and one at the end. If neither is open, the incoming webhook gets these two
posts. An incident has no command, so it gets the bot's message, or up to five posts.

`subject.py` decides the content of a message, and `notifier.py` sends it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from time import sleep
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import Retryable
from chalicelib.domain.record import Status
from chalicelib.platform import clock, shared_secrets
from chalicelib.platform.clock import rfc3339
from chalicelib.platform.observability import logger
from chalicelib.store import deployments as store
from chalicelib.store import keys, table, work

WEBHOOK = "webhook"
# A message is given up this long after its operation has ended.
SENT_WITHIN = timedelta(hours=1)
KEPT = timedelta(days=2)
ATTEMPTS, PAUSE = 5, 0.05  # seconds, times the attempts before


def announce(
    deployment: dict[str, Any],
    *,
    channel: str,
    user: str,
    response_url: str | None,
    response_until: datetime,
) -> None:
    """Requests a message, in the command's channel, about the operation that a command started.

    Safe to repeat, also if the courier has created the message's item first. Raises `Retryable`.

    Args:
        deployment: the API's response to the command.
        channel, user: IDs of Slack.
        response_url, response_until: the command's `response_url`, and when it expires.
    """
    in_channel = shared_secrets.get(shared_secrets.SLACK_BOT_TOKEN) or response_url
    if not in_channel and not shared_secrets.get(shared_secrets.SLACK_INCOMING_WEBHOOK):
        return
    moment = clock.now()
    started_at, where = deployment["operation"]["started_at"], channel if in_channel else WEBHOOK
    key = keys.slack_message(deployment["id"], started_at, where)
    known: dict[str, Any] = {"asked_by": user}
    if response_url:
        known["response_url"] = response_url
        known["response_until"] = rfc3339(response_until)
    item = {**_item(key, moment), **work.due_now(work.COURIER, moment), **known}
    for attempt in range(ATTEMPTS):
        sleep(PAUSE * attempt)
        if table.try_transact([table.put(item, "attribute_not_exists(pk)")]):
            return
        # The courier has created the item, without the user. Its `due_at` stays, because a courier
        # may be working on it.
        if table.try_transact([table.update(*key, "attribute_exists(pk)", change=known)]):
            return
    raise Retryable(f"other requests keep writing the Slack message of {deployment['id']}")


def keys_for(deployment_ids: set[str]) -> list[tuple[str, str]]:
    """The keys (pk, sk) of these deployments' messages that need an update now, to be claimed.

    Creates the items of messages for the owner's channels or the incoming webhook. Skips messages
    that wait because Slack throttled them or did not respond.
    """
    if not _is_set_up():
        return []
    message_keys = []
    for each in sorted(deployment_ids):
        try:
            message_keys += _keys_of(each)
        except ValueError:
            # This record cannot be read. That must not affect the other deployments' messages.
            logger.exception("messages not found", extra={"deployment": each})
    return message_keys


def hand_over(lease: work.Lease) -> bool:
    """Hands a message over to the stack's incoming webhook. False if there is none."""
    if not shared_secrets.get(shared_secrets.SLACK_INCOMING_WEBHOOK) or is_webhook(lease.sk):
        return False
    moment, key = clock.now(), keys.Key(lease.pk, f"{lease.sk.rpartition('#')[0]}#{WEBHOOK}")
    item = {**_item(key, moment), "asked_by": lease.item.get("asked_by")}
    due = item | work.due_now(work.COURIER, moment)
    table.try_transact([table.put(due, "attribute_not_exists(pk)")])
    return True


def is_webhook(sk: str) -> bool:
    """Whether a message goes to the stack's incoming webhook."""
    return sk.endswith(f"#{WEBHOOK}")


# --- inside --------------------------------------------------------------------------------


def _is_set_up() -> bool:
    # The signing secret is enough, because each signed command has a `response_url`.
    return any(
        shared_secrets.get(name)
        for name in (
            shared_secrets.SLACK_BOT_TOKEN,
            shared_secrets.SLACK_INCOMING_WEBHOOK,
            shared_secrets.SLACK_SIGNING_SECRET,
        )
    )


def _keys_of(deployment_id: str) -> list[tuple[str, str]]:
    deployment = store.get(deployment_id)
    if deployment is None:
        return []
    moment = clock.now()
    items = table.query(
        "pk = :pk AND begins_with(sk, :prefix)",
        {":pk": keys.deployment(deployment_id).pk, ":prefix": keys.MESSAGE},
        ConsistentRead=True,
    )
    existing = {item["sk"]: item for item in items}
    created = [
        {**_item(key, moment), **work.due(work.COURIER, moment)}
        for key in _wanted(deployment, moment)
        if key.sk not in existing
    ]
    for item in created:
        # It does not matter if another courier is first.
        table.try_transact([table.put(item, "attribute_not_exists(pk)")])
    unfinished = [item for item in existing.values() if "worker" in item]
    ready = [item for item in unfinished if item.get("not_before", "") <= rfc3339(moment)]
    for item in ready:
        _make_due(item, moment)
    return [(item["pk"], item["sk"]) for item in (*created, *ready)]


def _wanted(deployment: Deployment, moment: datetime) -> list[keys.Key]:
    """The keys of the messages that the owner's channels or the incoming webhook should have."""
    subjects = []
    operation = deployment.operation
    if operation.finished_at is None or moment - operation.finished_at < SENT_WITHIN:
        subjects.append(rfc3339(operation.started_at))
    if is_expiring(deployment, moment) and deployment.expires_at:
        subjects.append(f"{keys.EXPIRY}{rfc3339(deployment.expires_at)}")
    trouble = deployment.incident
    if trouble and not trouble.is_over(moment) and deployment.shown_health:
        subjects.append(f"{keys.INCIDENT}{rfc3339(trouble.started_at)}")
    if not subjects:
        return []
    return [
        keys.slack_message(deployment.id, subject, channel)
        for channel in _channels(deployment.owner)
        for subject in subjects
    ]


def is_expiring(deployment: Deployment, moment: datetime) -> bool:
    """Whether the deployment expires soon, and can still be extended."""
    gone = deployment.status in (Status.DELETING, Status.DELETED)
    ends = deployment.expires_at
    return deployment.expiry_told and ends is not None and ends > moment and not gone


def _channels(owner: str) -> list[str]:
    """The channels that get messages about all of an owner's operations."""
    from chalicelib.slack import owners

    if shared_secrets.get(shared_secrets.SLACK_BOT_TOKEN):
        channels = owners.channels_of(owner)
        if channels:
            return channels
    has_webhook = shared_secrets.get(shared_secrets.SLACK_INCOMING_WEBHOOK)
    return [WEBHOOK] if has_webhook else []


def _item(key: keys.Key, moment: datetime) -> dict[str, Any]:
    return {**key.attributes, "purge_at": int((moment + KEPT).timestamp())}


def _make_due(item: dict[str, Any], moment: datetime) -> None:
    """Makes an item claimable before its `due_at`.

    A courier that already works on it sends the news itself, or leaves it to be found a minute
    later.
    """
    if item["due_at"] > rfc3339(moment):
        is_free = "attribute_exists(worker) AND attribute_not_exists(lease)"
        due = {"due_at": rfc3339(moment)}
        table.try_transact([table.update(item["pk"], item["sk"], is_free, change=due)])
