"""The played Slack as a process of its own."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient


@pytest.fixture(scope="module")
def played() -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", "tests.slack_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield json.loads(process.stdout.readline())
        process.terminate()


def order(played: dict[str, str], method: str, path: str, **body: Any) -> dict[str, Any]:
    data = json.dumps(body).encode() if method == "POST" else None
    request = urllib.request.Request(f"{played['url']}{path}", data, method=method)
    with urllib.request.urlopen(request) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_it_takes_calls_and_orders(played: dict[str, str]) -> None:
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
    order(played, "DELETE", "/_calls")
    assert order(played, "GET", "/_calls") == {"calls": []}


def test_it_keeps_to_block_kits_limits(played: dict[str, str]) -> None:
    api = WebClient(played["token"], base_url=played["api_url"], retry_handlers=[])
    divider = {"type": "divider"}
    too_long = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}
    for blocks in ([divider] * 51, [too_long]):
        with pytest.raises(SlackApiError, match="invalid_blocks"):
            api.chat_postMessage(channel=played["channel"], text="hi", blocks=blocks)
