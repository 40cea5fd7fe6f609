"""Those who are told by webhooks, played on loopback; and the table's stream, and DNS."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from chalicelib.platform import aws, shared_secrets
from chalicelib.platform.settings import settings
from chalicelib.workers import courier

WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
Answer = tuple[int, dict[str, str]]


def set_webhook_secrets(*secrets: str) -> str:
    """Sets the stack's secrets, the new one first."""
    name = shared_secrets.parameter(settings().stack_name, shared_secrets.WEBHOOK_SECRETS)
    value = " ".join(secrets)
    aws.client("ssm").put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)
    shared_secrets.forget()
    return value


@dataclass
class Received:
    """A request that a subscriber got; header names are lower case."""

    path: str
    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def sequence(self) -> int:
        return self.event["data"]["sequence"]

    def is_signed(self, secret: str = WEBHOOK_SECRET) -> bool:
        """Whether a signature of the header is the one of this secret, at the time it names."""
        moment = datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), UTC)
        right = Webhook(secret).sign(self.id, moment, self.body)
        return right in self.headers["webhook-signature"].split(" ")


@dataclass
class Subscriber:
    """Answers each request as `answer` says; 200 at first."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answer: Callable[[Received], Answer | None] = lambda received: (200, {})
    # Set, and a request without an answer waits no longer.
    over: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/hooks") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def says(self, status: int, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = lambda received: (status, named)

    @property
    def paths(self) -> list[str]:
        return [each.path for each in self.received]


@contextlib.contextmanager
def listening(key: Path | None = None, certificate: Path | None = None) -> Iterator[Subscriber]:
    """A server on a free port of loopback; over TLS where it has a key and a certificate."""
    subscriber = Subscriber()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            received = Received(self.path, headers, body)
            subscriber.received.append(received)
            answer = subscriber.answer(received)
            if answer is None:  # never, as far as the caller can tell
                subscriber.over.wait()
                return
            self.send_response(answer[0])
            for name, value in answer[1].items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if key and certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    subscriber.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield subscriber
    finally:
        subscriber.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


class Endless:
    """A server whose answer has no end; `left` is set when its caller takes no more of it.

    Args:
        head: what it begins with; without one it begins for ever.
    """

    def __init__(self, context: ssl.SSLContext | None = None, head: bytes = b"") -> None:
        self._head = head
        self.left = threading.Event()
        self._over = threading.Event()
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Endless:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._listening.close()

    def _serve(self) -> None:
        made, _ = self._listening.accept()
        with contextlib.suppress(OSError):
            if self._context:
                made = self._context.wrap_socket(made, server_side=True)
            made.settimeout(1)  # a caller that is there takes it sooner
            made.recv(65536)
            made.sendall(self._head)
            while not self._over.is_set():
                made.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 50)
        if not self._over.is_set():
            self.left.set()
        made.close()


class Resolver:
    """`socket.getaddrinfo` where DNS has `names` alone; addresses in digits are as they are."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {"example.com": ["93.184.215.14"]}
        self.asked: list[str] = []
        self._real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *more: Any, **named: Any) -> Any:
        self.asked.append(host)
        host.encode("idna")  # as the real one does first
        found = []
        for address in self.names.get(host, [host]):
            with contextlib.suppress(OSError):
                # The C library's own reading of digits: decimal, octal, hexadecimal.
                address = socket.inet_ntoa(socket.inet_aton(address))
            try:
                found += self._real(address, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
            except socket.gaierror:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
        return found


def stream() -> dict[str, Any]:
    """The event of the stream for all items that wake the courier, in the order of their keys."""
    items = aws.client("dynamodb").scan(TableName=settings().table_name)["Items"]
    woken = [item for item in items if item.get("wake", {}).get("S") == "courier"]
    woken.sort(key=lambda item: (item["pk"]["S"], item["sk"]["S"]))
    return {"Records": [{"dynamodb": {"NewImage": item}} for item in woken]}


def wake() -> dict[str, Any]:
    """Has the stream wake the courier."""
    return courier.run(stream())


def sweep() -> dict[str, Any]:
    """The courier's minute."""
    return courier.run({"source": "aws.events"})
