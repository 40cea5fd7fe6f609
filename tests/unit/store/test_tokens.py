import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.domain.errors import NotFound, Retryable
from chalicelib.platform import aws
from chalicelib.platform.clock import now, rfc3339
from chalicelib.store import tokens
from chalicelib.store.table import get_item
from tests.support.builders import MOMENT

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def issue(
    table: str, owner: str = "team-a", scopes: list[str] | None = None, **times: datetime
) -> tuple[str, str]:
    return tokens.issue(
        table_name=table,
        owner=owner,
        scopes=["read"] if scopes is None else scopes,
        client=aws.client("dynamodb"),
        **times,
    )


def items(table: str) -> list[dict[str, Any]]:
    return list(aws.client("dynamodb").scan(TableName=table)["Items"])


def known(token: str) -> tokens.Token:
    stored = tokens.find(token)
    assert stored is not None
    return stored


def last_uses(token: str) -> list[str | None]:
    """The last use in the authorizer's item and in the list's item."""
    [listed] = [listed for listed in tokens.list_tokens() if listed.id == known(token).id]
    return [known(token).last_used_at, listed.last_used_at]


def test_an_issued_token_is_found_with_its_owner_and_scopes(table: str) -> None:
    token_id, token = issue(table, scopes=["read", "deploy"])
    caller = tokens.Caller("team-a", frozenset({"read", "deploy"}), token_id)
    assert known(token).caller == caller


def test_only_the_hash_is_stored(table: str) -> None:
    _, token = issue(table)
    stored = json.dumps(items(table))
    assert token not in stored
    assert token.removeprefix(tokens.PREFIX) not in stored
    assert tokens.token_hash(token) in stored


@pytest.mark.parametrize("token", ["", "slw_", "slw_unknown", "é", "x" * 10_000])
def test_an_unknown_token_has_no_caller(table: str, token: str) -> None:
    issue(table)
    assert tokens.find(token) is None


def test_neither_the_hash_nor_the_id_is_a_token(table: str) -> None:
    token_id, token = issue(table)
    assert tokens.find(tokens.token_hash(token)) is None
    assert tokens.find(token_id) is None


def test_tokens_differ(table: str) -> None:
    made = [issue(table) for _ in range(5)]
    assert len({token for _, token in made}) == len({token_id for token_id, _ in made}) == 5


@pytest.mark.parametrize("scopes", [[], ["write"], ["read", "root"]])
def test_unknown_scopes_are_refused(table: str, scopes: list[str]) -> None:
    with pytest.raises(ValueError, match="scopes must be one or more of"):
        issue(table, scopes=scopes)


@pytest.mark.parametrize("owner", ["", "Team", "a b", "a#b", "-a", "a-", "é", "a\n", "a" * 64])
def test_a_token_needs_an_owner_that_can_be_a_key_and_a_tag(table: str, owner: str) -> None:
    with pytest.raises(ValueError, match="owner must have 1 to 63 characters"):
        issue(table, owner=owner)
    assert items(table) == []


@pytest.mark.parametrize("owner", ["a", "team-a", "ci.team_1", "9" * 63])
def test_valid_owners_are_accepted(table: str, owner: str) -> None:
    assert known(issue(table, owner=owner)[1]).owner == owner


def test_admin_is_a_scope() -> None:
    assert tokens.Caller("x", frozenset({"admin"}), "t").is_admin
    assert not tokens.Caller("x", frozenset({"read", "deploy"}), "t").is_admin


def test_a_token_is_expired_from_its_expiry_on() -> None:
    end = rfc3339(MOMENT)
    assert not tokens.has_expired(end, MOMENT - timedelta(milliseconds=1))
    assert tokens.has_expired(end, MOMENT)
    assert not tokens.has_expired(None, MOMENT)


def test_the_table_purges_both_items_of_a_token_only_if_it_expires(
    table: str,
) -> None:
    issue(table)
    assert [item.get("purge_at") for item in items(table)] == [None, None]
    issue(table, expires_at=MOMENT)
    purged = {int(i["purge_at"]["N"]) for i in items(table) if "purge_at" in i}
    assert purged == {int((MOMENT + tokens.KEPT_EXPIRED).timestamp())}
    assert len([i for i in items(table) if "purge_at" in i]) == 2


def test_queries_list_tokens_newest_first(table: str, aws_calls: list[str]) -> None:
    made = [issue(table, owner=f"o{n}", created_at=MOMENT + n * HOUR)[0] for n in (1, 2, 0)]
    aws_calls.clear()
    listed = tokens.list_tokens()
    assert set(aws_calls) == {"dynamodb.Query"}
    assert [token.id for token in listed] == [made[1], made[0], made[2]]
    assert [token.owner for token in listed] == ["o2", "o1", "o0"]


def test_the_list_continues_after_a_dynamodb_page(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {issue(table)[0] for _ in range(5)}
    client = aws.client("dynamodb")
    paginator = client.get_paginator("query")
    paginate = paginator.paginate

    def small(**request: Any) -> Any:
        return paginate(**request, PaginationConfig={"PageSize": 2})

    monkeypatch.setattr(paginator, "paginate", small)
    monkeypatch.setattr(client, "get_paginator", lambda _: paginator)
    assert {token.id for token in tokens.list_tokens()} == made


def test_a_revoked_token_leaves_nothing(table: str, aws_calls: list[str]) -> None:
    token_id, token = issue(table)
    other_id, other = issue(table)
    aws_calls.clear()
    tokens.revoke(token_id)
    assert aws_calls == ["dynamodb.GetItem", "dynamodb.TransactWriteItems"]
    assert tokens.find(token) is None
    assert not tokens.exists(token_id)
    assert tokens.exists(other_id)
    assert known(other).id == other_id
    assert len(items(table)) == 2


def test_a_token_is_revoked_once(table: str) -> None:
    token_id, _ = issue(table)
    tokens.revoke(token_id)
    with pytest.raises(NotFound, match=token_id):
        tokens.revoke(token_id)


@pytest.mark.parametrize("token_id", ["", "tok_", "tok_" + "0" * 16, "x" * 2000, "\0", "TOKEN"])
def test_an_unknown_token_cannot_be_revoked(table: str, token_id: str) -> None:
    issue(table)
    with pytest.raises(NotFound):
        tokens.revoke(token_id)
    assert not tokens.exists(token_id)


def test_only_one_of_two_concurrent_requests_revokes(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token_id, _ = issue(table)
    item = get_item("TOKENS", token_id)
    tokens.revoke(token_id)
    monkeypatch.setattr("chalicelib.store.table.get_item", lambda *_, **__: item)
    with pytest.raises(NotFound):
        tokens.revoke(token_id)


def test_a_half_purged_token_can_be_revoked(table: str) -> None:
    token_id, token = issue(table, expires_at=MOMENT)
    key = {"pk": {"S": f"TOKEN#{tokens.token_hash(token)}"}, "sk": {"S": "TOKEN"}}
    aws.client("dynamodb").delete_item(TableName=table, Key=key)
    tokens.revoke(token_id)
    assert items(table) == []


def test_a_concurrently_written_token_is_revoked_by_a_retry(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token_id, _ = issue(table)
    client = aws.client("dynamodb")

    def conflict(**_: Any) -> None:
        response = {
            "Error": {"Code": "TransactionCanceledException", "Message": ""},
            "CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}],
        }
        raise client.exceptions.TransactionCanceledException(response, "TransactWriteItems")

    with monkeypatch.context() as patch:
        patch.setattr(client, "transact_write_items", conflict)
        with pytest.raises(Retryable, match="is not revoked, because it is being written"):
            tokens.revoke(token_id)
    tokens.revoke(token_id)


def test_the_first_use_is_recorded_in_the_lists_item(table: str) -> None:
    _, token = issue(table)
    assert last_uses(token) == [None, None]
    tokens.note_use(token, known(token), MOMENT)
    assert last_uses(token) == [rfc3339(MOMENT)] * 2


def test_uses_within_the_hour_are_not_written(table: str, aws_calls: list[str]) -> None:
    _, token = issue(table)
    tokens.note_use(token, known(token), MOMENT)
    noted = known(token)
    aws_calls.clear()
    tokens.note_use(token, noted, MOMENT + HOUR - timedelta(milliseconds=1))
    assert aws_calls == []
    tokens.note_use(token, noted, MOMENT + HOUR)
    assert last_uses(token) == [rfc3339(MOMENT + HOUR)] * 2


def test_recording_a_use_does_not_restore_a_revoked_token(table: str) -> None:
    token_id, token = issue(table)
    before = known(token)
    tokens.revoke(token_id)
    tokens.note_use(token, before, MOMENT)
    assert items(table) == []


def test_a_half_recorded_use_is_completed_at_the_next_use(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, token = issue(table)
    client = aws.client("dynamodb")
    update = client.update_item

    def half(**request: Any) -> Any:
        if request["Key"]["pk"]["S"] != "TOKENS":
            raise TimeoutError("no answer")
        return update(**request)

    with monkeypatch.context() as patch:
        patch.setattr(client, "update_item", half)
        tokens.note_use(token, known(token), MOMENT)
    assert last_uses(token) == [None, rfc3339(MOMENT)]
    tokens.note_use(token, known(token), MOMENT + DAY)
    assert last_uses(token) == [rfc3339(MOMENT + DAY)] * 2


def test_created_at_is_now_by_default(table: str) -> None:
    before = rfc3339(now())
    _, token = issue(table)
    assert before <= known(token).created_at <= rfc3339(now())
