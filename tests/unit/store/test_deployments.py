import json
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NameTaken, NotFound, Retryable, Throttled
from chalicelib.domain.operation import CONVERGE_STEPS
from chalicelib.domain.parts import Image
from chalicelib.domain.record import Status
from chalicelib.platform import aws
from chalicelib.store import deployments as store
from chalicelib.store import table, work
from chalicelib.workflow import aws_errors
from infra.template import resources
from tests.support import aws_says
from tests.support.builders import DIGEST, ID, IMAGE, MOMENT, deployment_of, failure_of
from tests.support.project import ROOT

pytestmark = pytest.mark.usefixtures("table")


def event_types(deployment_id: str = ID) -> list[str]:
    events, _ = store.list_events(deployment_id, limit=1000, after=0)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    return [event.type for event in events]


def items() -> list[dict[str, Any]]:
    """All items except the quota's version, which stays when a record is deleted."""
    everything = aws.client("dynamodb").scan(TableName="slipway-records")["Items"]
    return [item for item in everything if item["sk"]["S"] != "QUOTA"]


def finish(name: str, message: str = "") -> Any:
    return lambda deployment: deployment.finish_step(name, MOMENT, message)


def delete_fully(deployment_id: str) -> None:
    def change(deployment: Deployment) -> None:
        deployment.delete(MOMENT)
        deployment.end_torn_down(MOMENT)

    store.update(deployment_id, change)


def rows(count: int, **fields: Any) -> list[str]:
    """Creates `count` deployments, a second apart; their IDs, newest first."""
    names = [f"d{chr(ord('a') + n)}" for n in range(count)]
    for n, name in enumerate(names):
        moment = MOMENT + timedelta(seconds=n)
        store.create(deployment_of(f"{name}-abcdef", now=moment, **fields))
    return [f"{name}-abcdef" for name in reversed(names)]


def listed(owner: str | None = "team-a", **more: Any) -> list[str]:
    page, _ = store.list_deployments(owner, **{"limit": 100, "after": None, **more})
    return [deployment.id for deployment in page]


# --- create --------------------------------------------------------------------------------


def test_a_created_record_is_read_back() -> None:
    deployment = deployment_of(environment={"A": "b"}, tags={"team": "a"})
    deployment.meter.set_rate(0.0398, MOMENT)
    written = store.create(deployment)
    assert store.get(ID) == written
    assert written.version == 1
    assert written.new_events == []
    assert event_types() == ["deployment.creating"]


def test_every_field_of_a_record_is_stored() -> None:
    store.create(deployment_of())

    def change(deployment: Deployment) -> None:
        deployment.begin_step("resolve_image", "1/converge/resolve_image/r", MOMENT, MOMENT)
        deployment.image = Image(reference=IMAGE, digest=DIGEST, size_bytes=64_000_000)
        deployment.finish_step("resolve_image", MOMENT, DIGEST)
        deployment.activate(MOMENT, 0.0398)
        deployment.failure = failure_of("resolve_image").model_copy(
            update={"evidence": {"exit_code": None, "ratio": 0.1, "lines": ["", "é"], "deep": {}}}
        )

    written = store.update(ID, change)
    assert store.get(ID) == written


def test_an_unknown_id_is_none() -> None:
    assert store.get("nobody-abcdef") is None


def test_a_name_is_in_use_while_its_deployment_exists() -> None:
    store.create(deployment_of())
    with pytest.raises(NameTaken, match=ID):
        store.create(deployment_of("recommender-bcdefg"))
    assert store.get("recommender-bcdefg") is None
    assert store.id_of_name("team-a", "recommender") == ID


def test_two_owners_can_use_the_same_name() -> None:
    store.create(deployment_of())
    store.create(deployment_of("recommender-bcdefg", owner="team-b"))
    assert store.id_of_name("team-b", "recommender") == "recommender-bcdefg"


def test_a_name_is_free_again_after_the_deletion() -> None:
    store.create(deployment_of())
    delete_fully(ID)
    assert store.id_of_name("team-a", "recommender") is None
    store.create(deployment_of("recommender-bcdefg"))
    assert store.id_of_name("team-a", "recommender") == "recommender-bcdefg"


def test_a_name_stays_reserved_during_the_teardown() -> None:
    store.create(deployment_of())
    store.update(ID, lambda deployment: deployment.delete(MOMENT))
    with pytest.raises(NameTaken):
        store.create(deployment_of("recommender-bcdefg"))


def test_a_deleted_record_can_be_written_after_its_name_is_reused() -> None:
    store.create(deployment_of())
    delete_fully(ID)
    store.create(deployment_of("recommender-bcdefg"))
    store.update(ID, lambda deployment: deployment.end_invocation("late", MOMENT))
    assert store.id_of_name("team-a", "recommender") == "recommender-bcdefg"


# --- update --------------------------------------------------------------------------------


def test_an_update_increments_the_version() -> None:
    store.create(deployment_of())
    assert store.update(ID, finish("resolve_image")).version == 2


def test_an_update_of_a_missing_record_is_not_found() -> None:
    with pytest.raises(NotFound):
        store.update(ID, lambda deployment: None)


def test_an_update_returns_the_result_of_the_written_change() -> None:
    store.create(deployment_of())
    interrupted: list[bool] = []

    def change(deployment: Deployment) -> int:
        if not interrupted:
            interrupted.append(True)
            store.update(ID, finish("create_cluster"))
        return deployment.version

    written, version = store.update_with_result(ID, change)
    assert (written.version, version) == (3, 2)
    assert store.get(ID) == written


def test_concurrent_writes_both_take_effect() -> None:
    store.create(deployment_of())
    seen: list[int] = []

    def change(deployment: Deployment) -> None:
        if not seen:
            store.update(ID, finish("create_cluster", "the other"))
        seen.append(deployment.version)
        deployment.finish_step("resolve_image", MOMENT, "mine")

    store.update(ID, change)
    assert seen == [1, 2]
    stored = store.get(ID)
    assert stored is not None
    assert stored.version == 3
    assert stored.operation.step("create_cluster").message == "the other"
    assert stored.operation.step("resolve_image").message == "mine"
    assert event_types() == ["deployment.creating", "step.succeeded", "step.succeeded"]


def test_interleaved_writes_neither_lose_nor_repeat_events() -> None:
    store.create(deployment_of())

    def nested(names: tuple[str, ...]) -> None:
        interrupted: list[bool] = []

        def change(deployment: Deployment) -> None:
            if names[1:] and not interrupted:
                interrupted.append(True)
                nested(names[1:])
            deployment.finish_step(names[0], MOMENT)

        store.update(ID, change)

    nested(CONVERGE_STEPS)
    stored = store.get(ID)
    assert stored is not None
    assert {step.status for step in stored.operation.steps} == {"succeeded"}
    assert event_types() == ["deployment.creating"] + ["step.succeeded"] * len(CONVERGE_STEPS)


def test_a_change_that_raises_writes_nothing() -> None:
    store.create(deployment_of())
    before = items()

    def change(deployment: Deployment) -> None:
        deployment.finish_step("resolve_image", MOMENT)
        raise LookupError

    with pytest.raises(LookupError):
        store.update(ID, change)
    assert items() == before


def test_an_endless_conflict_is_retryable(monkeypatch: pytest.MonkeyPatch) -> None:
    store.create(deployment_of())
    pauses: list[float] = []
    monkeypatch.setattr("chalicelib.store.deployments.time.sleep", pauses.append)
    reasons = [{"Code": "TransactionConflict"}]
    aws_says.refuse(
        "dynamodb",
        "TransactWriteItems",
        "TransactionCanceledException",
        CancellationReasons=reasons,
    )
    with pytest.raises(Retryable):
        store.update(ID, finish("resolve_image"))
    assert len(pauses) == store.WRITE_ATTEMPTS
    assert max(pauses) < 1


def test_a_temporary_conflict_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    store.create(deployment_of())
    monkeypatch.setattr("chalicelib.store.deployments.time.sleep", lambda seconds: None)
    aws_says.refuse("dynamodb", "TransactWriteItems", "TransactionInProgressException", times=2)
    store.update(ID, finish("resolve_image"))
    assert event_types() == ["deployment.creating", "step.succeeded"]


@pytest.mark.parametrize("reason", ["ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_throttled_transaction_is_a_transient_error(reason: str) -> None:
    store.create(deployment_of())
    aws_says.refuse(
        "dynamodb",
        "TransactWriteItems",
        "TransactionCanceledException",
        CancellationReasons=[{"Code": reason}],
    )
    with pytest.raises(Exception) as raised:
        store.update(ID, finish("resolve_image"))
    meaning = aws_errors.workflow_error(raised.value) or raised.value
    assert isinstance(meaning, (Throttled, Retryable))


# --- discard -------------------------------------------------------------------------------


def test_discard_removes_everything() -> None:
    written = store.create(deployment_of())
    store.discard(written)
    assert items() == []


def test_a_record_that_an_execution_wrote_is_not_discarded() -> None:
    written = store.create(deployment_of())
    store.update(ID, finish("resolve_image"))
    with pytest.raises(table.Conflict):
        store.discard(written)
    assert store.get(ID) and store.id_of_name("team-a", "recommender") == ID


def test_discard_keeps_other_records() -> None:
    store.create(deployment_of("other-abcdef"))
    before = items()
    store.discard(store.create(deployment_of()))
    key = lambda item: json.dumps(item, sort_keys=True)  # noqa: E731
    assert sorted(items(), key=key) == sorted(before, key=key)


# --- lists ---------------------------------------------------------------------------------


def test_the_list_is_newest_first() -> None:
    assert listed() == rows(0)
    ids = rows(3)
    assert listed() == ids


def test_the_list_shows_one_owner_or_all() -> None:
    store.create(deployment_of())
    store.create(deployment_of("mine-abcdef", owner="team-b", now=MOMENT + timedelta(1)))
    assert listed("team-b") == ["mine-abcdef"]
    assert listed(None) == ["mine-abcdef", ID]
    assert listed("nobody") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
def test_the_pages_together_are_the_list(limit: int) -> None:
    ids = rows(5)
    listed: list[str] = []
    after: str | None = None
    for _ in range(10):
        page, after = store.list_deployments("team-a", limit=limit, after=after)
        assert len(page) <= limit
        listed += [deployment.id for deployment in page]
        if after is None:
            break
    assert listed == ids


def test_the_last_full_page_has_no_cursor() -> None:
    rows(4)
    _, after = store.list_deployments("team-a", limit=2, after=None)
    page, end = store.list_deployments("team-a", limit=2, after=after)
    assert len(page) == 2
    assert end is None


def test_pages_stay_correct_during_creates_and_deletes() -> None:
    ids = rows(6)
    first, after = store.list_deployments("team-a", limit=2, after=None)
    # One before the cursor is added, the one at the cursor and one after it are removed.
    store.create(deployment_of("new-abcdef", now=MOMENT + timedelta(hours=1)))
    delete_fully(ids[1])
    delete_fully(ids[3])
    second, after = store.list_deployments("team-a", limit=2, after=after)
    third, after = store.list_deployments("team-a", limit=2, after=after)
    listed = [deployment.id for deployment in [*first, *second, *third]]
    assert listed == [ids[0], ids[1], ids[2], ids[4], ids[5]]
    assert after is None


def test_deployments_of_the_same_millisecond_are_all_listed() -> None:
    for name in "abc":
        store.create(deployment_of(f"{name}-abcdef"))
    listed: list[str] = []
    after: str | None = None
    for _ in range(3):
        page, after = store.list_deployments("team-a", limit=1, after=after)
        listed += [deployment.id for deployment in page]
    assert sorted(listed) == ["a-abcdef", "b-abcdef", "c-abcdef"]


def test_deleted_deployments_are_listed_on_request() -> None:
    ids = rows(2)
    delete_fully(ids[0])
    assert listed() == [ids[1]]
    assert listed(show_deleted=True) == ids
    assert listed(statuses=("DELETED",)) == [ids[0]]
    assert listed(statuses=("DELETED", "CREATING")) == ids


def test_the_list_can_be_filtered_by_status_and_name() -> None:
    ids = rows(3)
    store.update(ids[1], lambda deployment: deployment.activate(MOMENT, 0.04))
    assert listed(statuses=(Status.ACTIVE,)) == [ids[1]]
    assert listed(name="da") == ["da-abcdef"]
    assert listed(name="da", statuses=(Status.ACTIVE,)) == []


def test_a_filtered_list_fills_its_pages() -> None:
    ids = rows(6)
    for deployment_id in (ids[0], ids[2], ids[5]):
        store.update(deployment_id, lambda deployment: deployment.activate(MOMENT, 0.04))
    page, after = store.list_deployments("team-a", limit=2, after=None, statuses=("ACTIVE",))
    rest, end = store.list_deployments("team-a", limit=2, after=after, statuses=("ACTIVE",))
    assert [deployment.id for deployment in page] == [ids[0], ids[2]]
    assert [deployment.id for deployment in rest] == [ids[5]]
    assert end is None


def test_events_are_listed_in_pages_oldest_first() -> None:
    store.create(deployment_of())
    for name in CONVERGE_STEPS[:4]:
        store.update(ID, finish(name))
    sequences: list[int] = []
    after: int | None = 0
    while after is not None:
        events, after = store.list_events(ID, limit=2, after=after)
        assert len(events) <= 2
        sequences += [event.sequence for event in events]
    assert sequences == [1, 2, 3, 4, 5]


def test_events_belong_to_one_deployment() -> None:
    store.create(deployment_of())
    store.create(deployment_of("other-abcdef"))
    assert event_types("other-abcdef") == ["deployment.creating"]
    assert store.list_events("nobody-abcdef", limit=10, after=0) == ([], None)


def test_the_table_purges_the_record_of_a_deleted_deployment() -> None:
    store.create(deployment_of())
    delete_fully(ID)
    template = resources(ROOT)
    properties = template["Resources"]["Table"]["Properties"]
    attribute = properties["TimeToLiveSpecification"]["AttributeName"]
    item = next(item for item in items() if item["sk"]["S"] == "RECORD")
    assert int(item[attribute]["N"]) == int((MOMENT + timedelta(days=30)).timestamp())


def test_a_higher_cost_is_not_a_new_edition() -> None:
    store.create(deployment_of())
    edition = store.update(ID, lambda d: d.activate(MOMENT, 0.03)).edition
    later = store.update(ID, lambda d: d.meter.set_rate(0.06, MOMENT))
    assert later.edition == edition and later.version == 3
    assert store.update(ID, lambda d: d.pause(MOMENT)).edition == edition + 1


# --- the outbox ----------------------------------------------------------------------------


def outbox() -> dict[str, dict[str, Any]]:
    """The items of the events, by type."""
    events = table.query(
        "pk = :pk AND begins_with(sk, :event)", {":pk": f"DEPLOYMENT#{ID}", ":event": "EVENT#"}
    )
    return {json.loads(item["document"])["type"]: item for item in events}


def test_a_published_event_is_due_with_its_body() -> None:
    store.create(deployment_of(callback_url="https://example.com/hooks"))
    item = outbox()["deployment.creating"]
    body = json.loads(item["published"])
    assert (body["type"], body["data"]["sequence"]) == ("deployment.created", 1)
    assert item["callback_url"] == "https://example.com/hooks"
    assert (item["worker"], item["wake"]) == ("courier", "courier")
    assert work.list_due(work.COURIER) == [(item["pk"], item["sk"])]


def test_an_unpublished_event_wakes_the_courier_but_is_not_due() -> None:
    store.create(deployment_of())
    store.update(ID, finish("resolve_image"))
    item = outbox()["step.succeeded"]
    assert item["wake"] == "courier"
    assert not {"worker", "due_at", "published"} & set(item)


def test_an_events_body_shows_the_state_at_the_event() -> None:
    store.create(deployment_of(callback_url="https://example.com/a"))
    store.update(ID, lambda d: d.activate(MOMENT, 0.04))

    def change(deployment: Deployment) -> None:
        spec = deployment.spec.model_copy(update={"callback_url": "https://example.com/b"})
        deployment.update(spec, MOMENT, new_image=False)
        deployment.activate(MOMENT, 0.04)

    store.update(ID, change)
    events = outbox()
    urls = {kind: item["callback_url"][-1] for kind, item in events.items() if "published" in item}
    assert urls["deployment.creating"] == "a"
    assert json.loads(events["deployment.creating"]["published"])["data"]["deployment"][
        "status"
    ] == ("CREATING")


def test_a_failed_write_publishes_nothing() -> None:
    store.create(deployment_of())
    aws_says.refuse(
        "dynamodb",
        "TransactWriteItems",
        "TransactionCanceledException",
        CancellationReasons=[{"Code": "ThrottlingError"}],
    )
    with pytest.raises(Throttled):
        store.update(ID, lambda d: d.activate(MOMENT, 0.04))
    assert list(outbox()) == ["deployment.creating"]
