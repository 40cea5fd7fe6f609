"""The keys of the table: every item's key is built here, and nowhere else.

Slipway has one DynamoDB table with the keys `pk` and `sk`.

| item | pk | sk |
|---|---|---|
| deployment | `DEPLOYMENT#<id>` | `RECORD` |
| event of a deployment | `DEPLOYMENT#<id>` | `EVENT#<8 digits>` |
| last log lines of a failed create | `DEPLOYMENT#<id>` | `LOGS` |
| name of a live deployment | `OWNER#<owner>` | `NAME#<name>` |
| domain of a live deployment | `DOMAIN#<domain>` | `DOMAIN` |
| version that guards a quota | `OWNER#<owner>` | `QUOTA` |
| idempotency key | `OWNER#<owner>` | `IDEMPOTENCY#<key>` |
| token, to authenticate | `TOKEN#<hash>` | `TOKEN` |
| token, to list and revoke | `TOKENS` | `<token id>` |
| subscription | `SUBSCRIPTIONS` | `<subscription id>` |
| delivery | `RECEIVER#<16 hex of its URL>` | `DELIVERY#<16 hex of event and receiver>` |
| Slack request | `SLACK#<request id>` | `REQUEST` |
| Slack owner | `SLACK_OWNERS` | `<id of a user or channel>` |
| Slack message of an operation | `DEPLOYMENT#<id>` | `MESSAGE#<started_at>#<channel>` |
| Slack notice of an expiry | `DEPLOYMENT#<id>` | `MESSAGE#expiry-<expires_at>#<channel>` |
| Slack message of an incident | `DEPLOYMENT#<id>` | `MESSAGE#incident-<started_at>#<channel>` |

Work has no items of its own: an item with `worker` and `due_at` is work (`work.py`).

| index | partition key | sort key | items |
|---|---|---|---|
| `by_owner` | `owner` = `<owner>` | `created_key` | deployments of an owner |
| `by_owner` | `owner` = `DELIVERIES#<owner>` | `created_key` | deliveries of an owner |
| `everything` | `record_type` = `deployment` | `created_key` | all deployments |
| `everything` | `record_type` = `delivery` | `created_key` | all deliveries |
| `due` | `worker` | `due_at` | work that is not done |
"""

from __future__ import annotations

from typing import NamedTuple

# Partitions: a prefix that an id follows, or one partition for all items of a kind.
DEPLOYMENT = "DEPLOYMENT#"
OWNER = "OWNER#"
DOMAIN = "DOMAIN#"
TOKEN = "TOKEN#"
RECEIVER = "RECEIVER#"
SLACK = "SLACK#"
TOKENS = "TOKENS"
SUBSCRIPTIONS = "SUBSCRIPTIONS"
SLACK_OWNERS = "SLACK_OWNERS"

# Prefixes of sort keys.
EVENT = "EVENT#"
NAME = "NAME#"
IDEMPOTENCY = "IDEMPOTENCY#"
DELIVERY = "DELIVERY#"
MESSAGE = "MESSAGE#"
# What the subject of another message than an operation's begins with, in its sort key.
EXPIRY, INCIDENT = "expiry-", "incident-"

# The index `everything` is divided by these.
DEPLOYMENTS, DELIVERIES = "deployment", "delivery"


class Key(NamedTuple):
    """The key of one item."""

    pk: str
    sk: str

    @property
    def attributes(self) -> dict[str, str]:
        """The key as attributes of its item."""
        return {"pk": self.pk, "sk": self.sk}


def deployment(deployment_id: str) -> Key:
    return Key(f"{DEPLOYMENT}{deployment_id}", "RECORD")


def event(deployment_id: str, sequence: int) -> Key:
    return Key(f"{DEPLOYMENT}{deployment_id}", f"{EVENT}{sequence:08d}")


def kept_logs(deployment_id: str) -> Key:
    return Key(f"{DEPLOYMENT}{deployment_id}", "LOGS")


def name(owner: str, deployment_name: str) -> Key:
    return Key(f"{OWNER}{owner}", f"{NAME}{deployment_name}")


def domain(domain_name: str) -> Key:
    return Key(f"{DOMAIN}{domain_name}", "DOMAIN")


def quota(owner: str) -> Key:
    return Key(f"{OWNER}{owner}", "QUOTA")


def idempotency(owner: str, idempotency_key: str) -> Key:
    return Key(f"{OWNER}{owner}", f"{IDEMPOTENCY}{idempotency_key}")


def token(token_hash: str) -> Key:
    return Key(f"{TOKEN}{token_hash}", "TOKEN")


def listed_token(token_id: str) -> Key:
    return Key(TOKENS, token_id)


def subscription(subscription_id: str) -> Key:
    return Key(SUBSCRIPTIONS, subscription_id)


def delivery(receiver_hash: str, event_hash: str) -> Key:
    return Key(f"{RECEIVER}{receiver_hash}", f"{DELIVERY}{event_hash}")


def slack_request(request_id: str) -> Key:
    return Key(f"{SLACK}{request_id}", "REQUEST")


def slack_owner(slack_id: str) -> Key:
    return Key(SLACK_OWNERS, slack_id)


def slack_message(deployment_id: str, subject: str, channel: str) -> Key:
    return Key(f"{DEPLOYMENT}{deployment_id}", f"{MESSAGE}{subject}#{channel}")


def deliveries_of(owner: str) -> str:
    """The partition of the index `by_owner` with an owner's deliveries.

    No owner's name contains a #, so it is never the partition of an owner's deployments.
    """
    return f"DELIVERIES#{owner}"


def identifier(key_part: str) -> str:
    """What follows the prefix of a partition or sort key, such as the deployment's ID."""
    return key_part.partition("#")[2]
