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
    """Slack is set up, and team-a's channel is mapped."""
    slack_request.set_up()
    owners.put(CHANNEL, "team-a", ["read", "deploy"], True)


def inbox() -> list[dict[str, Any]]:
    keys = work.list_due(work.CHAT_WORKER)
    return [item for key in keys if (item := table.get_item(*key))]


def ephemeral_text(answer: Answered) -> str:
    """The text that Slack shows only to the user of the command."""
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json["response_type"] == "ephemeral"
    return html.unescape(answer.json["text"])


# --- commands ------------------------------------------------------------------------------


@pytest.mark.usefixtures("slack_app")
def test_a_command_is_acknowledged_and_passed_to_the_worker() -> None:
    answer = post(COMMANDS, command("deploy recommend:1  name=shop"))
    assert ephemeral_text(answer) == "Command received: deploy recommend:1 name=shop"
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
def test_an_acknowledgement_takes_one_read_of_secrets_and_two_table_calls(
    aws_calls: list[str],
) -> None:
    for secrets_read in (["ssm.GetParameters"], []):
        aws_calls.clear()
        if secrets_read:
            shared_secrets.forget()
        ephemeral_text(post(COMMANDS, command("list", trigger_id=str(secrets_read))))
        calls = ["dynamodb.BatchGetItem", "dynamodb.TransactWriteItems"]
        assert aws_calls == secrets_read + calls


@pytest.mark.usefixtures("slack_app")
@pytest.mark.parametrize(
    "text", ["", "help", "help deploy", "dploy recommend:1", "scale shop many"]
)
def test_help_and_hints_are_in_the_response(text: str, aws_calls: list[str]) -> None:
    answer = ephemeral_text(post(COMMANDS, command(text)))
    assert "`/slipway deploy " in answer or "`/slipway scale " in answer
    assert aws_calls == ["ssm.GetParameters"]
    assert inbox() == []


@pytest.mark.usefixtures("slack_app")
def test_the_users_text_cannot_mention_or_link() -> None:
    answer = post(COMMANDS, command("status <!channel>"))
    assert "<" not in answer.json["text"]


@pytest.mark.usefixtures("slack_app")
def test_an_unmapped_user_gets_their_id_and_what_to_request() -> None:
    answer = ephemeral_text(
        post(COMMANDS, command("list", user_id="U0MALLORY", channel_id="C0OTHER"))
    )
    for part in ("U0MALLORY", "C0OTHER", "admin", "PUT /slack/owners/C0OTHER", '{"owner": "..."}'):
        assert part in answer
    assert inbox() == []


@pytest.mark.usefixtures("slack_app")
def test_a_mapped_user_can_use_any_channel() -> None:
    owners.put("U0BOB", "team-b", ["read"], False)
    ephemeral_text(post(COMMANDS, command("list", user_id="U0BOB", channel_id="D0BOB")))
    assert [item["user"] for item in inbox()] == ["U0BOB"]


@pytest.mark.usefixtures("slack_app")
def test_a_replay_is_refused_and_starts_nothing() -> None:
    body = command("deploy recommend:1")
    headers = signed(body)
    ephemeral_text(post(COMMANDS, body, headers))
    again = post(COMMANDS, body, headers)
    assert (again.status, again.code) == (401, "UNAUTHENTICATED")
    assert len(inbox()) == 1


@pytest.mark.usefixtures("slack_app")
def test_the_same_text_sent_again_is_another_request() -> None:
    for trigger in ("1", "2"):
        ephemeral_text(post(COMMANDS, command("deploy recommend:1", trigger_id=trigger)))
    assert len(inbox()) == 2


@pytest.mark.usefixtures("slack_app")
def test_a_response_url_outside_slack_is_not_stored() -> None:
    ephemeral_text(post(COMMANDS, command("list", response_url="https://example.com/steal")))
    [item] = inbox()
    assert "response_url" not in item


@pytest.mark.usefixtures("slack_app")
def test_the_user_is_informed_when_aws_throttles(monkeypatch: pytest.MonkeyPatch) -> None:
    def throttled(**_: Any) -> None:
        error = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}
        raise botocore.exceptions.ClientError(error, "BatchGetItem")

    monkeypatch.setattr(aws.client("dynamodb"), "batch_get_item", throttled)
    assert ephemeral_text(post(COMMANDS, command("list"))) == slack.UNAVAILABLE
    assert inbox() == []


@pytest.mark.usefixtures("slack_app")
def test_the_body_and_headers_can_have_any_form_of_the_gateway() -> None:
    """Header names in upper or lower case, and a body in base64."""
    body = command("list")
    lower = [(name.lower(), value) for name, value in signed(body)]
    ephemeral_text(post(COMMANDS, body, lower))
    encoded = command("list", user_name="José").replace(b"+", b"%20")
    ephemeral_text(post(COMMANDS, encoded, signed(encoded)))
    assert len(inbox()) == 2


@pytest.mark.usefixtures("slack_app")
def test_an_idempotency_key_has_no_effect_without_a_token() -> None:
    """Otherwise, anyone could write to the table and block other requests."""
    before = aws.client("dynamodb").scan(TableName="slipway-records")["Count"]
    for key in ("k", "not a key"):
        answer = post(COMMANDS, command(), [("Idempotency-Key", key)])
        assert answer.status == 401
    assert aws.client("dynamodb").scan(TableName="slipway-records")["Count"] == before


# --- buttons -------------------------------------------------------------------------------


@pytest.mark.usefixtures("slack_app")
@pytest.mark.parametrize("button", ["delete", "retry", "cancel"])
def test_a_button_is_acknowledged_without_text_and_passed_to_the_worker(
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
def test_a_button_that_cannot_be_stored_is_not_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def throttled(**_: Any) -> None:
        error = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}
        raise botocore.exceptions.ClientError(error, "TransactWriteItems")

    monkeypatch.setattr(aws.client("dynamodb"), "transact_write_items", throttled)
    answer = post(INTERACTIONS, press("delete", ID))
    assert (answer.status, answer.code) == (503, "AWS_UNAVAILABLE")


# --- requests that Slack would not send ----------------------------------------------------


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
        assert "`" in ephemeral_text(answer)
    elif status == 200:
        assert (ephemeral_text(answer) if text else answer.text) == text


def test_the_page_lists_every_hostile_request() -> None:
    assert len({each.what for each in HOSTILE}) == len(HOSTILE) >= 40
    assert slack_hostile.table() in slack_hostile.PAGE.read_text(), (
        "hostile-requests.md is out of date: python -m tests.unit.slack.slack_hostile"
    )


def test_the_page_names_the_endpoints_and_the_refusals() -> None:
    page = (slack_hostile.ROOT / "docs" / "slack.md").read_text()
    paths = set(re.findall(r"<api>(/slack/[a-z]+)$", page, re.MULTILINE))
    assert paths == {COMMANDS, INTERACTIONS}
    assert paths <= {each.path for each in ROUTES}
    assert owners.refusal(USER, CHANNEL) in " ".join(page.replace(">", " ").split())


@pytest.mark.usefixtures("table")
def test_without_a_signing_secret_every_request_is_refused() -> None:
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
def test_any_unsigned_request_is_401(
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
def test_any_signed_request_is_200_or_not_utf8(path: str, body: bytes) -> None:
    """401 for a body that is not UTF-8, or that was sent before."""
    assert post(path, body).status in (200, 401)


# --- mappings --------------------------------------------------------------------------------


def put(gateway: Gateway, slack_id: str, body: Any = None, caller: str = "admin") -> Answered:
    return gateway.send("PUT", f"/slack/owners/{slack_id}", body or BODY, caller=caller)


def test_a_channel_is_mapped_listed_and_unmapped(gateway: Gateway) -> None:
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


def test_a_mapped_user_gets_no_announcements(gateway: Gateway) -> None:
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
def test_an_invalid_mapping_is_reported_at_its_field(
    gateway: Gateway, body: Any, field: str
) -> None:
    answer = gateway.send("PUT", "/slack/owners/C0TEAMA", body, caller="admin")
    assert (answer.status, answer.fields) == (422, [field])
    assert owners.list_mappings() == []


@pytest.mark.parametrize(
    "slack_id", ["alice", "u0alice", "U", "T0SLIP", "C0%23X", "C" + "0" * 21, "C0%0A", "%C3%89"]
)
def test_an_invalid_slack_id_is_refused(gateway: Gateway, slack_id: str) -> None:
    answer = put(gateway, slack_id)
    assert (answer.status, answer.fields) == (422, ["slack_id"])
    assert gateway.delete(f"/slack/owners/{slack_id}", caller="admin").code == "NOT_FOUND"


@pytest.mark.parametrize("caller", ["team-a", "reader", "deployer"])
def test_only_an_admin_can_map(gateway: Gateway, caller: str) -> None:
    for answer in (
        put(gateway, "C0TEAMA", caller=caller),
        gateway.get("/slack/owners", caller=caller),
        gateway.delete("/slack/owners/C0TEAMA", caller=caller),
    ):
        assert (answer.status, answer.code) == (403, "FORBIDDEN")


def test_a_revoked_admin_cannot_map(gateway: Gateway) -> None:
    gateway.delete(f"/tokens/{gateway.authorize('admin')['token_id']}", caller="admin")
    assert put(gateway, "C0TEAMA").status == 401
    assert owners.list_mappings() == []


def test_the_log_names_who_mapped_what(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    admin = gateway.authorize("admin")["token_id"]
    with caplog.at_level("INFO", "slipway"):
        put(gateway, "C0TEAMA")
        gateway.delete("/slack/owners/C0TEAMA", caller="admin")
    lines = [vars(record) for record in caplog.records]
    assert [(line["msg"], line["slack_id"], line["by_token"]) for line in lines] == [
        ("slack id mapped", "C0TEAMA", admin),
        ("slack id unmapped", "C0TEAMA", admin),
    ]
