"""A fake webhook subscriber on loopback. It records and verifies calls, and can misbehave.

    with Subscriber(secret) as subscriber:
        subscriber.answer(Reply(500), Reply(500))       # the next two; then 204
        ...
        subscriber.wait_for(lambda: subscriber.accepted("model-abc234"))

It verifies signatures with the Standard Webhooks library, as a real receiver does:
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from standardwebhooks import Webhook, WebhookVerificationError

PATH = "/hook"
SECONDS = 60.0


@dataclass(frozen=True)
class Reply:
    """The response to a call.

    Attributes:
        hang: respond only after `release`.
        drop: close the connection without a response.
    """

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: bool = False
    drop: bool = False

    @classmethod
    def redirect(cls, url: str, status: int = 307) -> Reply:
        """A redirect. A client that follows it must keep the method and the body."""
        return cls(status, {"Location": url})

    @classmethod
    def throttled(cls, seconds: int) -> Reply:
        return cls(429, {"Retry-After": str(seconds)})


@dataclass(frozen=True)
class Received:
    """A received call.

    Attributes:
        body: the signed bytes.
        at: when the call arrived.
        fault: why the signature or the timestamp is invalid; None if both are valid.
        reply: the response to the call.
    """

    path: str
    headers: dict[str, str]
    body: bytes
    at: datetime
    fault: str | None
    reply: Reply

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def timestamp(self) -> int:
        """When this attempt was sent, in Unix seconds."""
        return int(self.headers["webhook-timestamp"])

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body or b"{}"))

    @property
    def deployment(self) -> str:
        """The ID of the event's deployment; "None" if the event names no deployment."""
        return str(self.event.get("data", {}).get("deployment", {}).get("id"))


class Subscriber:
    """A subscriber. `received` holds its calls, oldest first.

    Attributes:
        hanging: the number of calls that wait for `release` now.
    """

    def __init__(self, secret: str) -> None:
        """Args: secret: the signing secret of the webhooks, `whsec_...`."""
        self.received: list[Received] = []
        self.hanging = 0
        self._webhook = Webhook(secret)
        self._replies: list[Reply] = []
        self._usual = Reply()
        self._changed = threading.Condition()
        self._released = threading.Event()

    def __enter__(self) -> Self:
        subscriber = self

        class Handler(_Handler):
            played = subscriber

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
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
        return f"http://127.0.0.1:{self._server.server_address[1]}{PATH}"

    # --- commands ----------------------------------------------------------------------------

    def answer(self, *replies: Reply, then: Reply | None = None) -> None:
        """Answer the next calls with `replies`, in order; later calls with `then`, or with 204."""
        with self._changed:
            self._replies, self._usual = list(replies), then or Reply()

    def hang(self) -> None:
        """Do not respond to any call until `release`."""
        self._released.clear()
        self.answer(then=Reply(hang=True))

    def release(self) -> None:
        """Respond with 204 to the calls that hang and to all later calls."""
        self.answer()
        self._released.set()

    # --- received calls ------------------------------------------------------------------------

    def about(self, deployment: str) -> list[Received]:
        """All calls about a deployment, including failed attempts."""
        return [call for call in self.received if call.deployment == deployment]

    def accepted(self, deployment: str) -> list[Received]:
        """The calls about a deployment that got a successful response."""
        return [call for call in self.about(deployment) if call.reply.status < 300]

    def types(self, deployment: str) -> list[str]:
        """The types of a deployment's delivered events, each event once, in sequence order."""
        events = {call.id: call.event for call in self.accepted(deployment)}
        return [e["type"] for e in sorted(events.values(), key=lambda e: e["data"]["sequence"])]

    def wait_for(self, condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
        """Return the first true value of `condition`, which is checked after each call.

        Raises:
            AssertionError: `condition` stayed false; the message lists the received calls.
        """
        with self._changed:
            value = self._changed.wait_for(condition, seconds)
        received = [(c.event.get("type"), c.reply.status, c.fault) for c in self.received]
        assert value, f"not within {seconds:g} s; received: {received}"
        return value

    # --- the subscriber's behaviour ----------------------------------------------------------

    def take(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        """Record and verify a call. Return the reply when it is time to send it."""
        with self._changed:
            reply = self._replies.pop(0) if self._replies else self._usual
            fault = self._fault(headers, body)
            self.received.append(Received(path, headers, body, datetime.now(UTC), fault, reply))
            self.hanging += reply.hang
            self._changed.notify_all()
        if reply.hang:
            self._released.wait(SECONDS)
            with self._changed:
                self.hanging -= 1
        return reply

    def _fault(self, headers: dict[str, str], body: bytes) -> str | None:
        try:
            self._webhook.verify(body, headers)
        except (WebhookVerificationError, ValueError) as error:
            return repr(error)
        return None


class _Handler(BaseHTTPRequestHandler):
    played: Subscriber

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.played.take(self.path, headers, body)
        if reply.drop:
            self.close_connection = True
            return
        try:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
        except OSError:  # the caller has closed the connection
            self.close_connection = True

    # A client that follows a redirect can turn a POST into a GET.
    do_POST = do_GET = _take

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""
