"""The receiver of docs/webhooks.md accepts only what Slipway has signed."""

import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from chalicelib.webhooks import signing
from tests.support.project import ROOT
from tests.support.subscribers import WEBHOOK_SECRET, set_webhook_secrets

PAGE = (ROOT / "docs" / "webhooks.md").read_text()
EVENT = json.dumps({"type": "deployment.active", "data": {"deployment": {"id": "rec-7f3k2q"}}})


@pytest.fixture
def receiver(table: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of the running receiver."""
    set_webhook_secrets(WEBHOOK_SECRET)
    monkeypatch.setenv("WEBHOOK_SECRET", WEBHOOK_SECRET)
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(found[1], names)
    server = ThreadingHTTPServer(("127.0.0.1", 0), names["Receiver"])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hooks"
    server.shutdown()
    thread.join()
    server.server_close()


def post(url: str, body: str, headers: dict[str, str]) -> int:
    request = urllib.request.Request(url, body.encode(), headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_it_accepts_signed_events(receiver: str, capsys: pytest.CaptureFixture[str]) -> None:
    signed = signing.headers("evt_1", datetime.now(UTC), EVENT)
    assert post(receiver, EVENT, signed) == 204
    assert capsys.readouterr().out == "deployment.active rec-7f3k2q\n"


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "evt_2"},
        {"webhook-timestamp": "1"},
        {"webhook-signature": ""},
        {"webhook-signature": "nonsense"},
        {"webhook-signature": "v1,é"},
    ],
)
def test_it_refuses_everything_else(
    receiver: str, change: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    signed = signing.headers("evt_1", datetime.now(UTC), EVENT)
    assert post(receiver, EVENT, {**signed, **change}) == 401
    assert capsys.readouterr().out == ""
