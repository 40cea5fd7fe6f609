"""The fake Slack as its own process."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient


@pytest.fixture(scope="module")
def played() -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.support.slack_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        urls = json.loads(process.stdout.readline())
        yield {**urls, "process": process}
        process.terminate()


def order(played: dict[str, Any], method: str, path: str, **body: Any) -> dict[str, Any]:
    data = json.dumps(body).encode() if method == "POST" else None
    request = urllib.request.Request(f"{played['url']}{path}", data, method=method)
    with urllib.request.urlopen(request) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_it_accepts_calls_and_commands(played: dict[str, Any]) -> None:
    api = WebClient(played["token"], base_url=played["api_url"], retry_handlers=[])
    ts = api.chat_postMessage(channel=played["channel"], text="hi")["ts"]
    order(played, "POST", "/_trouble", status=429, error="ratelimited", retry_after=3)
    with pytest.raises(SlackApiError):
        api.chat_update(channel=played["channel"], ts=ts, text="more")
    url = order(played, "POST", "/_url")["response_url"]
    assert WebhookClient(url).send(text="to one").status_code == 200
    calls = order(played, "GET", "/_calls")["calls"]
    assert [(call["target"], call["error"]) for call in calls] == [
        ("chat.postMessage", None),
        ("chat.update", "ratelimited"),
        ("response_url", None),
    ]
    lines = [played["process"].stdout.readline() for _ in calls]
    assert lines == [
        f"chat.postMessage {played['channel']} ok: hi\n",
        f"chat.update {played['channel']} ratelimited: more\n",
        "response_url ok: to one\n",
    ]
    order(played, "DELETE", "/_calls")
    assert order(played, "GET", "/_calls") == {"calls": []}


def test_it_enforces_block_kits_limits(played: dict[str, Any]) -> None:
    api = WebClient(played["token"], base_url=played["api_url"], retry_handlers=[])
    divider = {"type": "divider"}
    too_long = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}
    for blocks in ([divider] * 51, [too_long]):
        with pytest.raises(SlackApiError, match="invalid_blocks"):
            api.chat_postMessage(channel=played["channel"], text="hi", blocks=blocks)


def test_its_root_page_lists_its_endpoints(played: dict[str, Any]) -> None:
    assert "GET /_calls" in order(played, "GET", "/")
    with pytest.raises(urllib.error.HTTPError) as refused:
        order(played, "GET", "/messages")
    with refused.value as answer:
        assert answer.status == 404
        assert "GET /_calls" in json.load(answer)
    assert played["calls"] == f"{played['url']}/_calls"
    assert WebhookClient(played["response_url"]).send(text="to one").status_code == 200
