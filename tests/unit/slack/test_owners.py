import pytest

from chalicelib.domain.errors import NotFound
from chalicelib.platform import aws
from chalicelib.slack import owners

pytestmark = pytest.mark.usefixtures("table")
USER, CHANNEL = "U0ALICE", "C0TEAMA"


def put(slack_id: str, owner: str, *scopes: str, announce: bool = True) -> None:
    owners.put(slack_id, owner, list(scopes or owners.GRANTED), announce)


def test_there_are_no_mappings_at_first() -> None:
    assert owners.owner_of(USER, CHANNEL) is None
    assert owners.list_mappings() == []
    assert owners.channels_of("team-a") == []


def test_a_user_acts_for_the_owner_in_any_channel() -> None:
    put(USER, "team-a")
    caller = owners.owner_of(USER, CHANNEL)
    assert caller is not None
    assert (caller.owner, caller.scopes) == ("team-a", {"read", "deploy"})
    assert caller.token_id == f"slack:{USER}"
    assert owners.owner_of("U0BOB", CHANNEL) is None


def test_the_channels_mapping_takes_precedence() -> None:
    put(USER, "team-a")
    put(CHANNEL, "team-b", "read")
    caller = owners.owner_of(USER, CHANNEL)
    assert caller is not None
    assert (caller.owner, caller.scopes) == ("team-b", {"read"})
    elsewhere = owners.owner_of(USER, "C0OTHER")
    assert elsewhere is not None
    assert elsewhere.owner == "team-a"


def test_finding_the_owner_takes_one_consistent_read(aws_calls: list[str]) -> None:
    owners.owner_of(USER, CHANNEL)
    assert aws_calls == ["dynamodb.BatchGetItem"]


def test_the_channels_that_announce_are_found_by_one_query(aws_calls: list[str]) -> None:
    for channel in ("C0TEAMA", "G0TEAMA", "D0ALICE"):
        put(channel, "team-a")
    put("C0QUIET", "team-a", announce=False)
    put("C0OTHER", "team-b")
    put(USER, "team-a", announce=True)  # the endpoint refuses this
    put("W0ALICE", "team-a", announce=True)
    aws_calls.clear()
    assert owners.channels_of("team-a") == ["C0TEAMA", "D0ALICE", "G0TEAMA"]
    assert aws_calls == ["dynamodb.Query"]


def test_a_mapping_is_replaced_and_keeps_its_age() -> None:
    first, is_new = owners.put(CHANNEL, "team-a", ["read"], True)
    assert is_new
    second, is_new = owners.put(CHANNEL, "team-b", ["deploy", "read"], False)
    assert not is_new
    assert second.created_at == first.created_at
    assert owners.list_mappings() == [second]
    assert (second.owner, second.scopes, second.announce) == ("team-b", ("read", "deploy"), False)


def test_a_deleted_mapping_does_not_apply() -> None:
    put(CHANNEL, "team-a")
    owners.delete(CHANNEL)
    assert owners.owner_of(USER, CHANNEL) is None
    with pytest.raises(NotFound):
        owners.delete(CHANNEL)


def test_concurrent_changes_of_a_mapping_are_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another request writes between the read and the write."""
    from chalicelib.store import table

    look, others = table.get_item, [lambda: put(CHANNEL, "team-b"), lambda: owners.delete(CHANNEL)]

    def slowly(pk: str, sk: str) -> object:
        found = look(pk, sk)
        if others:
            monkeypatch.setattr(table, "get_item", look)
            others.pop(0)()
            monkeypatch.setattr(table, "get_item", slowly)
        return found

    monkeypatch.setattr(table, "get_item", slowly)
    mapping, _ = owners.put(CHANNEL, "team-a", ["read"], True)
    assert others == []
    assert owners.list_mappings() == [mapping]
    assert mapping.owner == "team-a"


def test_mappings_are_in_no_list_of_deployments() -> None:
    put(CHANNEL, "team-a")
    for index in ("by_owner", "everything", "due"):
        found = aws.client("dynamodb").scan(TableName="slipway-records", IndexName=index)
        assert found["Items"] == []
