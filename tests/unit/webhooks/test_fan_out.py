import json
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.publication import TYPES
from chalicelib.platform import aws
from chalicelib.platform.clock import now
from chalicelib.store import deployments as store
from chalicelib.store import table, work
from chalicelib.webhooks import deliveries, subscriptions
from chalicelib.webhooks.fan_out import fan_out
from tests.support.builders import ID, deployment_of

URL = "https://example.com/hooks"
EVENT = (f"DEPLOYMENT#{ID}", "EVENT#00000001")

pytestmark = pytest.mark.usefixtures("table")


def claimed(**fields: Any) -> work.Claim:
    """The event of a create, claimed."""
    store.create(deployment_of(now=now(), **fields))
    claim = work.claim(*EVENT, timedelta(seconds=70))
    assert claim
    return claim


def made() -> list[deliveries.Delivery]:
    return deliveries.list_page(None, limit=100, after=None)[0]


def test_each_receiver_has_a_delivery_of_its_own() -> None:
    subscribed = subscriptions.create("https://all.example.com/", TYPES)
    keys = fan_out(claimed(callback_url=URL))
    assert {(each.url, each.subscription_id) for each in made()} == {
        (URL, None),
        ("https://all.example.com/", subscribed.id),
    }
    assert set(keys) == {deliveries.key(each.id) for each in made()}
    assert {each.event_id for each in made()} == {f"evt_{ID}_00000001"}
    assert set(work.list_due(work.COURIER)) == set(keys)


def test_one_url_that_asked_twice_is_told_twice() -> None:
    subscriptions.create(URL, TYPES)
    assert len(fan_out(claimed(callback_url=URL))) == 2


def test_only_those_who_want_the_type_are_told() -> None:
    subscriptions.create("https://a.example.com/", ("deployment.failed",))
    wanted = subscriptions.create(
        "https://b.example.com/", ("deployment.created", "deployment.failed")
    )
    disabled = subscriptions.create("https://c.example.com/", TYPES)
    subscriptions.disable(disabled.id, "returned 410 Gone")
    fan_out(claimed())
    assert [each.subscription_id for each in made()] == [wanted.id]


def test_an_event_without_receivers_just_ends() -> None:
    assert fan_out(claimed()) == []
    assert work.list_due(work.COURIER) == []
    assert made() == []


def test_the_deliveries_are_all_made_or_none_and_the_event_ends_with_them() -> None:
    claim = claimed(callback_url=URL)
    lost = work.Claim(claim.pk, claim.sk, "of another", claim.item)
    with pytest.raises(table.Conflict):
        fan_out(lost)
    assert made() == []
    fan_out(claim)
    with pytest.raises(table.Conflict):
        fan_out(claim)
    assert len(made()) == 1


def test_the_ids_are_the_same_whoever_makes_them() -> None:
    event = claimed(callback_url=URL).item
    first, second = (deliveries.put(event, URL)["Put"]["Item"] for _ in range(2))
    assert first["delivery_id"] == second["delivery_id"]
    other = deliveries.put(event, URL, "sub_0123456789abcdef")["Put"]["Item"]
    assert other["delivery_id"] != first["delivery_id"]
    # The same receiver: one after another.
    assert other["pk"] == first["pk"]


def test_as_many_as_there_may_be_fit_into_one_transaction() -> None:
    for n in range(subscriptions.MOST):
        subscriptions.create(f"https://example.com/{n}", TYPES)
    assert len(fan_out(claimed(callback_url=URL))) == subscriptions.MOST + 1


def test_deliveries_are_no_deployments() -> None:
    fan_out(claimed(callback_url=URL))
    for owner in ("team-a", None):
        found, _ = store.list_deployments(owner, limit=100, after=None, show_deleted=True)
        assert [each.id for each in found] == [ID]
    assert [each.id for each in store.all_deployments()] == [ID]


def test_those_of_a_subscription_are_not_the_owners() -> None:
    subscriptions.create("https://all.example.com/", TYPES)
    fan_out(claimed(callback_url=URL))
    found, _ = deliveries.list_page("team-a", limit=100, after=None)
    assert [each.subscription_id for each in found] == [None]
    assert deliveries.list_page("team-b", limit=100, after=None) == ([], None)


def test_a_delivery_is_kept_for_thirty_days(simulated_time: Any) -> None:
    [key] = fan_out(claimed(callback_url=URL))
    item = aws.client("dynamodb").get_item(TableName="slipway-records", Key=table.key(*key))["Item"]
    assert int(item["purge_at"]["N"]) == int((now() + timedelta(days=30)).timestamp())
    # The body is the event's own: it is not written once more.
    assert json.dumps(item).count("usd_per_hour") == 0
