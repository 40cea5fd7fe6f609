"""The messages that Slack gets of operations: which there are, and how each is kept up to date.

| item | pk | sk |
|---|---|---|
| message of an operation | `DEPLOYMENT#<id>` | `MESSAGE#<operation.started_at>#<channel>` |
| notice that one expires | `DEPLOYMENT#<id>` | `MESSAGE#expiry-<expires_at>#<channel>` |

`<channel>` is Slack's id of one, or `webhook`: the channel of the stack's incoming webhook.

| attribute | what |
|---|---|
| `asked_by` | Slack's id of the user who asked; none where nobody of Slack's did |
| `response_url`, `response_until` | of the command, and until when it takes posts |
| `posts` | how many of its five posts were tried |
| `ts` | of the message that chat.postMessage made: from then on it is updated |
| `barred` | ways that Slack has closed for this message, as `tell.py` names them |
| `digest`, `told_at` | of what was told last, and when |
| `shown`, `sequence` | that itself, as JSON, and the deployment's last event by then |
| `failures`, `not_before` | tries in vain since, and until when nobody is to try again |
| `faults` | how many of those were a fault of our own |

An item is work (`work.py`) until the end of its operation is told, or an hour after that end.
Telling goes by a bot token where there is one: one message, updated. Else by the command's
`response_url`: a post at the start and one at the end. Where neither is open, the incoming webhook
has them. This module has the items, `subject.py` what they tell, `tell.py` the ways.
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
# After the end of an operation nobody waits for its message any more.
TOLD_WITHIN = timedelta(hours=1)
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
    """Has the operation that a command began told in the channel that the command came from.

    Safe to repeat, and where the courier has made the message's item already. Raises `Retryable`.

    Args:
        deployment: as the API answered the command.
        channel, user: Slack's ids.
        response_url, response_until: of the command, and until when it takes posts.
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
        if _is_written(table.put(item, "attribute_not_exists(pk)")):
            return
        # The courier has made it: who asked is new to it. It stays as due as it is, for somebody
        # may be at it.
        if _is_written(table.update(*key, "attribute_exists(pk)", change=known)):
            return
    raise Retryable(f"the message of {deployment['id']} is written by too many at once")


def keys_for(deployment_ids: set[str]) -> list[tuple[str, str]]:
    """The messages (pk, sk) of these deployments that have something to tell now, to be claimed.

    Makes those of operations that an owner's channels or the incoming webhook are to be told of.
    Those that Slack has throttled, or did not answer, are left alone until their time.
    """
    if not _is_set_up():
        return []
    found = []
    for each in sorted(deployment_ids):
        try:
            found += _keys_of(each)
        except ValueError:
            # A record that cannot be read: the others' messages do not suffer for it.
            logger.exception("messages not found", extra={"deployment": each})
    return found


def hand_over(lease: work.Lease) -> bool:
    """Has the stack's incoming webhook tell what a channel cannot be told; False without one."""
    if not shared_secrets.get(shared_secrets.SLACK_INCOMING_WEBHOOK) or is_webhook(lease.sk):
        return False
    moment, key = clock.now(), keys.Key(lease.pk, f"{lease.sk.rpartition('#')[0]}#{WEBHOOK}")
    item = {**_item(key, moment), "asked_by": lease.item.get("asked_by")}
    _is_written(table.put(item | work.due_now(work.COURIER, moment), "attribute_not_exists(pk)"))
    return True


def tell(lease: work.Lease) -> None:
    """Brings one claimed message up to date. Of Slack's troubles none is raised."""
    from chalicelib.slack import tell as telling

    telling.tell(lease)


def is_webhook(sk: str) -> bool:
    """Whether a message goes to the stack's incoming webhook."""
    return sk.endswith(f"#{WEBHOOK}")


# --- inside --------------------------------------------------------------------------------


def _is_set_up() -> bool:
    # Commands that came by a signature leave a `response_url`, without any other secret.
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
    found = table.query(
        "pk = :pk AND begins_with(sk, :prefix)",
        {":pk": keys.deployment(deployment_id).pk, ":prefix": keys.MESSAGE},
        ConsistentRead=True,
    )
    items = {item["sk"]: item for item in found}
    made = [
        {**_item(key, moment), **work.due(work.COURIER, moment)}
        for key in _wanted(deployment, moment)
        if key.sk not in items
    ]
    for item in made:
        # Another courier may be first, and that is as well.
        _is_written(table.put(item, "attribute_not_exists(pk)"))
    open_ones = [item for item in items.values() if "worker" in item]
    stirred = [item for item in open_ones if item.get("not_before", "") <= rfc3339(moment)]
    for item in stirred:
        _make_due(item, moment)
    return [(item["pk"], item["sk"]) for item in (*made, *stirred)]


def _wanted(deployment: Deployment, moment: datetime) -> list[keys.Key]:
    """The keys of the messages that the owner's channels, or the webhook, are to have."""
    told = []
    operation = deployment.operation
    if operation.finished_at is None or moment - operation.finished_at < TOLD_WITHIN:
        told.append(rfc3339(operation.started_at))
    if is_expiring(deployment, moment) and deployment.expires_at:
        told.append(f"{keys.EXPIRY}{rfc3339(deployment.expires_at)}")
    if not told:
        return []
    return [
        keys.slack_message(deployment.id, subject, channel)
        for channel in _channels(deployment.owner)
        for subject in told
    ]


def is_expiring(deployment: Deployment, moment: datetime) -> bool:
    """Whether its end is near and somebody could still put it off."""
    gone = deployment.status in (Status.DELETING, Status.DELETED)
    ends = deployment.expires_at
    return deployment.expiry_told and ends is not None and ends > moment and not gone


def _channels(owner: str) -> list[str]:
    """Where an owner's operations are told without being asked for from there."""
    from chalicelib.slack import owners

    if shared_secrets.get(shared_secrets.SLACK_BOT_TOKEN):
        channels = owners.channels_of(owner)
        if channels:
            return channels
    has_webhook = shared_secrets.get(shared_secrets.SLACK_INCOMING_WEBHOOK)
    return [WEBHOOK] if has_webhook else []


def _item(key: keys.Key, moment: datetime) -> dict[str, Any]:
    return {**key.attributes, "purge_at": int((moment + KEPT).timestamp())}


def _is_written(write: dict[str, Any]) -> bool:
    """False where the condition does not hold, or another write met this one."""
    try:
        table.transact([write])
    except table.Conflict:
        return False
    return True


def _make_due(item: dict[str, Any], moment: datetime) -> None:
    """Lets it be claimed before its time. Who is at it already tells what is there to tell, or
    leaves it to be found a minute later."""
    if item["due_at"] > rfc3339(moment):
        is_free = "attribute_exists(worker) AND attribute_not_exists(lease)"
        due = {"due_at": rfc3339(moment)}
        _is_written(table.update(item["pk"], item["sk"], is_free, change=due))
