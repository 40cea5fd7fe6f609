import html
import re
from typing import Any

import botocore.exceptions
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chalicelib.platform import aws, shared_secrets
from chalicelib.routes import ROUTES
from chalicelib.slack import endpoints as slack
from chalicelib.slack import owners
from chalicelib.store import table, work
from tests.support import slack_request
from tests.support.gateway import Answered, Gateway
from tests.support.slack_request import CHANNEL, RESPONSE_URL, USER, command, post, press, signed
from tests.unit.slack import slack_hostile
from tests.unit.slack.slack_hostile import COMMANDS, HINT, ID, INTERACTIONS, Hostile

HOSTILE = list(slack_hostile.requests())
BODY = {"owner": "team-a"}


@pytest.fixture
def slack_app(table: str) -> None:
    """Slack is set up, and team-a's channel mapped."""
    slack_request.set_up()
    owners.put(CHANNEL, "team-a", ["read", "deploy"], True)


def inbox() -> list[dict[str, Any]]:
    keys = work.list_due(work.CHAT_WORKER)
    return [item for key in keys if (item := table.get_item(*key))]


def told(answer: Answered) -> str:
    """What Slack shows to who asked, and to nobody else."""
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json["response_type"] == "ephemeral"
    return html.unescape(answer.json["text"])


# --- commands ------------------------------------------------------------------------------


@pytest.mark.usefixtures("slack_app")
def test_a_command_is_acknowledged_and_left_to_the_worker() -> None:
    answer = post(COMMANDS, command("deploy recommend:1  name=shop"))
    assert told(answer) == "Command received: deploy recommend:1 name=shop"
    [item] = inbox()
    kept = {name: item[name] for name in ("user", "channel", "text", "response_url", "team")}
    assert kept == {
        "user": USER,
        "channel": CHANNEL,
        "text": "deploy recommend:1  name=shop",
        "response_url": RESPONSE_URL,
        "team": "T0SLIP",
    }
    assert not {"trigger_id", "token", "user_name"} & set(item)


@pytest.mark.usefixtures("slack_app")
def test_acknowledging_takes_a_read_of_secrets_and_two_calls_of_the_table(
    aws_calls: list[str],
) -> None:
    for secrets_read in (["ssm.GetParameters"], []):
        aws_calls.clear()
        if secrets_read:
            shared_secrets.forget()
        told(post(COMMANDS, command("list", trigger_id=str(secrets_read))))
        calls = ["dynamodb.BatchGetItem", "dynamodb.TransactWriteItems"]
        assert aws_calls == secrets_read + calls


@pytest.mark.usefixtures("slack_app")
@pytest.mark.parametrize(
    "text", ["", "help", "help deploy", "dploy recommend:1", "scale shop many"]
)
def test_help_and_hints_are_the_answer_itself(text: str, aws_calls: list[str]) -> None:
    answer = told(post(COMMANDS, command(text)))
    assert "`/slipway deploy " in answer or "`/slipway scale " in answer
    assert aws_calls == ["ssm.GetParameters"]
    assert inbox() == []


@pytest.mark.usefixtures("slack_app")
def test_what_was_typed_neither_mentions_nor_links() -> None:
    answer = post(COMMANDS, command("status <!channel>"))
    assert "<" not in answer.json["text"]


@pytest.mark.usefixtures("slack_app")
def test_who_is_not_mapped_is_told_who_he_is_and_what_to_ask_for() -> None:
    answer = told(post(COMMANDS, command("list", user_id="U0MALLORY", channel_id="C0OTHER")))
    for part in ("U0MALLORY", "C0OTHER", "admin", "PUT /slack/owners/C0OTHER", '{"owner": "..."}'):
        assert part in answer
    assert inbox() == []


@pytest.mark.usefixtures("slack_app")
def test_a_user_who_is_mapped_may_ask_from_anywhere() -> None:
    owners.put("U0BOB", "team-b", ["read"], False)
    told(post(COMMANDS, command("list", user_id="U0BOB", channel_id="D0BOB")))
    assert [item["user"] for item in inbox()] == ["U0BOB"]


@pytest.mark.usefixtures("slack_app")
def test_a_replay_is_refused_and_starts_nothing() -> None:
    body = command("deploy recommend:1")
    headers = signed(body)
    told(post(COMMANDS, body, headers))
    again = post(COMMANDS, body, headers)
    assert (again.status, again.code) == (401, "UNAUTHENTICATED")
    assert len(inbox()) == 1


@pytest.mark.usefixtures("slack_app")
def test_the_same_words_a_second_time_are_another_request() -> None:
    for trigger in ("1", "2"):
        told(post(COMMANDS, command("deploy recommend:1", trigger_id=trigger)))
    assert len(inbox()) == 2


@pytest.mark.usefixtures("slack_app")
def test_a_response_url_that_leads_elsewhere_is_not_kept() -> None:
    told(post(COMMANDS, command("list", response_url="https://example.com/steal")))
    [item] = inbox()
    assert "response_url" not in item


@pytest.mark.usefixtures("slack_app")
def test_while_aws_throttles_the_user_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def throttled(**_: Any) -> None:
        said = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}
        raise botocore.exceptions.ClientError(said, "BatchGetItem")

    monkeypatch.setattr(aws.client("dynamodb"), "batch_get_item", throttled)
    assert told(post(COMMANDS, command("list"))) == slack.UNAVAILABLE
    assert inbox() == []


@pytest.mark.usefixtures("slack_app")
def test_it_is_read_as_it_came_in_however_the_gateway_hands_it_on() -> None:
    """Upper or lower case of the headers' names, and base64."""
    body = command("list")
    lower = [(name.lower(), value) for name, value in signed(body)]
    told(post(COMMANDS, body, lower))
    encoded = command("list", user_name="José").replace(b"+", b"%20")
    told(post(COMMANDS, encoded, signed(encoded)))
    assert len(inbox()) == 2


@pytest.mark.usefixtures("slack_app")
def test_a_key_of_idempotency_has_no_effect_where_there_is_no_token() -> None:
    """Else anybody could write into the table, and lock others out."""
    before = aws.client("dynamodb").scan(TableName="slipway-records")["Count"]
    for key in ("k", "not a key"):
        answer = post(COMMANDS, command(), [("Idempotency-Key", key)])
        assert answer.status == 401
    assert aws.client("dynamodb").scan(TableName="slipway-records")["Count"] == before


# --- buttons -------------------------------------------------------------------------------


@pytest.mark.usefixtures("slack_app")
@pytest.mark.parametrize("button", ["delete", "retry", "cancel"])
def test_a_button_is_acknowledged_with_nothing_and_left_to_the_worker(
    button: str, aws_calls: list[str]
) -> None:
    answer = post(INTERACTIONS, press(button, ID))
    assert (answer.status, answer.text) == (200, "")
    assert aws_calls == ["ssm.GetParameters", "dynamodb.TransactWriteItems"]
    [item] = inbox()
    assert (item["button"], item["text"]) == (button, ID)
    assert (item["user"], item["channel"]) == (USER, CHANNEL)
    assert item["response_url"] == RESPONSE_URL


@pytest.mark.usefixtures("slack_app")
def test_a_replayed_button_is_refused() -> None:
    body = press("delete", ID)
    headers = signed(body)
    assert post(INTERACTIONS, body, headers).status == 200
    assert post(INTERACTIONS, body, headers).status == 401
    assert len(inbox()) == 1


@pytest.mark.usefixtures("slack_app")
def test_a_button_that_cannot_be_written_down_is_not_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def throttled(**_: Any) -> None:
        said = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}
        raise botocore.exceptions.ClientError(said, "TransactWriteItems")

    monkeypatch.setattr(aws.client("dynamodb"), "transact_write_items", throttled)
    answer = post(INTERACTIONS, press("delete", ID))
    assert (answer.status, answer.code) == (503, "AWS_UNAVAILABLE")


# --- what Slack would not send -------------------------------------------------------------


@pytest.mark.usefixtures("slack_app")
@pytest.mark.parametrize("sent", HOSTILE, ids=lambda each: each.what)
def test_a_hostile_request(sent: Hostile) -> None:
    answer = post(sent.path, sent.body, sent.headers(sent.body), method=sent.method)

    status, text = sent.answer
    assert answer.status == status
    assert inbox() == []
    if status == 401:
        assert answer.code == "UNAUTHENTICATED"
        assert answer.headers["www-authenticate"] == "Slack-Signature"
    if sent.answer == HINT:
        assert "`" in told(answer)
    elif status == 200:
        assert (told(answer) if text else answer.text) == text


def test_the_page_has_them_all() -> None:
    assert len({each.what for each in HOSTILE}) == len(HOSTILE) >= 40
    assert slack_hostile.table() in slack_hostile.PAGE.read_text(), (
        "hostile-requests.md is out of date: python -m tests.unit.slack.slack_hostile"
    )


def test_the_page_says_where_the_requests_go_and_what_is_refused() -> None:
    page = (slack_hostile.ROOT / "docs" / "slack.md").read_text()
    paths = set(re.findall(r"<api>(/slack/[a-z]+)$", page, re.MULTILINE))
    assert paths == {COMMANDS, INTERACTIONS}
    assert paths <= {each.path for each in ROUTES}
    assert owners.refusal(USER, CHANNEL) in " ".join(page.replace(">", " ").split())


@pytest.mark.usefixtures("table")
def test_without_a_signing_secret_all_is_refused() -> None:
    assert post(COMMANDS, command()).status == 401
    assert post(INTERACTIONS, press("delete", ID)).status == 401


VALUES = st.one_of(st.text(max_size=80), st.sampled_from(["", "0", "v0=" + "0" * 64]))
NAMES = st.sampled_from(
    [slack_request.TIMESTAMP, slack_request.SIGNATURE, "Content-Type", "Content-Encoding"]
)
HEADERS = st.lists(st.tuples(NAMES | st.text(min_size=1, max_size=20), VALUES), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "user", "channel", "actions", "id", "action_id", "value"]),
            inner,
        )
    ),
    max_leaves=12,
)
FUZZ = hypothesis_settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.usefixtures("slack_app")
@FUZZ
@given(path=st.sampled_from([COMMANDS, INTERACTIONS]), headers=HEADERS, body=st.binary())
def test_whatever_is_not_signed_is_401(
    path: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    assert post(path, body, headers).status == 401


@pytest.mark.usefixtures("slack_app")
@FUZZ
@given(
    path=st.sampled_from([COMMANDS, INTERACTIONS]),
    body=st.one_of(
        st.binary(),
        st.text(max_size=60).map(command),
        JSON.map(slack_request.interaction),
        JSON.map(lambda value: press("delete", ID, user=value)),
        JSON.map(lambda value: press("delete", ID, actions=[value])),
        JSON.map(lambda value: press("delete", ID, response_url=value, channel={"id": value})),
    ),
)
def test_whatever_is_signed_is_200_or_no_text(path: str, body: bytes) -> None:
    """401 for what is not UTF-8, or was sent before."""
    assert post(path, body).status in (200, 401)


# --- for whom --------------------------------------------------------------------------------


def put(gateway: Gateway, slack_id: str, body: Any = None, caller: str = "admin") -> Answered:
    return gateway.send("PUT", f"/slack/owners/{slack_id}", body or BODY, caller=caller)


def test_a_channel_is_mapped_listed_and_taken_away(gateway: Gateway) -> None:
    made = put(gateway, "C0TEAMA")
    assert made.status == 201
    assert made.json == {
        "id": "C0TEAMA",
        "owner": "team-a",
        "scopes": ["read", "deploy"],
        "announce": True,
        "created_at": made.json["created_at"],
    }
    assert gateway.get("/slack/owners", caller="admin").json == {"owners": [made.json]}
    assert gateway.delete("/slack/owners/C0TEAMA", caller="admin").status == 204
    assert gateway.delete("/slack/owners/C0TEAMA", caller="admin").code == "NOT_FOUND"
    assert gateway.get("/slack/owners", caller="admin").json == {"owners": []}


def test_a_mapping_is_replaced(gateway: Gateway) -> None:
    put(gateway, "C0TEAMA")
    again = put(gateway, "C0TEAMA", {"owner": "team-b", "scopes": ["read"], "announce": False})
    assert (again.status, again.json["owner"], again.json["scopes"]) == (200, "team-b", ["read"])
    assert again.json["announce"] is False


def test_a_user_is_mapped_and_nothing_is_announced_to_him(gateway: Gateway) -> None:
    assert put(gateway, "U0ALICE").json["announce"] is False
    assert put(gateway, "W0ALICE", {**BODY, "announce": False}).status == 201
    answer = put(gateway, "U0ALICE", {**BODY, "announce": True})
    assert (answer.status, answer.fields) == (422, ["announce"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "owner"),
        ({"owner": "Team A"}, "owner"),
        ({"owner": 7}, "owner"),
        ({**BODY, "scopes": ["admin"]}, "scopes.0"),
        ({**BODY, "scopes": ["read", "admin"]}, "scopes.1"),
        ({**BODY, "scopes": []}, "scopes"),
        ({**BODY, "scopes": ["deploy"]}, "scopes"),
        ({**BODY, "scopes": ["read", "read"]}, "scopes"),
        ({**BODY, "announce": "yes"}, "announce"),
        ({**BODY, "channel": "C0"}, "channel"),
    ],
)
def test_a_fault_of_a_mapping_is_named(gateway: Gateway, body: Any, field: str) -> None:
    answer = gateway.send("PUT", "/slack/owners/C0TEAMA", body, caller="admin")
    assert (answer.status, answer.fields) == (422, [field])
    assert owners.list_mappings() == []


@pytest.mark.parametrize(
    "slack_id", ["alice", "u0alice", "U", "T0SLIP", "C0%23X", "C" + "0" * 21, "C0%0A", "%C3%89"]
)
def test_what_is_no_id_of_slacks(gateway: Gateway, slack_id: str) -> None:
    answer = put(gateway, slack_id)
    assert (answer.status, answer.fields) == (422, ["slack_id"])
    assert gateway.delete(f"/slack/owners/{slack_id}", caller="admin").code == "NOT_FOUND"


@pytest.mark.parametrize("caller", ["team-a", "reader", "deployer"])
def test_only_an_admin_maps(gateway: Gateway, caller: str) -> None:
    for answer in (
        put(gateway, "C0TEAMA", caller=caller),
        gateway.get("/slack/owners", caller=caller),
        gateway.delete("/slack/owners/C0TEAMA", caller=caller),
    ):
        assert (answer.status, answer.code) == (403, "FORBIDDEN")


def test_a_revoked_admin_maps_nobody(gateway: Gateway) -> None:
    gateway.delete(f"/tokens/{gateway.authorize('admin')['token_id']}", caller="admin")
    assert put(gateway, "C0TEAMA").status == 401
    assert owners.list_mappings() == []


def test_who_mapped_what_is_logged(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    admin = gateway.authorize("admin")["token_id"]
    with caplog.at_level("INFO", "slipway"):
        put(gateway, "C0TEAMA")
        gateway.delete("/slack/owners/C0TEAMA", caller="admin")
    lines = [vars(record) for record in caplog.records]
    assert [(line["msg"], line["slack_id"], line["by_token"]) for line in lines] == [
        ("slack id mapped", "C0TEAMA", admin),
        ("slack id unmapped", "C0TEAMA", admin),
    ]
