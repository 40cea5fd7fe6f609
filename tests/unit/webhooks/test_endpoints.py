from typing import Any

import pytest

from chalicelib.domain.publication import TYPES
from chalicelib.platform.clock import now
from chalicelib.routes import document
from chalicelib.store import deployments as store
from chalicelib.webhooks import subscriptions
from tests.support.builders import active, body_of, deployment_of
from tests.support.gateway import Answered, Gateway
from tests.support.simulated_aws.clock import SimulatedClock
from tests.support.subscribers import Resolver, Subscriber, set_webhook_secrets, wake

URL = "https://example.com/hooks"
DELIVERIES, SUBSCRIPTIONS = "/webhooks/deliveries", "/webhooks/subscriptions"
INSIDE = ["https://169.254.169.254/", "https://inside.example.com/", "http://example.com/"]

pytestmark = pytest.mark.usefixtures("gateway", "webhook_secret")


@pytest.fixture(autouse=True)
def dns(resolver: Resolver) -> Resolver:
    resolver.names["inside.example.com"] = ["10.0.0.1"]
    return resolver


def faults_of(answer: Answered) -> dict[str, str]:
    assert (answer.status, answer.code) == (422, "VALIDATION_FAILED"), answer.text
    return {error["field"]: error["message"] for error in answer.json["errors"]}


# --- callback_url --------------------------------------------------------------------------


@pytest.mark.parametrize("query", [{}, {"validate_only": "true"}])
@pytest.mark.parametrize("url", INSIDE)
def test_a_private_callback_is_refused_with_other_faults(
    gateway: Gateway, url: str, query: dict[str, str]
) -> None:
    answer = gateway.post("/deployments", body_of(callback_url=url, port=0), query=query)
    faults = faults_of(answer)
    assert set(faults) == {"callback_url", "port"}
    assert faults["callback_url"].startswith("must ")


def test_a_callback_is_accepted_and_shown(gateway: Gateway, resolver: Resolver) -> None:
    answer = gateway.post("/deployments", body_of(callback_url=URL))
    assert (answer.status, answer.json["spec"]["callback_url"]) == (202, URL)
    # One check, although the write of the record may be repeated.
    assert resolver.asked.count("example.com") == 1
    assert gateway.post("/deployments", body_of(name="other", callback_url=None)).status == 202


@pytest.mark.parametrize("value", [7, "", ["https://example.com/"], True])
def test_an_invalid_url_is_refused(gateway: Gateway, value: Any) -> None:
    assert set(faults_of(gateway.post("/deployments", body_of(callback_url=value)))) == {
        "callback_url"
    }


def test_without_a_webhook_secret_a_callback_is_refused(gateway: Gateway) -> None:
    set_webhook_secrets(" ")
    for path, body in (
        ("/deployments", body_of(callback_url=URL)),
        (SUBSCRIPTIONS, {"url": URL}),
    ):
        [message] = faults_of(gateway.post(path, body, caller="admin")).values()
        assert (
            "webhooks are not set up: ask your platform team to create the webhook secret"
            in message
        )


def test_a_change_checks_the_callback_only_if_it_is_sent(
    gateway: Gateway, resolver: Resolver
) -> None:
    deployment = store.create(active(callback_url=URL))
    path = f"/deployments/{deployment.id}"
    resolver.names["example.com"] = ["10.0.0.1"]
    faults = faults_of(gateway.patch(path, {"callback_url": URL, "port": 0}))
    assert set(faults) == {"callback_url", "port"}
    resolver.asked.clear()
    answer = gateway.patch(path, {"count": 2})
    assert (answer.status, answer.json["spec"]["callback_url"]) == (202, URL)
    assert resolver.asked == []


def test_a_change_checks_the_callback_once_even_if_its_write_is_repeated(
    gateway: Gateway, resolver: Resolver
) -> None:
    deployment = store.create(active())
    real, calls = store._write, []

    def meet(*parameters: Any) -> Any:
        calls.append(parameters)
        if len(calls) == 1:
            raise store.table.Conflict
        return real(*parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_write", meet)
        answer = gateway.patch(f"/deployments/{deployment.id}", {"callback_url": URL})
    assert (answer.status, len(calls)) == (202, 2)
    assert resolver.asked.count("example.com") == 1


def test_a_callback_can_be_removed(gateway: Gateway) -> None:
    deployment = store.create(active(callback_url=URL))
    answer = gateway.patch(f"/deployments/{deployment.id}", {"callback_url": None})
    assert (answer.status, answer.json["spec"]["callback_url"]) == (202, None)


def test_without_a_callback_no_secret_is_read(gateway: Gateway, aws_calls: list[str]) -> None:
    assert gateway.post("/deployments", body_of()).status == 202
    assert not [call for call in aws_calls if call.startswith("ssm")]


# --- deliveries ----------------------------------------------------------------------------


@pytest.fixture
def delivered(subscriber: Subscriber, simulated_time: SimulatedClock) -> Subscriber:
    """Deployments of two owners and a subscription, with all events delivered."""
    subscriptions.create(subscriber.url("/all"), TYPES)
    for n, owner in enumerate(("team-a", "team-b", "team-a")):
        simulated_time.advance_to(n)
        made = deployment_of(
            f"d{'abc'[n]}-abcdef", owner, now(), callback_url=subscriber.url(f"/{owner}")
        )
        store.create(made)
    wake()
    return subscriber


def listed(gateway: Gateway, caller: str = "team-a", **query: str) -> list[dict[str, Any]]:
    answer = gateway.get(DELIVERIES, caller=caller, query=dict(query))
    assert answer.status == 200, answer.text
    return list(answer.json["deliveries"])


def test_an_owner_sees_its_deliveries_newest_first(gateway: Gateway, delivered: Subscriber) -> None:
    found = listed(gateway)
    assert [each["deployment"] for each in found] == ["dc-abcdef", "da-abcdef"]
    assert {each["owner"] for each in found} == {"team-a"}
    assert {each["subscription_id"] for each in found} == {None}
    assert [each["deployment"] for each in listed(gateway, "team-b")] == ["db-abcdef"]
    assert len(listed(gateway, "admin")) == 6


def test_a_delivery_is_shown_with_its_tries(gateway: Gateway, delivered: Subscriber) -> None:
    [_, shown] = listed(gateway)
    assert shown == {
        "id": shown["id"],
        "event_id": "evt_da-abcdef_00000001",
        "type": "deployment.created",
        "deployment": "da-abcdef",
        "owner": "team-a",
        "sequence": 1,
        "url": delivered.url("/team-a"),
        "subscription_id": None,
        "status": "delivered",
        "next_try_at": None,
        "tries": [
            {"at": "2026-11-24T09:30:02.000Z", "status": 200, "error": None, "duration_ms": 0}
        ],
        "created_at": "2026-11-24T09:30:02.000Z",
    }


def test_deliveries_are_listed_in_pages(gateway: Gateway, delivered: Subscriber) -> None:
    seen: list[str] = []
    query = {"limit": "4"}
    while True:
        answer = gateway.get(DELIVERIES, caller="admin", query=dict(query))
        seen += [each["id"] for each in answer.json["deliveries"]]
        if answer.json["next_cursor"] is None:
            break
        query["cursor"] = answer.json["next_cursor"]
    assert seen == [each["id"] for each in listed(gateway, "admin")]


def test_deliveries_can_be_filtered(gateway: Gateway, delivered: Subscriber) -> None:
    assert len(listed(gateway, status="delivered")) == 2
    assert listed(gateway, status="failed") == []
    for reference in ("da-abcdef", "da"):
        assert [d["deployment"] for d in listed(gateway, deployment=reference)] == ["da-abcdef"]
    assert listed(gateway, deployment="db-abcdef") == []
    assert len(listed(gateway, "admin", deployment="db", limit="1")) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("status", "sent"), ("deployment", "A b"), ("limit", "0"), ("cursor", "?"), ("url", "x")],
)
def test_an_invalid_parameter_is_reported_by_name(gateway: Gateway, name: str, value: str) -> None:
    assert set(faults_of(gateway.get(DELIVERIES, query={name: value}))) == {name}


def test_a_delivery_can_be_sent_again(gateway: Gateway, delivered: Subscriber) -> None:
    shown, before = listed(gateway)[0], len(delivered.received)
    answer = gateway.post(f"{DELIVERIES}/{shown['id']}/redeliver")
    assert answer.status == 202
    assert answer.json["status"] == "pending"
    assert answer.json["next_try_at"]
    wake()
    again = delivered.received[before:]
    assert [(each.path, each.id) for each in again] == [("/team-a", shown["event_id"])]
    after = listed(gateway)[0]
    assert (after["status"], len(after["tries"])) == ("delivered", 2)


def test_only_the_owner_can_redeliver(gateway: Gateway, delivered: Subscriber) -> None:
    mine = listed(gateway)[0]["id"]
    of_subscription = next(
        each["id"]
        for each in listed(gateway, "admin")
        if each["subscription_id"] and each["owner"] == "team-a"
    )
    unknown = f"dlv_{'0' * 32}"
    for delivery, caller, status in (
        (mine, "team-b", 404),
        (of_subscription, "team-a", 404),
        (unknown, "admin", 404),
        ("x", "admin", 404),
        (mine, "reader", 403),
        (mine, "admin", 202),
        (of_subscription, "admin", 202),
    ):
        answer = gateway.post(f"{DELIVERIES}/{delivery}/redeliver", caller=caller)
        assert answer.status == status, (delivery, caller)
        if status == 404:
            assert answer.json["detail"] == f"There is no delivery {delivery}."


def test_a_repeated_redelivery_with_the_same_key_has_one_effect(
    gateway: Gateway, delivered: Subscriber
) -> None:
    path, before = f"{DELIVERIES}/{listed(gateway)[0]['id']}/redeliver", len(delivered.received)
    for _ in range(2):
        assert gateway.post(path, headers={"Idempotency-Key": "k"}).status == 202
        wake()
    assert len(delivered.received) == before + 1


# --- subscriptions -------------------------------------------------------------------------


def subscribe(gateway: Gateway, **fields: Any) -> Answered:
    return gateway.post(SUBSCRIPTIONS, {"url": URL, **fields}, caller="admin")


def test_a_subscription_is_created_listed_and_deleted(gateway: Gateway) -> None:
    made = subscribe(gateway, types=["deployment.failed"])
    assert made.status == 201
    assert made.json == {
        "id": made.json["id"],
        "url": URL,
        "types": ["deployment.failed"],
        "created_at": made.json["created_at"],
        "disabled_at": None,
        "disabled_reason": None,
    }
    assert gateway.get(SUBSCRIPTIONS, caller="admin").json == {"subscriptions": [made.json]}
    path = f"{SUBSCRIPTIONS}/{made.json['id']}"
    assert gateway.delete(path, caller="admin").status == 204
    assert gateway.delete(path, caller="admin").status == 404
    assert gateway.delete(f"{SUBSCRIPTIONS}/x", caller="admin").status == 404
    assert gateway.get(SUBSCRIPTIONS, caller="admin").json == {"subscriptions": []}


def test_a_subscription_gets_all_types_by_default(gateway: Gateway) -> None:
    assert subscribe(gateway).json["types"] == list(TYPES)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", None),
        ("url", 7),
        *(("url", url) for url in INSIDE),
        ("types", []),
        ("types", "deployment.failed"),
        ("types", ["deployment.failed", "deployment.failed"]),
        ("types.0", ["deployment.exploded"]),
        ("type", ["deployment.failed"]),
    ],
)
def test_an_invalid_field_is_reported(gateway: Gateway, field: str, value: Any) -> None:
    answer = subscribe(gateway, **{field.partition(".")[0]: value})
    assert set(faults_of(answer)) == {field}
    assert subscriptions.list_all() == []


def test_twenty_subscriptions_are_the_maximum(gateway: Gateway) -> None:
    for n in range(subscriptions.MOST):
        assert subscribe(gateway, url=f"{URL}/{n}").status == 201
    answer = subscribe(gateway)
    assert (answer.status, answer.code) == (429, "QUOTA_EXCEEDED")
    assert (
        "There are already 20 subscriptions, the maximum. Delete a subscription first."
        in answer.json["detail"]
    )
    gateway.delete(f"{SUBSCRIPTIONS}/{subscriptions.list_all()[0].id}", caller="admin")
    assert subscribe(gateway).status == 201


def test_a_url_has_one_subscription_and_a_new_request_enables_it_again(
    gateway: Gateway,
) -> None:
    first = subscribe(gateway).json
    subscriptions.disable(first["id"], "answered 410 Gone")

    again = subscribe(gateway, types=["deployment.failed"])

    assert again.status == 201
    assert again.json == {**first, "types": ["deployment.failed"]}
    assert gateway.get(SUBSCRIPTIONS, caller="admin").json == {"subscriptions": [again.json]}


def test_a_delivery_to_a_disabled_subscription_can_be_sent_after_it_is_enabled(
    gateway: Gateway, delivered: Subscriber
) -> None:
    of_it = next(each for each in listed(gateway, "admin") if each["subscription_id"])
    made = subscriptions.find(of_it["subscription_id"])
    assert made
    subscriptions.disable(made.id, "answered 410 Gone")
    path = f"{DELIVERIES}/{of_it['id']}/redeliver"

    refused = gateway.post(path, caller="admin")

    assert (refused.status, refused.code) == (409, "INVALID_STATE")
    assert "answered 410 Gone" in refused.json["detail"]
    assert "Subscribe its URL again, then redeliver." in refused.json["detail"]
    assert subscribe(gateway, url=made.url).status == 201
    assert gateway.post(path, caller="admin").status == 202
    gateway.delete(f"{SUBSCRIPTIONS}/{made.id}", caller="admin")
    assert "was deleted" in gateway.post(path, caller="admin").json["detail"]


def test_the_documented_types_are_the_published_types() -> None:
    schema = document()["components"]["schemas"]["Subscription"]["properties"]["types"]
    assert schema["items"]["enum"] == list(TYPES)


def test_items_are_found_only_by_their_keys(
    gateway: Gateway, delivered: Subscriber, aws_calls: list[str]
) -> None:
    listed(gateway)
    listed(gateway, "admin")
    assert aws_calls and not [call for call in aws_calls if call.endswith("Scan")]
