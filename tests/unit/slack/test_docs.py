"""The script of docs/slack.md calls the app as Slack does."""

import json
import re
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chalicelib.chat.grammar import Command, parse
from chalicelib.slack import inbox, owners
from chalicelib.store import table, work
from tests.support import slack_request
from tests.support.project import ROOT
from tests.support.slack_request import SECRET, SIGNATURE, TIMESTAMP
from tests.support.slack_server import CHANNEL, TOKEN, FakeSlack

PAGE = (ROOT / "docs" / "slack.md").read_text()
ID = "recommender-abcdef"


@pytest.fixture
def api(table: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of the app over HTTP on loopback, as on the local stack."""
    monkeypatch.setenv("CALLBACKS_ON_LOOPBACK", "true")
    slack_request.set_up()
    owners.put(CHANNEL, "demo", ["read", "deploy"], False)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = [(name, self.headers[name]) for name in (TIMESTAMP, SIGNATURE)]
            answer = slack_request.post(self.path, body, headers)
            self.send_response(answer.status)
            self.end_headers()
            self.wfile.write(answer.text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def say(api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Runs the script as `python say.py ...`, with a fake Slack."""
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found
    (tmp_path / ".local").mkdir()
    values = {"api_url": api, "slack_signing_secret": SECRET}
    (tmp_path / ".local" / "stack.json").write_text(json.dumps(values))
    monkeypatch.chdir(tmp_path)
    with FakeSlack() as slack:
        script = found[1].replace("http://127.0.0.1:8080", slack.url)

        def run(*arguments: str) -> None:
            monkeypatch.setattr(sys, "argv", ["say.py", *arguments])
            exec(script, {})

        yield run


def asked() -> inbox.Asked:
    """The only accepted request."""
    [key] = work.list_due(work.CHAT_WORKER)
    item = table.get_item(*key)
    assert item
    return inbox.asked_by(item)


def test_its_command_is_accepted(
    say: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    typed = re.search(r"python3 say.py (deploy .*?)\n\{", PAGE, re.DOTALL)
    assert typed
    arguments = shlex.split(typed[1])
    say(*arguments)
    assert "Command received: deploy" in capsys.readouterr().out
    taken = asked()
    assert taken.text == " ".join(arguments)
    assert isinstance(parse(taken.text), Command)
    assert taken.response_url and (taken.channel, taken.button) == (CHANNEL, None)


def test_its_button_is_accepted(say: Callable[..., None]) -> None:
    say("press", "delete", ID)
    taken = asked()
    assert (taken.button, taken.text, taken.channel) == ("delete", ID, CHANNEL)
    assert taken.response_url


def test_it_names_the_channel_and_token_of_the_fake_slack() -> None:
    assert f"LOCAL_SLACK_BOT_TOKEN={TOKEN} " in PAGE
    assert f"$API/slack/owners/{CHANNEL}\n" in PAGE
