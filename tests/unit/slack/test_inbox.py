import hashlib
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.slack import inbox
from chalicelib.slack.inbox import Asked
from chalicelib.store import table, work
from tests.support.builders import MOMENT, Clock

pytestmark = pytest.mark.usefixtures("table")
REQUEST = hashlib.sha256(b"v0:1531420618:text=list").hexdigest()
URL = "https://hooks.slack.com/commands/T1DC2JH3J/397700885554/96rGlfmibIGlgcZRskXaIFfN"
ASKED = Asked(user="U0ALICE", channel="C0TEAMA", text="list", response_url=URL, team="T0SLIP")


@pytest.fixture(autouse=True)
def time(stopped_clock: Clock) -> Clock:
    return stopped_clock


def kept() -> dict[str, Any]:
    item = table.get_item(f"SLACK#{REQUEST}", "REQUEST")
    assert item is not None
    return item


def test_an_accepted_request_wakes_the_worker() -> None:
    assert inbox.accept(REQUEST, ASKED)
    item = kept()
    assert inbox.asked_by(item) == ASKED
    assert (item["worker"], item["wake"]) == (work.CHAT_WORKER, work.CHAT_WORKER)
    assert work.list_due(work.CHAT_WORKER) == [(item["pk"], item["sk"])]


def test_a_button_is_accepted_too() -> None:
    pressed = Asked(user="W0BOB", channel="D0BOB", text="model-abcdef", button="delete")
    assert inbox.accept(REQUEST, pressed)
    assert inbox.asked_by(kept()) == pressed


def test_the_same_request_is_accepted_once_even_after_it_is_done() -> None:
    assert inbox.accept(REQUEST, ASKED)
    assert not inbox.accept(REQUEST, ASKED)
    lease = work.acquire(f"SLACK#{REQUEST}", "REQUEST", timedelta(seconds=70))
    assert lease is not None
    work.done(lease, response_url=None)
    assert not inbox.accept(REQUEST, ASKED)
    assert work.list_due(work.CHAT_WORKER) == []


def test_it_is_kept_longer_than_its_signature_is_valid() -> None:
    inbox.accept(REQUEST, ASKED)
    assert kept()["purge_at"] == int((MOMENT + timedelta(days=1)).timestamp())


def test_it_accepts_replies_for_thirty_minutes() -> None:
    inbox.accept(REQUEST, ASKED)
    assert inbox.answerable_until(kept()) == MOMENT + timedelta(minutes=30)


def test_accepting_is_one_call(aws_calls: list[str]) -> None:
    inbox.accept(REQUEST, ASKED)
    assert aws_calls == ["dynamodb.TransactWriteItems"]


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "http://hooks.slack.com/commands/T/1/x",
        "https://hooks.slack.com",
        "https://hooks.slack.com.example.com/commands/T/1/x",
        "https://example.com/hooks.slack.com/",
        "https://hooks.slack.com@example.com/commands/T/1/x",
        "https://hooks.slack.com\\@example.com/commands/T/1/x",
        "https://user:secret@hooks.slack.com/commands/T/1/x",
        "https://hooks.slack.com:8443/commands/T/1/x",
        "https://hooks.slack.com/commands/T/1/x?to=example.com",
        "https://hooks.slack.com/commands/T/1/x\n",
        "https://hooks.slack.com/commands/T/1/\u00e9",
        "https://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:8080/commands/T/1",
        "//hooks.slack.com/commands/T/1/x",
        "https://hooks.slack.com/" + "a" * 600,
    ],
)
def test_a_response_url_must_point_to_slack(url: str | None) -> None:
    assert inbox.usable(url) is None


def test_slacks_response_url_is_used() -> None:
    assert inbox.usable(URL) == URL


def test_a_local_stack_may_use_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLBACKS_ON_LOOPBACK", "true")
    settings.cache_clear()
    for url in ("http://127.0.0.1:8080/commands/T/1", "https://localhost/x", URL):
        assert inbox.usable(url) == url
    for url in ("http://127.0.0.1.example.com/x", "http://127.0.0.2/x", "http://10.0.0.1/x"):
        assert inbox.usable(url) is None


def test_the_item_is_in_no_list_of_deployments() -> None:
    inbox.accept(REQUEST, ASKED)
    client = aws.client("dynamodb")
    for index in ("by_owner", "everything"):
        assert client.scan(TableName="slipway-records", IndexName=index)["Items"] == []
