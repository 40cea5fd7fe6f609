"""Stored keys never change, because items of earlier versions use them."""

import pytest

from chalicelib.store import keys
from chalicelib.store.keys import Key


@pytest.mark.parametrize(
    ("key", "pk", "sk"),
    [
        (keys.deployment("app-abcdef"), "DEPLOYMENT#app-abcdef", "RECORD"),
        (keys.event("app-abcdef", 7), "DEPLOYMENT#app-abcdef", "EVENT#00000007"),
        (keys.kept_logs("app-abcdef"), "DEPLOYMENT#app-abcdef", "LOGS"),
        (keys.name("team-a", "app"), "OWNER#team-a", "NAME#app"),
        (keys.quota("team-a"), "OWNER#team-a", "QUOTA"),
        (keys.idempotency("team-a", "one"), "OWNER#team-a", "IDEMPOTENCY#one"),
        (keys.domain("app.example.com"), "DOMAIN#app.example.com", "DOMAIN"),
        (keys.token("0f"), "TOKEN#0f", "TOKEN"),
        (keys.listed_token("tok_1"), "TOKENS", "tok_1"),
        (keys.subscription("sub_1"), "SUBSCRIPTIONS", "sub_1"),
        (keys.delivery("0a", "0b"), "RECEIVER#0a", "DELIVERY#0b"),
        (keys.slack_request("1.2"), "SLACK#1.2", "REQUEST"),
        (keys.slack_owner("C1"), "SLACK_OWNERS", "C1"),
        (
            keys.slack_message("app-abcdef", "2026-11-24T09:30:00Z", "C1"),
            "DEPLOYMENT#app-abcdef",
            "MESSAGE#2026-11-24T09:30:00Z#C1",
        ),
    ],
)
def test_keys_equal_the_stored_keys(key: Key, pk: str, sk: str) -> None:
    assert key == (pk, sk)
    assert key.attributes == {"pk": pk, "sk": sk}


def test_an_identifier_follows_the_prefix() -> None:
    assert keys.identifier(keys.deployment("app-abcdef").pk) == "app-abcdef"
    assert keys.identifier(keys.event("app-abcdef", 7).sk) == "00000007"


def test_an_owners_deliveries_and_deployments_have_separate_keys() -> None:
    assert keys.deliveries_of("team-a") == "DELIVERIES#team-a"
