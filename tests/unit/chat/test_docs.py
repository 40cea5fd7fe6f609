"""docs/chat.md describes the grammar correctly, and its bot works."""

import html
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chalicelib.chat.grammar import Command, Misunderstanding, parse
from chalicelib.chat.verbs import VERBS
from tests.support.builders import IMAGE
from tests.support.gateway import Gateway
from tests.support.project import ROOT

PAGE = (ROOT / "docs" / "chat.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The rows of the table below a heading."""
    below = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in below.splitlines() if line.startswith("|")]
    assert lines, f"the page has no table under {heading}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_its_table_lists_the_commands() -> None:
    assert rows("The commands") == [
        [f"`{verb.usage}`", verb.help, f"`{verb.example}`"] for verb in VERBS.values()
    ]


def test_each_deploy_example_works_with_the_sample_model() -> None:
    """Its labels have the health check and the smoke test, which a command can set as well."""
    readme = (ROOT / "README.md").read_text()
    shown = re.findall(r"(?<=[ `\"])deploy [^`\"\n]*/recommend:[^`\"\n]*", PAGE + readme)
    assert len(shown) >= 3
    for text in shown:
        command = parse(text)
        assert isinstance(command, Command) and command.body
        assert command.body.get("health_check", {"path": "/health"}) == {"path": "/health"}
        assert command.body.get("smoke_test", {"path": "/?uid=20"}) == {"path": "/?uid=20"}


@pytest.mark.parametrize(("typed", "answered"), rows("Mistyped commands"))
def test_its_replies_to_mistyped_commands_are_correct(typed: str, answered: str) -> None:
    found = parse(typed.strip("`"))
    assert isinstance(found, Misunderstanding)
    assert found.text.replace("\n", " ") == html.unescape(answered)


@pytest.fixture
def api(gateway: Gateway) -> Iterator[str]:
    """The URL of the API over HTTP on loopback, for one caller."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            sent = {name: self.headers[name] for name in ("Content-Type", "Idempotency-Key")}
            answer = gateway.send("POST", self.path, body, headers=sent)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers["content-type"])
            self.end_headers()
            self.wfile.write(answer.text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def pass_on() -> Any:
    """The function of the page's bot."""
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found
    names: dict[str, Any] = {}
    exec(found[1], names)
    return names["pass_on"]


def test_its_bot_works(api: str, gateway: Gateway, pass_on: Any) -> None:
    def say(text: str, message_id: str) -> str:
        reply: str = pass_on(text, "ann", message_id, api=api, token="t")
        return reply

    first = say(f"deploy {IMAGE} name=rec", "m1")
    assert first.startswith("Deploying rec (rec-")
    assert say(f"deploy {IMAGE} name=rec", "m1") == first
    assert "Did you mean `scale rec 3`?" in say("scal rec 3", "m2")
    assert "used for another request" in say("list", "m1")  # the detail of a problem
    assert len(json.loads(gateway.get("/deployments").text)["deployments"]) == 1
    # The fault in the text, not the fact that there is one.
    assert re.fullmatch(r"text: .*\b1 character, not 0", say("", "m3"))
    assert re.fullmatch(r"text: .*\b4000 characters, not 4001", say("x" * 4001, "m4"))


def test_its_bot_handles_missing_and_malformed_responses(
    pass_on: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = {"/error": 502, "/page": 200, "/json": 200}[self.path.split("/chat")[0]]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"{}" if self.path.startswith("/json") else b"<html>")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    def say(api: str) -> str:
        return str(pass_on("list", "ann", "m1", api=api, token="t"))

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        assert say(f"{url}/error") == "Slipway did not respond: HTTP status 502."
        for path in ("page", "json"):
            assert say(f"{url}/{path}").startswith("Slipway did not respond. Run `list`")
        server.shutdown()
        thread.join()
    assert say(url).startswith("Slipway did not respond. Run `list`")
    assert url in capsys.readouterr().out
