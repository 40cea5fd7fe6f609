import json
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.api.answer import Answer
from chalicelib.api.idempotency import once
from chalicelib.api.requests import Request
from chalicelib.domain.errors import (
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    NotFound,
    ValidationFailed,
)
from chalicelib.platform import aws
from chalicelib.store import deployments as store
from chalicelib.store.idempotency import CLAIMED
from chalicelib.store.table import get_item
from chalicelib.store.tokens import Caller
from infra.template import function_config
from tests.support.builders import MOMENT, Clock, body_of
from tests.support.gateway import Answered, Gateway
from tests.support.project import ROOT

KEY = {"Idempotency-Key": "one"}
ANSWER = Answer(202, {"id": "x"}, {"Location": "/x", "ETag": '"1"', "Retry-After": "5"})


class Died(BaseException):
    """The function died: none of its code runs any more."""


class Work:
    """Counts how often the work ran."""

    def __init__(self, answer: Answer = ANSWER) -> None:
        self.answer, self.times = answer, 0

    def __call__(self) -> Answer:
        self.times += 1
        return self.answer


def request_of(
    key: str | None = "one",
    *,
    owner: str = "team-a",
    scopes: tuple[str, ...] = ("deploy",),
    **fields: Any,
) -> Request:
    headers = {} if key is None else {"idempotency-key": key}
    known = {"path": "/deployments", "method": "POST", "body": b'{"a": 1, "b": 2}', **fields}
    return Request(Caller(owner, frozenset(scopes), "t"), headers=headers, **known)


def died_at_work(request: Request) -> None:
    def work() -> Answer:
        raise Died

    with pytest.raises(Died):
        once(request, work)


@pytest.fixture
def clock(table: str, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that the keys use, with a table."""
    made = Clock()
    monkeypatch.setattr("chalicelib.platform.clock.now", made)
    return made


# --- the same request again ------------------------------------------------------------------


def test_the_first_response_is_repeated_without_the_work(clock: Clock) -> None:
    work = Work()
    answers = [once(request_of(), work) for _ in range(3)]
    assert answers == [ANSWER] * 3
    assert work.times == 1


def test_a_response_without_a_body_is_repeated(clock: Clock) -> None:
    work = Work(Answer(204))
    assert [once(request_of(), work) for _ in range(2)] == [Answer(204)] * 2
    assert work.times == 1


def test_the_order_of_the_bodys_fields_does_not_matter(clock: Clock) -> None:
    once(request_of(), Work())
    assert once(request_of(body=b'{"b":2,"a":1}'), Work(Answer(200))) == ANSWER


def test_a_key_expires_after_24_hours(clock: Clock) -> None:
    once(request_of(), Work())
    clock.advance(hours=24, seconds=-1)
    assert once(request_of(), Work(Answer(200))) == ANSWER
    clock.advance(seconds=1)
    assert once(request_of(body=b"another"), Work(Answer(200))) == Answer(200)


def test_a_keys_item_has_an_expiry_for_the_table(clock: Clock) -> None:
    once(request_of(), Work())
    item = get_item("OWNER#team-a", "IDEMPOTENCY#one")
    assert item and item["purge_at"] == int((MOMENT + timedelta(hours=24)).timestamp())


def test_without_a_key_or_a_need_for_one_the_work_is_done(clock: Clock) -> None:
    work = Work()
    for request in (request_of(None), request_of(method="DELETE"), request_of(method="GET")):
        once(request, work)
        once(request, work)
    assert work.times == 6
    assert aws.client("dynamodb").scan(TableName="slipway-records")["Items"] == []


def test_each_owner_has_its_own_keys(clock: Clock) -> None:
    once(request_of(), Work())
    theirs = once(request_of(owner="team-b", body=b"another"), Work(Answer(200)))
    assert theirs == Answer(200)


# --- another request with the same key -------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"body": b'{"a": 1, "b": 3}'},
        {"body": b""},
        {"body": b"\xff"},
        {"path": "/deployments/x/retry"},
        {"method": "PATCH"},
        {"query": {"validate_only": ["true"]}},
        {"scopes": ("admin",)},
    ],
)
def test_another_request_with_the_same_key_is_refused(clock: Clock, other: dict[str, Any]) -> None:
    once(request_of(), Work())
    work = Work()
    with pytest.raises(IdempotencyKeyReused):
        once(request_of(**other), work)
    assert work.times == 0


def test_another_request_is_refused_while_the_first_is_at_work(clock: Clock) -> None:
    def work() -> Answer:
        with pytest.raises(IdempotencyKeyReused):
            once(request_of(body=b"another"), Work())
        return ANSWER

    assert once(request_of(), work) == ANSWER


# --- while the first is at work --------------------------------------------------------------


def test_the_key_is_in_use_while_the_first_is_at_work(clock: Clock) -> None:
    second = Work()

    def work() -> Answer:
        with pytest.raises(IdempotencyKeyInUse) as refused:
            once(request_of(), second)
        assert refused.value.headers == {"Retry-After": "1"}
        return ANSWER

    assert once(request_of(), work) == ANSWER
    assert second.times == 0


def test_a_key_that_is_released_during_the_check_is_free(clock: Clock) -> None:
    """It is released between the write that found it in use and the read of its request."""
    died_at_work(request_of())
    dynamodb = aws.client("dynamodb")
    key = {"pk": {"S": "OWNER#team-a"}, "sk": {"S": "IDEMPOTENCY#one"}}

    def give_back(**_: Any) -> None:
        dynamodb.delete_item(TableName="slipway-records", Key=key)

    dynamodb.meta.events.register("before-call.dynamodb.GetItem", give_back)
    assert once(request_of(), Work()) == ANSWER


def test_a_dead_functions_claim_expires(clock: Clock) -> None:
    died_at_work(request_of())
    clock.advance(seconds=CLAIMED.total_seconds() - 1)
    with pytest.raises(IdempotencyKeyInUse):
        once(request_of(), Work())
    clock.advance(seconds=1)
    assert once(request_of(), Work()) == ANSWER


def test_a_claim_lasts_longer_than_the_function_can_run() -> None:
    assert function_config(ROOT, "api_handler")["lambda_timeout"] < CLAIMED.total_seconds()


def test_a_request_that_lost_its_claim_does_not_overwrite_the_response(clock: Clock) -> None:
    def slow() -> Answer:
        clock.advance(seconds=CLAIMED.total_seconds())
        once(request_of(), Work(Answer(200)))
        return ANSWER

    assert once(request_of(), slow) == ANSWER
    assert once(request_of(), Work()) == Answer(200)


def test_a_request_that_lost_its_claim_does_not_release_another_claim(clock: Clock) -> None:
    def slow() -> Answer:
        clock.advance(seconds=CLAIMED.total_seconds())
        once(request_of(), Work(Answer(200)))
        raise NotFound("gone")

    with pytest.raises(NotFound):
        once(request_of(), slow)
    assert once(request_of(), Work()) == Answer(200)


# --- responses that are not stored -----------------------------------------------------------


@pytest.mark.parametrize("error", [NotFound("x"), RuntimeError("x")])
def test_a_failed_request_is_not_stored(clock: Clock, error: Exception) -> None:
    def work() -> Answer:
        raise error

    with pytest.raises(type(error)):
        once(request_of(), work)
    assert once(request_of(body=b"fixed"), Work()) == ANSWER


def test_a_response_that_is_not_2xx_is_not_stored(clock: Clock) -> None:
    assert once(request_of(), Work(Answer(404))) == Answer(404)
    assert once(request_of(), Work()) == ANSWER


def test_accepted_work_is_reported_even_if_its_response_cannot_be_stored(clock: Clock) -> None:
    def work() -> Answer:
        aws.client("dynamodb").delete_table(TableName="slipway-records")
        return ANSWER

    assert once(request_of(), work) == ANSWER


def test_a_refusal_is_reported_even_if_its_claim_cannot_be_released(clock: Clock) -> None:
    def work() -> Answer:
        aws.client("dynamodb").delete_table(TableName="slipway-records")
        raise NotFound("gone")

    with pytest.raises(NotFound):
        once(request_of(), work)


# --- keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["!", "~" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"'])
def test_a_key_is_visible_ascii(clock: Clock, key: str) -> None:
    assert once(request_of(key), Work()) == ANSWER
    assert once(request_of(key), Work(Answer(200))) == ANSWER


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é", "a\n", "\x7f"])
def test_an_invalid_key_is_refused(clock: Clock, key: str) -> None:
    work = Work()
    with pytest.raises(ValidationFailed) as refused:
        once(request_of(key), work)
    assert [fault["field"] for fault in refused.value.errors] == ["Idempotency-Key"]
    assert work.times == 0


# --- over the API ----------------------------------------------------------------------------


def executions_started() -> int:
    machine = aws.client("stepfunctions").list_state_machines()["stateMachines"][0]
    arn = machine["stateMachineArn"]
    return len(aws.client("stepfunctions").list_executions(stateMachineArn=arn)["executions"])


def is_same(one: Answered, other: Answered) -> bool:
    return (one.status, one.headers, one.text) == (other.status, other.headers, other.text)


def test_a_repeated_create_gets_the_first_response_and_starts_nothing(gateway: Gateway) -> None:
    first = gateway.post("/deployments", body_of(), headers=KEY)
    again = gateway.post("/deployments", body_of(), headers=KEY)
    assert first.status == 202
    assert {"location", "etag", "retry-after"} <= set(first.headers)
    assert is_same(first, again)
    assert executions_started() == 1
    assert len(gateway.get("/deployments").json["deployments"]) == 1


def test_a_repeated_patch_gets_the_first_response(gateway: Gateway) -> None:
    found = gateway.post("/deployments", body_of()).json["id"]
    store.update(found, lambda deployment: deployment.activate(MOMENT, 0.04))
    first, again = (
        gateway.patch(f"/deployments/{found}", {"count": 2}, headers=KEY) for _ in range(2)
    )
    assert first.status == 202
    assert is_same(first, again)
    assert executions_started() == 2


@pytest.mark.parametrize("ending", ["retry", "rollback", "extend", "pause", "resume"])
def test_a_refused_request_is_not_stored(gateway: Gateway, ending: str) -> None:
    path = f"/deployments/not-there/{ending}"
    body = {"ttl": "8h"} if ending == "extend" else None
    assert gateway.post(path, body, headers=KEY).status == 404
    assert gateway.post("/deployments", body_of(), headers=KEY).status == 202


def test_a_repeated_extension_extends_once(gateway: Gateway) -> None:
    path = f"/deployments/{gateway.post('/deployments', body_of()).json['id']}/extend"
    first, again = (gateway.post(path, {"ttl": "8h"}, headers=KEY) for _ in range(2))
    assert first.status == 200
    assert is_same(first, again)


def test_another_body_is_a_problem_that_names_the_header(gateway: Gateway) -> None:
    gateway.post("/deployments", body_of(), headers=KEY)
    answer = gateway.post("/deployments", body_of(name="another"), headers=KEY)
    assert (answer.status, answer.code) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert answer.fields == ["Idempotency-Key"]


def test_the_scope_is_checked_before_the_key(gateway: Gateway) -> None:
    gateway.post("/deployments", body_of(), headers=KEY)
    answer = gateway.post("/deployments", body_of(), headers=KEY, caller="reader")
    assert (answer.status, answer.code) == (403, "FORBIDDEN")


def test_no_token_is_stored(gateway: Gateway) -> None:
    """The table may contain only the hash of a token."""
    wanted = {"owner": "team-a", "scopes": ["read"]}
    gateway.post("/tokens", wanted, caller="admin", headers=KEY)
    items = aws.client("dynamodb").scan(TableName="slipway-records")["Items"]
    assert "slw_" not in json.dumps(items, default=str)
