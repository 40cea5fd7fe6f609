import logging
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from chalicelib.platform import aws, shared_secrets
from chalicelib.platform.settings import settings
from chalicelib.slack import client
from chalicelib.slack.client import Rejected, Throttled, Unreachable
from chalicelib.slack.layout import Message
from tests.support.builders import MOMENT, Clock
from tests.support.slack_server import CHANNEL, HOOK_SECRET, TOKEN, FakeSlack, Trouble

MESSAGE = Message("hi", [{"type": "section", "text": {"type": "mrkdwn", "text": "hi"}}])
Do = Callable[[FakeSlack], object]


@pytest.fixture
def clock() -> Clock:
    return Clock(MOMENT)


@pytest.fixture
def slack(cloud: None, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    with FakeSlack(now=clock) as played:
        monkeypatch.setenv("SLACK_API_URL", played.api_url)
        settings.cache_clear()
        aws.client("ssm").put_parameter(
            Name=shared_secrets.parameter("slipway-test", shared_secrets.SLACK_BOT_TOKEN),
            Value=TOKEN,
            Type="SecureString",
        )
        shared_secrets.forget()
        yield played
    shared_secrets.forget()


def post(slack: FakeSlack) -> str:
    return client.post_message(CHANNEL, MESSAGE)


def hook(slack: FakeSlack) -> None:
    client.post_to_url(slack.incoming_webhook, MESSAGE, replace=False, in_channel=True)


def respond(slack: FakeSlack) -> None:
    client.post_to_url(slack.response_url(), MESSAGE, replace=False, in_channel=True)


WAYS = pytest.mark.parametrize("do", [post, hook, respond])


def test_a_message_is_posted_updated_and_deleted(slack: FakeSlack) -> None:
    ts = client.post_message(CHANNEL, MESSAGE)
    assert slack.messages[CHANNEL, ts]["blocks"] == MESSAGE.blocks
    client.update_message(CHANNEL, ts, Message("more", []))
    assert slack.messages[CHANNEL, ts]["text"] == "more"
    client.delete_message(CHANNEL, ts)
    assert not slack.messages


def test_a_webhook_post_is_visible_to_all_or_to_one(slack: FakeSlack) -> None:
    hook(slack)
    client.post_to_url(slack.response_url(), MESSAGE, replace=True, in_channel=False)
    [to_all] = slack.posts("incoming_webhook")
    [to_one] = slack.posts("response_url")
    assert (to_all["response_type"], to_all["blocks"]) == ("in_channel", MESSAGE.blocks)
    assert (to_one["response_type"], to_one["replace_original"]) == ("ephemeral", True)


@WAYS
def test_a_throttled_call_says_for_how_long(slack: FakeSlack, do: Do) -> None:
    slack.throttle(17)
    with pytest.raises(Throttled) as raised:
        do(slack)
    assert raised.value.retry_after == timedelta(seconds=17)


@pytest.mark.parametrize(
    ("named", "seconds"),
    [(None, 30), ("soon", 30), ("-1", 30), ("²", 30), ("0", 1), ("9" * 400, 600), ("86400", 600)],
)
def test_an_invalid_retry_after_is_bounded(named: str | None, seconds: int) -> None:
    headers = {} if named is None else {"Retry-After": named}
    assert client._retry_after(headers) == timedelta(seconds=seconds)


@WAYS
@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_error_is_transient(slack: FakeSlack, do: Do, status: int) -> None:
    slack.fail(status)
    with pytest.raises(Unreachable):
        do(slack)


@WAYS
@pytest.mark.parametrize("code", ["internal_error", "fatal_error", "service_unavailable"])
def test_slacks_transient_error_codes_are_transient(slack: FakeSlack, do: Do, code: str) -> None:
    slack.refuse(code)
    with pytest.raises(Unreachable):
        do(slack)


@WAYS
def test_a_closed_connection_is_transient(slack: FakeSlack, do: Do) -> None:
    slack.drop()
    with pytest.raises(Unreachable):
        do(slack)


def test_a_refused_connection_is_transient(slack: FakeSlack) -> None:
    slack._server.server_close()
    with pytest.raises(Unreachable):
        client.post_to_url("http://127.0.0.1:9/x", MESSAGE, replace=False, in_channel=True)


@WAYS
def test_a_call_without_a_response_times_out(slack: FakeSlack, do: Do) -> None:
    slack.hang()
    with pytest.raises(Unreachable):
        do(slack)


@WAYS
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_no_success(slack: FakeSlack, do: Do, status: int) -> None:
    slack.trouble(Trouble(status, "moved", location=f"{slack.url}/_calls"))
    with pytest.raises((Unreachable, Rejected)):
        do(slack)


@pytest.mark.parametrize("answer", ["[]", '"ok"', "null", "<html>", '{"ok": 1}', "", "{}"])
def test_a_malformed_response_is_unreachable(slack: FakeSlack, answer: str) -> None:
    slack.trouble(Trouble(text=answer))
    with pytest.raises(Unreachable):
        post(slack)
    slack.trouble(Trouble(text=answer))
    with pytest.raises(Unreachable):
        hook(slack)


@pytest.mark.parametrize(
    "code",
    [
        "message_not_found",
        "cant_update_message",
        "edit_window_closed",
        "is_archived",
        "channel_not_found",
        "not_in_channel",
        "invalid_auth",
        "token_revoked",
        "no_service",
    ],
)
def test_a_rejection_is_final_and_has_its_code(slack: FakeSlack, code: str) -> None:
    slack.refuse(code)
    with pytest.raises(Rejected) as raised:
        post(slack)
    assert raised.value.code == code


def test_slacks_own_rules_lead_to_rejections(slack: FakeSlack, clock: Clock) -> None:
    def code(do: Callable[[], object]) -> str:
        with pytest.raises(Rejected) as raised:
            do()
        return raised.value.code

    used, late = slack.response_url(), slack.response_url()

    def to(url: str) -> Callable[[], object]:
        return lambda: client.post_to_url(url, MESSAGE, replace=False, in_channel=True)

    for _ in range(5):
        to(used)()
    assert code(to(used)) == "used_url"
    clock.advance(minutes=31)
    assert code(to(late)) == "expired_url"
    assert code(to(f"{slack.url}/services/T0/B0/another")) == "no_service"
    assert code(lambda: client.post_message("C0NOWHERE", MESSAGE)) == "channel_not_found"
    assert code(lambda: client.post_message("C0PRIVATE", MESSAGE)) == "not_in_channel"
    assert code(lambda: client.update_message(CHANNEL, "1.1", MESSAGE)) == "message_not_found"


def test_without_a_token_there_is_no_call(slack: FakeSlack) -> None:
    aws.client("ssm").delete_parameter(
        Name=shared_secrets.parameter("slipway-test", shared_secrets.SLACK_BOT_TOKEN)
    )
    shared_secrets.forget()
    with pytest.raises(Rejected):
        post(slack)
    assert not slack.calls


@pytest.mark.parametrize("trouble", [None, Trouble(500), Trouble(404, "no_service")])
def test_no_secret_is_in_a_log_or_an_error(
    slack: FakeSlack, trouble: Trouble | None, caplog: pytest.LogCaptureFixture
) -> None:
    shared_secrets.get(shared_secrets.SLACK_BOT_TOKEN)  # botocore logs what it reads, in DEBUG
    caplog.set_level(logging.DEBUG)
    errors = []
    for do in (post, hook):
        if trouble:
            slack.trouble(trouble)
        try:
            do(slack)
        except (Unreachable, Rejected) as error:
            errors.append(repr(error) + str(error.__cause__))
    output = caplog.text + "".join(errors)
    assert TOKEN not in output
    assert HOOK_SECRET not in output
