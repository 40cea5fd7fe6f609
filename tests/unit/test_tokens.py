import json

import pytest

from chalicelib import aws, tokens


def issue(table: str, owner: str = "team-a", scopes: list[str] | None = None) -> tuple[str, str]:
    return tokens.issue(
        table_name=table,
        owner=owner,
        scopes=["read"] if scopes is None else scopes,
        client=aws.client("dynamodb"),
    )


def test_an_issued_token_is_found_with_its_owner_and_scopes(table: str) -> None:
    token_id, token = issue(table, scopes=["read", "deploy"])
    assert tokens.find(token) == tokens.Caller("team-a", frozenset({"read", "deploy"}), token_id)


def test_only_the_hash_is_stored(table: str) -> None:
    _, token = issue(table)
    stored = json.dumps(aws.client("dynamodb").scan(TableName=table)["Items"])
    assert token not in stored
    assert token.removeprefix(tokens.PREFIX) not in stored
    assert tokens.token_hash(token) in stored


@pytest.mark.parametrize("token", ["", "slw_", "slw_unknown", "é", "x" * 10_000])
def test_an_unknown_token_is_nobody(table: str, token: str) -> None:
    issue(table)
    assert tokens.find(token) is None


def test_the_hash_itself_is_no_token(table: str) -> None:
    _, token = issue(table)
    assert tokens.find(tokens.token_hash(token)) is None


def test_tokens_differ(table: str) -> None:
    made = [issue(table) for _ in range(5)]
    assert len({token for _, token in made}) == len({token_id for token_id, _ in made}) == 5


@pytest.mark.parametrize("scopes", [[], ["write"], ["read", "root"]])
def test_unknown_scopes_are_refused(table: str, scopes: list[str]) -> None:
    with pytest.raises(ValueError, match="scopes must be some of"):
        issue(table, scopes=scopes)


def test_a_token_needs_an_owner(table: str) -> None:
    with pytest.raises(ValueError, match="owner"):
        issue(table, owner="")


def test_admin_is_a_scope() -> None:
    assert tokens.Caller("x", frozenset({"admin"}), "t").is_admin
    assert not tokens.Caller("x", frozenset({"read", "deploy"}), "t").is_admin
