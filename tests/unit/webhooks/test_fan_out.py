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


def claimed(**fields: Any) -> work.Lease:
    """The claimed event of a create."""
    store.create(deployment_of(now=now(), **fields))
    lease = work.acquire(*EVENT, timedelta(seconds=70))
    assert lease
    return lease


def made() -> list[deliveries.Delivery]:
    return deliveries.list_page(None, limit=100, after=None)[0]


def test_each_receiver_has_its_own_delivery() -> None:
    subscribed = subscriptions.create("https://all.example.com/", TYPES)
    keys = fan_out(claimed(callback_url=URL))
    assert {(each.url, each.subscription_id) for each in made()} == {
        (URL, None),
        ("https://all.example.com/", subscribed.id),
    }
    assert set(keys) == {deliveries.key(each.id) for each in made()}
    assert {each.event_id for each in made()} == {f"evt_{ID}_00000001"}
    assert set(work.list_due(work.COURIER)) == set(keys)


def test_a_url_that_is_subscribed_twice_gets_two_deliveries() -> None:
    subscriptions.create(URL, TYPES)
    assert len(fan_out(claimed(callback_url=URL))) == 2


def test_only_subscriptions_to_the_type_get_a_delivery() -> None:
    subscriptions.create("https://a.example.com/", ("deployment.failed",))
    wanted = subscriptions.create(
        "https://b.example.com/", ("deployment.created", "deployment.failed")
    )
    disabled = subscriptions.create("https://c.example.com/", TYPES)
    subscriptions.disable(disabled.id, "returned 410 Gone")
    fan_out(claimed())
    assert [each.subscription_id for each in made()] == [wanted.id]


def test_an_event_without_receivers_ends() -> None:
    assert fan_out(claimed()) == []
    assert work.list_due(work.COURIER) == []
    assert made() == []


def test_deliveries_and_the_end_of_the_event_are_one_transaction() -> None:
    lease = claimed(callback_url=URL)
    lost = work.Lease(lease.pk, lease.sk, "of another", lease.item)
    with pytest.raises(table.Conflict):
        fan_out(lost)
    assert made() == []
    fan_out(lease)
    with pytest.raises(table.Conflict):
        fan_out(lease)
    assert len(made()) == 1


def test_the_ids_depend_only_on_event_and_receiver() -> None:
    event = claimed(callback_url=URL).item
    first, second = (deliveries.put(event, URL)["Put"]["Item"] for _ in range(2))
    assert first["delivery_id"] == second["delivery_id"]
    other = deliveries.put(event, URL, "sub_0123456789abcdef")["Put"]["Item"]
    assert other["delivery_id"] != first["delivery_id"]
    # The same receiver, so one after another.
    assert other["pk"] == first["pk"]


def test_the_maximum_of_deliveries_fits_into_one_transaction() -> None:
    for n in range(subscriptions.MOST):
        subscriptions.create(f"https://example.com/{n}", TYPES)
    assert len(fan_out(claimed(callback_url=URL))) == subscriptions.MOST + 1


def test_deliveries_are_in_no_list_of_deployments() -> None:
    fan_out(claimed(callback_url=URL))
    for owner in ("team-a", None):
        found, _ = store.list_deployments(owner, limit=100, after=None, show_deleted=True)
        assert [each.id for each in found] == [ID]
    assert [each.id for each in store.all_deployments()] == [ID]


def test_deliveries_of_a_subscription_are_not_in_the_owners_list() -> None:
    subscriptions.create("https://all.example.com/", TYPES)
    fan_out(claimed(callback_url=URL))
    found, _ = deliveries.list_page("team-a", limit=100, after=None)
    assert [each.subscription_id for each in found] == [None]
    assert deliveries.list_page("team-b", limit=100, after=None) == ([], None)


def test_a_delivery_is_kept_for_thirty_days(simulated_time: Any) -> None:
    [key] = fan_out(claimed(callback_url=URL))
    item = aws.client("dynamodb").get_item(TableName="slipway-records", Key=table.key(*key))["Item"]
    assert int(item["purge_at"]["N"]) == int((now() + timedelta(days=30)).timestamp())
    # The body is in the event's item and is not copied.
    assert json.dumps(item).count("usd_per_hour") == 0
