"""A server on loopback that plays a subscriber of webhooks: it records and verifies, or misbehaves.

    with Subscriber(secret) as subscriber:
        subscriber.answer(Reply(500), Reply(500))       # the next two; then 204
        ...
        subscriber.wait_for(lambda: subscriber.accepted("model-abc234"))

It verifies with the library of Standard Webhooks, as a receiver would:
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
    """How a call is answered.

    Attributes:
        hang: not before `release`.
        drop: the connection is closed without an answer.
    """

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: bool = False
    drop: bool = False

    @classmethod
    def redirect(cls, url: str, status: int = 307) -> Reply:
        """To be followed with the same method and body, by whoever follows."""
        return cls(status, {"Location": url})

    @classmethod
    def throttled(cls, seconds: int) -> Reply:
        return cls(429, {"Retry-After": str(seconds)})


@dataclass(frozen=True)
class Received:
    """A call as it came in.

    Attributes:
        body: the bytes, which the signature is over.
        at: when it came.
        fault: why the signature or the time does not hold; None where both do.
        reply: how it is answered.
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
        """Of the try, in seconds."""
        return int(self.headers["webhook-timestamp"])

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.body or b"{}"))

    @property
    def deployment(self) -> str:
        """The id of the deployment that it is about; "None" where it tells of none."""
        return str(self.event.get("data", {}).get("deployment", {}).get("id"))


class Subscriber:
    """A subscriber; `received` has its calls, the oldest first.

    Attributes:
        hanging: how many calls wait for `release` at this moment.
    """

    def __init__(self, secret: str) -> None:
        """Args: secret: what webhooks are signed with, `whsec_...`."""
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

    # --- orders ------------------------------------------------------------------------------

    def answer(self, *replies: Reply, then: Reply | None = None) -> None:
        """The next calls are answered so, in turn; those after them as `then` says, else 204."""
        with self._changed:
            self._replies, self._usual = list(replies), then or Reply()

    def hang(self) -> None:
        """No call is answered until `release`."""
        self._released.clear()
        self.answer(then=Reply(hang=True))

    def release(self) -> None:
        """Those that hang are answered, and all from now on, with 204."""
        self.answer()
        self._released.set()

    # --- what came -----------------------------------------------------------------------------

    def about(self, deployment: str) -> list[Received]:
        """The calls about a deployment, all tries of them."""
        return [call for call in self.received if call.deployment == deployment]

    def accepted(self, deployment: str) -> list[Received]:
        """Those of them that were answered with success."""
        return [call for call in self.about(deployment) if call.reply.status < 300]

    def types(self, deployment: str) -> list[str]:
        """What was told of a deployment, each event once, by its sequence number."""
        events = {call.id: call.event for call in self.accepted(deployment)}
        return [e["type"] for e in sorted(events.values(), key=lambda e: e["data"]["sequence"])]

    def wait_for(self, condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
        """The first true value of `condition`, looked at as calls come in.

        Raises:
            AssertionError: there was none in time; it tells what came.
        """
        with self._changed:
            value = self._changed.wait_for(condition, seconds)
        told = [(c.event.get("type"), c.reply.status, c.fault) for c in self.received]
        assert value, f"not within {seconds:g} s; received: {told}"
        return value

    # --- what a subscriber does --------------------------------------------------------------

    def take(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        """Records and verifies a call; returns when it is to be answered."""
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
        except OSError:  # who called has given up
            self.close_connection = True

    # A GET is what a redirect that was followed can turn a POST into.
    do_POST = do_GET = _take

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal."""
