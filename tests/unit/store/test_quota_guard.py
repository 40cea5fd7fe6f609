"""No owner exceeds its quota, despite concurrent requests or edits by hand."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NameTaken, QuotaExceeded, Throttled
from chalicelib.domain.operation import Kind
from chalicelib.domain.parts import Leftover
from chalicelib.domain.quota import Use
from chalicelib.domain.record import Status
from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.store import deployments as store
from chalicelib.store import quota_guard as usage
from chalicelib.store import table
from tests.support import aws_says
from tests.support.builders import (
    ID,
    MOMENT,
    OWNER,
    deployment_of,
    spec_of,
    tearing_down_failed_create,
)

pytestmark = pytest.mark.usefixtures("table")
# The number of concurrent requests.
CALLERS = 6


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, environment: None) -> None:
    limit(monkeypatch, deployments=3, tasks=6)


def limit(monkeypatch: pytest.MonkeyPatch, **most: int) -> None:
    for name, value in most.items():
        monkeypatch.setenv(f"MAX_{name.upper()}_PER_OWNER", str(value))
    settings.cache_clear()


def ids(count: int) -> list[str]:
    return [f"d{chr(ord('a') + n)}-abcdef" for n in range(count)]


def made(number: int, **fields: Any) -> None:
    for known in ids(number):
        store.create(deployment_of(known, **fields))
        store.update(known, lambda deployment: deployment.activate(MOMENT, 0.04))


def scaled(count: int) -> Callable[[Deployment], None]:
    return lambda d: d.update(spec_of(name=d.name, count=count), MOMENT, new_image=False)


def outcome(work: Callable[[], object]) -> str:
    try:
        work()
    except QuotaExceeded:
        return "refused"
    return "accepted"


def concurrently(works: list[Callable[[], object]]) -> Counter[str]:
    """The results of all calls, started at the same moment in a thread each."""
    gate = threading.Barrier(len(works))

    def enter(work: Callable[[], object]) -> str:
        gate.wait()
        return outcome(work)

    with ThreadPoolExecutor(len(works)) as pool:
        return Counter(pool.map(enter, works))


@pytest.fixture
def atomic(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto is not thread-safe, so its calls run one after the other, as atomic as DynamoDB's."""
    client, lock = aws.client("dynamodb"), threading.Lock()
    call = client._make_api_call

    def one_by_one(operation: str, params: dict[str, Any]) -> Any:
        with lock:
            return call(operation, params)

    monkeypatch.setattr(client, "_make_api_call", one_by_one)


# --- concurrent requests -------------------------------------------------------------------


@pytest.mark.usefixtures("atomic")
def test_concurrent_creates_do_not_exceed_the_quota() -> None:
    works = [lambda known=known: store.create(deployment_of(known)) for known in ids(CALLERS)]
    assert concurrently(works) == {"accepted": 3, "refused": CALLERS - 3}
    assert usage.of_owner(OWNER) == Use(3, 3, 3 * 256)


@pytest.mark.usefixtures("atomic")
def test_concurrent_updates_do_not_exceed_the_quota() -> None:
    made(3, count=1)
    works = [lambda known=known: store.update(known, scaled(3)) for known in ids(3)]
    assert concurrently(works) == {"accepted": 1, "refused": 2}
    assert usage.of_owner(OWNER).tasks == 5


@pytest.mark.parametrize("second", ["create", "update"])
def test_a_request_between_the_sum_and_the_write_is_detected(
    second: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another request reserves the last task after this one has summed up."""
    made(1, count=5)
    transact, others = table.transact, [lambda: store.create(deployment_of("other-abcdef"))]

    def interrupted(items: list[dict[str, Any]]) -> None:
        if others:
            others.pop()()
        transact(items)

    monkeypatch.setattr(table, "transact", interrupted)
    with pytest.raises(QuotaExceeded):
        if second == "create":
            store.create(deployment_of())
        else:
            store.update("da-abcdef", scaled(6))
    assert usage.of_owner(OWNER) == Use(2, 6, 6 * 256)
    assert store.get(ID) is None


def test_an_overtaken_create_is_written_once_if_the_quota_allows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transact, others = table.transact, [lambda: store.create(deployment_of("other-abcdef"))]

    def interrupted(items: list[dict[str, Any]]) -> None:
        if others:
            others.pop()()
        transact(items)

    monkeypatch.setattr(table, "transact", interrupted)
    written = store.create(deployment_of())
    assert (written.version, written.events_written) == (1, 1)
    assert store.get(ID) == written
    assert store.last_event(ID) == 1


# --- when the quota is checked -------------------------------------------------------------


def test_each_owner_has_its_own_quota() -> None:
    made(3)
    with pytest.raises(QuotaExceeded, match=r"3 deployments \(3 used, 1 more requested\)"):
        store.create(deployment_of())
    store.create(deployment_of(owner="team-b"))


def test_a_used_name_is_reported_before_an_exceeded_quota() -> None:
    made(3)
    with pytest.raises(NameTaken, match="da-abcdef"):
        store.create(deployment_of("da-bcdefg"))


def test_a_request_that_needs_no_more_quota_reads_nothing_else(aws_calls: list[str]) -> None:
    made(1)
    aws_calls.clear()
    store.update("da-abcdef", lambda d: d.extend("8h", MOMENT))
    assert aws_calls == ["dynamodb.GetItem", "dynamodb.TransactWriteItems"]


def test_a_retry_after_a_teardown_checks_the_quota_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store.create(deployment_of())

    def torn_down(deployment: Deployment) -> None:
        deployment.delete(MOMENT)
        deployment.operation.kind = Kind.CREATE
        deployment.end_torn_down(MOMENT)

    store.update(ID, torn_down)
    limit(monkeypatch, tasks=3)
    made(2)
    limit(monkeypatch, tasks=2)
    with pytest.raises(QuotaExceeded):
        store.update(ID, lambda deployment: deployment.retry(MOMENT, 0.04))
    limit(monkeypatch, tasks=3)
    assert store.update(ID, lambda d: d.retry(MOMENT, 0.04)).status is Status.CREATING


def test_a_rollback_checks_the_quota() -> None:
    made(1, count=5)
    store.update("da-abcdef", scaled(1))
    store.update("da-abcdef", lambda deployment: deployment.activate(MOMENT, 0.04))
    store.create(deployment_of(count=2))
    with pytest.raises(QuotaExceeded, match=r"6 tasks \(3 used, 4 more requested\)"):
        store.update("da-abcdef", lambda deployment: deployment.roll_back(MOMENT))


def test_a_teardown_is_never_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made(3)
    limit(monkeypatch, deployments=1)
    assert store.update("da-abcdef", lambda d: d.delete(MOMENT)).status is Status.DELETING
    torn_down = tearing_down_failed_create()
    torn_down.end_torn_down(MOMENT)
    store.adopt(torn_down)
    leftovers = [Leftover(kind="service", name="x", reason="found")]
    assert store.update(ID, lambda d: d.report_leftovers(leftovers, MOMENT)).leftovers == leftovers


# --- it heals ------------------------------------------------------------------------------


def test_a_lost_guard_item_is_created_again() -> None:
    made(2)
    aws.client("dynamodb").delete_item(
        TableName="slipway-records", Key=table.key(f"OWNER#{OWNER}", "QUOTA")
    )
    store.create(deployment_of())
    with pytest.raises(QuotaExceeded):
        store.create(deployment_of("one-abcdef"))


def test_a_name_without_a_record_uses_no_quota() -> None:
    made(3)
    aws.client("dynamodb").delete_item(
        TableName="slipway-records", Key=table.key("DEPLOYMENT#da-abcdef", "RECORD")
    )
    store.create(deployment_of())


# --- the batch read ------------------------------------------------------------------------


def test_unprocessed_keys_of_a_batch_are_requested_again() -> None:
    made(3)
    keys = [(f"DEPLOYMENT#{known}", "RECORD") for known in ids(3)]
    real, asked = aws.client("dynamodb").get_item, []

    def reply(request: Any) -> dict[str, Any]:
        asked.append(1)
        first, *rest = left[0]
        left[0] = rest
        item = real(TableName="slipway-records", Key=first)["Item"]
        return {
            "Responses": {"slipway-records": [item]},
            "UnprocessedKeys": {"slipway-records": {"Keys": rest}} if rest else {},
        }

    left = [[table.key(*pair) for pair in keys]]
    aws_says.answer("dynamodb", "BatchGetItem", reply)
    assert {item["pk"] for item in table.get_items(keys)} == {pk for pk, _ in keys}
    assert len(asked) == 3


def test_keys_that_stay_unprocessed_are_a_transient_error() -> None:
    keys = [("DEPLOYMENT#a", "RECORD")]
    left = {"slipway-records": {"Keys": [table.key(*keys[0])]}}
    aws_says.answer("dynamodb", "BatchGetItem", {"Responses": {}, "UnprocessedKeys": left})
    with pytest.raises(Throttled):
        table.get_items(keys)


def test_no_keys_make_no_call(aws_calls: list[str]) -> None:
    assert table.get_items([]) == []
    assert aws_calls == []
