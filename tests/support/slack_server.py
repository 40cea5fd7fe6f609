"""A fake Slack on loopback. It serves the calls that Slipway makes and refuses invalid ones.

It enforces what Slack documents: a valid token, a known channel, the `ts` of an existing message
for updates, five posts within 30 minutes for a `response_url`, and Block Kit's limits.
https://docs.slack.dev/reference/methods/chat.postMessage
https://docs.slack.dev/reference/methods/chat.update
https://docs.slack.dev/interactivity/handling-user-interaction#message_responses
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
https://docs.slack.dev/apis/web-api/rate-limits

In process:

    with FakeSlack() as slack:
        slack.throttle(30)                    # the next call is ratelimited
        ...
        slack.calls, slack.messages, slack.posts

As a separate process: `python -m tests.support.slack_server [--port 8080]`. It prints its URLs as
a line of JSON, then a line for each call. It accepts the same commands over HTTP (`GET /` lists
them).
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl

TOKEN = "xoxb-played-by-a-test"
CHANNEL = "C0PREDICT"
# This channel exists, but the app is not a member of it.
PRIVATE_CHANNEL = "C0PRIVATE"
METHODS = ("chat.postMessage", "chat.update", "chat.delete")
POSTS, LIFETIME = 5, timedelta(minutes=30)
MOST_BLOCKS, MOST_TEXT, MOST_MESSAGE = 50, 3000, 40_000
LIMITS = {"header": 150, "button": 75, "field": 2000}
MOST_ELEMENTS = {"actions": 25, "context": 10}
API, HOOK, RESPONSE = "/api/", "/services/T0/B0/", "/commands/T0/"
HOOK_SECRET = "a-webhooks-secret"


@dataclass(frozen=True)
class Call:
    """A received call and its outcome.

    `target`: a method such as `chat.postMessage`, `response_url` or `incoming_webhook`.
    """

    target: str
    url: str
    body: dict[str, Any]
    at: datetime
    status: int
    error: str | None


@dataclass(frozen=True)
class Trouble:
    """What happens to calls instead of success.

    `error` is one of Slack's error codes. `drop` closes the connection without a response; with
    `done`, the call takes effect first, so only the response is lost. `hang` waits until
    `FakeSlack.release`. `text` is returned unchanged."""

    status: int = 200
    error: str | None = None
    retry_after: int | None = None
    location: str | None = None
    text: str | None = None
    drop: bool = False
    done: bool = False
    hang: bool = False
    times: int = 1
    target: str | None = None


@dataclass
class ResponseUrl:
    """A `response_url` that Slack created for a command."""

    made_at: datetime
    posts: int = 0


@dataclass
class FakeSlack:
    """Slack on loopback. `now` returns Slack's current time."""

    token: str = TOKEN
    channels: set[str] = field(default_factory=lambda: {CHANNEL})
    private: set[str] = field(default_factory=lambda: {PRIVATE_CHANNEL})
    port: int = 0
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    # Called with one line of text for each call.
    say: Callable[[str], object] = lambda line: None
    calls: list[Call] = field(default_factory=list)
    # The messages in the channels: (channel, ts) -> the message as last posted or updated.
    messages: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    response_urls: dict[str, ResponseUrl] = field(default_factory=dict)
    _posted: int = 0
    _troubles: list[Trouble] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _released: threading.Event = field(default_factory=threading.Event)
    # The number of calls that hang now; a test can wait for it.
    hanging: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __enter__(self) -> Self:
        slack = self

        class Handler(_Handler):
            played = slack

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        """For SLACK_API_URL."""
        return f"{self.url}{API}"

    @property
    def incoming_webhook(self) -> str:
        return f"{self.url}{HOOK}{HOOK_SECRET}"

    def response_url(self) -> str:
        """A new `response_url`, as Slack sends it with a command."""
        with self._lock:
            name = f"{RESPONSE}{len(self.response_urls) + 1}"
            self.response_urls[name] = ResponseUrl(self.now())
        return f"{self.url}{name}"

    # --- commands ----------------------------------------------------------------------------

    def trouble(self, trouble: Trouble) -> None:
        """Apply `trouble` to the next `times` calls (of `target`), after any earlier trouble."""
        with self._lock:
            self._troubles += [trouble] * trouble.times

    def throttle(self, seconds: int, times: int = 1, target: str | None = None) -> None:
        order = Trouble(429, "ratelimited", retry_after=seconds, times=times, target=target)
        self.trouble(order)

    def refuse(self, code: str, times: int = 1, target: str | None = None) -> None:
        """Refuse calls with one of Slack's error codes, such as `is_archived`."""
        self.trouble(Trouble(200, code, times=times, target=target))

    def fail(self, status: int = 500, times: int = 1, target: str | None = None) -> None:
        self.trouble(Trouble(status, times=times, target=target))

    def drop(self, times: int = 1, *, done: bool = False, target: str | None = None) -> None:
        """Close the connection. With `done`, the call takes effect but the response is lost."""
        self.trouble(Trouble(drop=True, done=done, times=times, target=target))

    def hang(self, times: int = 1, target: str | None = None) -> None:
        """Do not respond until `release`. The calls have no effect."""
        self._released.clear()
        self.trouble(Trouble(hang=True, times=times, target=target))

    def release(self) -> None:
        """Release the calls that hang, and drop all trouble that is still set."""
        with self._lock:
            self._troubles.clear()
        self._released.set()

    def posts(self, target: str) -> list[dict[str, Any]]:
        """Bodies of the calls to a target that took effect, oldest first."""
        with self._lock:
            return [call.body for call in self.calls if call.target == target and not call.error]

    def forget(self) -> None:
        """Forget the calls so far. Posted messages stay."""
        with self._lock:
            self.calls.clear()

    # --- Slack's behaviour ---------------------------------------------------------------------

    def take(self, path: str, authorization: str, body: dict[str, Any]) -> _Answer:
        """Apply or refuse a call, and record it."""
        target = _target(path)
        with self._lock:
            trouble = next((t for t in self._troubles if t.target in (None, target)), None)
            if trouble:
                self._troubles.remove(trouble)
        if trouble and trouble.hang:
            self.hanging.release()
            self._released.wait(60)
        with self._lock:
            if trouble and not trouble.done:
                answer = _instead(trouble)
            elif target.startswith("chat."):
                answer = self._api(target, authorization, body)
            else:
                answer = self._hook(path, body)
            if trouble and trouble.done:
                answer = _Answer(answer.status, answer.error, answer.body, drop=True)
            known = {**body, "ts": answer.body["ts"]} if "ts" in answer.body else body
            url = f"{self.url}{path}"
            self.calls.append(Call(target, url, known, self.now(), answer.status, answer.error))
            self.say(_line(self.calls[-1]))
        return answer

    def _api(self, method: str, authorization: str, body: dict[str, Any]) -> _Answer:
        error = self._refusal(method, authorization, body)
        if error:
            return _Answer(200, error, {"ok": False, "error": error})
        channel = body["channel"]
        if method == "chat.delete":
            del self.messages[channel, body["ts"]]
            return _Answer(200, None, {"ok": True, "channel": channel, "ts": body["ts"]})
        if method == "chat.update":
            ts = body["ts"]
        else:
            self._posted += 1
            ts = f"{self.now().timestamp():.0f}.{self._posted:06d}"
        self.messages[channel, ts] = body
        return _Answer(200, None, {"ok": True, "channel": channel, "ts": ts})

    def _refusal(self, method: str, authorization: str, body: dict[str, Any]) -> str | None:
        channel = body.get("channel")
        if not authorization:
            return "not_authed"
        if authorization != f"Bearer {self.token}":
            return "invalid_auth"
        if method not in METHODS:
            return "unknown_method"
        if channel in self.private:
            return "not_in_channel"
        if channel not in self.channels:
            return "channel_not_found"
        if method != "chat.postMessage" and (channel, body.get("ts")) not in self.messages:
            return "message_not_found"
        return None if method == "chat.delete" else refusal_of(body)

    def _hook(self, path: str, body: dict[str, Any]) -> _Answer:
        if path.startswith(RESPONSE):
            url = self.response_urls.get(path)
            if url is None or self.now() - url.made_at > LIFETIME:
                return _plain(404, "expired_url")
            if url.posts >= POSTS:
                return _plain(404, "used_url")
        elif path != f"{HOOK}{HOOK_SECRET}":
            return _plain(404, "no_service")
        error = refusal_of(body)
        if error:
            return _plain(400, error)
        if path.startswith(RESPONSE):
            self.response_urls[path].posts += 1
        return _plain(200, None)


def refusal_of(message: dict[str, Any]) -> str | None:
    """Slack's error for a message that exceeds Block Kit's limits; None if it is within them.

    https://docs.slack.dev/reference/block-kit/blocks
    """
    blocks = message.get("blocks", [])
    if not blocks and not message.get("text"):
        return "no_text"
    if len(message.get("text", "")) > MOST_MESSAGE:
        return "msg_too_long"
    if len(blocks) > MOST_BLOCKS or not all(_within_limits(block) for block in blocks):
        return "invalid_blocks"
    return None


def _within_limits(block: dict[str, Any]) -> bool:
    kind = block["type"]
    elements, fields = block.get("elements", []), block.get("fields", [])
    texts = [(block["text"], LIMITS.get(kind, MOST_TEXT))] if "text" in block else []
    texts += [(each, LIMITS["field"]) for each in fields]
    texts += [(each, MOST_TEXT) for each in elements if kind == "context" and "text" in each]
    texts += [(each["text"], LIMITS["button"]) for each in elements if each["type"] == "button"]
    if block.get("accessory", {}).get("type") == "button":
        texts.append((block["accessory"]["text"], LIMITS["button"]))
    return (
        len(elements) <= MOST_ELEMENTS.get(kind, 25)
        and len(fields) <= 10
        and (kind != "section" or bool(texts))
        and all(1 <= len(text["text"]) <= most for text, most in texts)
    )


# --- over HTTP ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Answer:
    status: int
    error: str | None
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    plain: bool = False
    drop: bool = False
    text: str | None = None


def _plain(status: int, error: str | None) -> _Answer:
    """A webhook's response: `ok` or the error code as plain text, not JSON."""
    return _Answer(status, error, {}, plain=True)


def _instead(trouble: Trouble) -> _Answer:
    headers = {}
    if trouble.retry_after is not None:
        headers["Retry-After"] = str(trouble.retry_after)
    if trouble.location:
        headers["Location"] = trouble.location
    error = trouble.error or f"http_{trouble.status}"
    drop = trouble.drop or trouble.hang
    body = {"ok": False, "error": error}
    return _Answer(trouble.status, error, body, headers, drop=drop, text=trouble.text)


def _line(call: Call) -> str:
    """A call as one readable line: `chat.postMessage C0PREDICT ok: Deploying recommender`."""
    where = f" {call.body.get('channel')}" if call.target.startswith("chat.") else ""
    text = str(call.body.get("text", "")).replace("\n", " ")
    return f"{call.target}{where} {call.error or 'ok'}: {text}"


def _target(path: str) -> str:
    if path.startswith(API):
        return path.removeprefix(API)
    return "response_url" if path.startswith(RESPONSE) else "incoming_webhook"


class _Handler(BaseHTTPRequestHandler):
    played: FakeSlack
    # Extra commands of the separate process.
    CONTROL: ClassVar = {
        "GET /_calls": "what it was called with, and what it answered, oldest first",
        "DELETE /_calls": "forgets these",
        "POST /_url": "a new response_url: five posts within 30 minutes",
        "POST /_trouble": "the next call fails so: the fields of Trouble in this module",
        "POST /_release": "forgets what trouble was ordered",
    }

    def do_GET(self) -> None:
        if self.path == "/_calls":
            calls = [{**asdict(call), "at": call.at.isoformat()} for call in self.played.calls]
            return self._answer(200, json.dumps({"calls": calls}))
        where_to_look = json.dumps(self.CONTROL, indent=1) + "\n"
        return self._answer(200 if self.path == "/" else 404, where_to_look)

    def do_DELETE(self) -> None:
        self.played.forget()
        self._answer(200, "{}")

    def do_POST(self) -> None:
        body = self._body()
        if self.path.startswith("/_"):
            return self._answer(200, json.dumps(self._control(body)))
        answer = self.played.take(self.path, self.headers.get("Authorization", ""), body)
        if answer.drop:
            self.close_connection = True
            return None
        text = answer.text
        if text is None:
            text = (answer.error or "ok") if answer.plain else json.dumps(answer.body)
        return self._answer(answer.status, text, answer.headers)

    def _body(self) -> dict[str, Any]:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}"
        is_form = self.headers.get_content_type() == "application/x-www-form-urlencoded"
        if is_form and not self.path.startswith("/_"):
            return dict(parse_qsl(raw.decode()))  # Slack's API takes either
        body: dict[str, Any] = json.loads(raw)
        return body

    def _control(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.path == "/_trouble":
            self.played.trouble(Trouble(**body))
        elif self.path == "/_release":
            self.played.release()
        elif self.path == "/_url":
            return {"response_url": self.played.response_url()}
        return {}

    def _answer(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if text[:1] == "{" else "text/html")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def main() -> None:
    """Serve until the process ends."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0)
    say = partial(print, flush=True)
    with FakeSlack(port=parser.parse_args().port, say=say) as slack:
        urls = {"url": slack.url, "api_url": slack.api_url, "token": slack.token}
        urls |= {"incoming_webhook": slack.incoming_webhook, "channel": CHANNEL}
        urls |= {"response_url": slack.response_url(), "calls": f"{slack.url}/_calls"}
        print(json.dumps(urls), flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
