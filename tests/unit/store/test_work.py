from datetime import timedelta
from typing import Any

import pytest

from chalicelib.platform import aws, clock
from chalicelib.platform.clock import rfc3339
from chalicelib.store import table, work
from tests.support import aws_says
from tests.support.simulated_aws.clock import SimulatedClock

LEASE = timedelta(seconds=70)
KEY = ("THING#1", "THING")

pytestmark = pytest.mark.usefixtures("table", "simulated_time")


def write(**attributes: Any) -> None:
    table.put_item({"pk": KEY[0], "sk": KEY[1], **attributes}, "attribute_not_exists(pk)", {})


def ask_again() -> None:
    """Requests the work for another reason."""
    change = work.due_now(work.COURIER, clock.now())
    table.transact([table.update(*KEY, "attribute_exists(pk)", change=change)])


def item() -> dict[str, Any]:
    item = table.get_item(*KEY)
    assert item
    return item


def acquire() -> work.Lease:
    lease = work.acquire(*KEY, LEASE)
    assert lease
    return lease


def test_due_work_is_listed_and_claimed_once() -> None:
    write(**work.due_now(work.COURIER, clock.now()), text="x")
    assert work.list_due(work.COURIER) == [KEY]
    assert work.list_due(work.CHAT_WORKER) == []
    lease = acquire()
    assert lease.item["text"] == "x"
    assert "wake" not in item()
    assert work.acquire(*KEY, LEASE) is None
    assert work.list_due(work.COURIER) == []


def test_finished_work_is_not_due() -> None:
    write(**work.due_now(work.COURIER, clock.now()))
    assert work.done(acquire(), status="sent", gone=None)
    assert item() == {"pk": KEY[0], "sk": KEY[1], "status": "sent"}
    assert work.acquire(*KEY, LEASE) is None


def test_postponed_work_is_due_at_its_new_time(simulated_time: SimulatedClock) -> None:
    write(**work.due_now(work.COURIER, clock.now()))
    later = clock.now() + timedelta(minutes=5)
    assert work.again(acquire(), later, tried=1)
    assert (item()["due_at"], item()["tried"], "lease" in item()) == (rfc3339(later), 1, False)
    assert work.acquire(*KEY, LEASE) is None
    simulated_time.advance_to(300)
    assert work.list_due(work.COURIER) == [KEY]
    acquire()


def test_an_item_that_is_not_due_yet_is_not_claimed(simulated_time: SimulatedClock) -> None:
    write(**work.due(work.COURIER, clock.now() + timedelta(seconds=1)))
    assert work.acquire(*KEY, LEASE) is None
    simulated_time.advance_to(1)
    acquire()


def test_an_item_without_due_work_is_not_claimed() -> None:
    assert work.acquire(*KEY, LEASE) is None
    write(wake=work.COURIER)
    assert work.acquire(*KEY, LEASE) is None


def test_a_dead_workers_item_is_due_after_its_lease(
    simulated_time: SimulatedClock,
) -> None:
    write(**work.due_now(work.COURIER, clock.now()))
    dead = acquire()
    simulated_time.advance_to(69)
    assert work.acquire(*KEY, LEASE) is None
    simulated_time.advance_to(70)
    taken = acquire()
    # It was only slow, not dead. It can neither finish nor postpone the work.
    assert not work.done(dead, status="sent")
    assert not work.again(dead, clock.now())
    assert "status" not in item()
    assert work.done(taken)


def test_work_that_is_requested_again_meanwhile_does_not_end() -> None:
    write(**work.due_now(work.COURIER, clock.now()))
    first = acquire()
    ask_again()
    assert work.done(first, status="sent")
    assert item()["status"] == "sent"
    assert work.list_due(work.COURIER) == [KEY]
    assert work.done(acquire())
    assert work.list_due(work.COURIER) == []


def test_a_woken_worker_does_not_wait_for_another_lease() -> None:
    write(**work.due_now(work.COURIER, clock.now()))
    first = acquire()
    ask_again()
    second = acquire()
    assert not work.done(first)
    assert work.done(second)


def test_the_end_of_the_work_can_be_part_of_a_transaction() -> None:
    write(**work.due_now(work.COURIER, clock.now()))
    lease = acquire()
    other = {"pk": "THING#2", "sk": "THING"}
    table.transact(
        [table.put(other, "attribute_not_exists(pk)"), work.settling(lease, {"a": 1}, None)]
    )
    assert work.list_due(work.COURIER) == []
    with pytest.raises(table.Conflict):
        table.transact([table.delete("THING#2", "THING"), work.settling(lease, {}, None)])
    assert table.get_item("THING#2", "THING")


def test_at_most_a_hundred_items_are_listed_the_longest_due_first(
    simulated_time: SimulatedClock,
) -> None:
    simulated_time.advance_to(1000)
    for n in range(101):
        at = clock.now() - timedelta(seconds=n)
        due = work.due(work.COURIER, at)
        table.put_item({"pk": f"THING#{n}", "sk": "THING", **due}, "attribute_not_exists(pk)", {})
    due = work.list_due(work.COURIER)
    assert [pk for pk, _ in due] == [f"THING#{n}" for n in range(100, 0, -1)]


def test_a_claim_that_conflicts_is_left_to_the_sweep() -> None:
    write(**work.due_now(work.COURIER, clock.now()))
    reasons = {"CancellationReasons": [{"Code": "TransactionConflict"}]}
    aws_says.refuse(
        "dynamodb", "TransactWriteItems", "TransactionCanceledException", times=1, **reasons
    )
    assert work.acquire(*KEY, LEASE) is None
    assert work.list_due(work.COURIER) == [KEY]


def test_the_stream_reports_items_but_not_deletions() -> None:
    write(**work.due_now(work.COURIER, clock.now()))
    [image] = aws.client("dynamodb").scan(TableName="slipway-records")["Items"]
    records = [{"dynamodb": {"NewImage": image}}, {"dynamodb": {"Keys": {}}}]
    [woken] = work.woken_by({"Records": records})
    assert (woken["pk"], woken["wake"]) == (KEY[0], work.COURIER)
    assert work.woken_by({"source": "aws.events"}) == []
