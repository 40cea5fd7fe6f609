"""Fake webhook subscribers on loopback, a fake table stream, and a fake DNS resolver."""

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
    """Set the stack's signing secrets, the new one first."""
    name = shared_secrets.parameter(settings().stack_name, shared_secrets.WEBHOOK_SECRETS)
    value = " ".join(secrets)
    aws.client("ssm").put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)
    shared_secrets.forget()
    return value


@dataclass
class Received:
    """A request that a subscriber received. Header names are in lower case."""

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
        """Whether one signature in the header is valid for this secret and the header's time."""
        moment = datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), UTC)
        expected = Webhook(secret).sign(self.id, moment, self.body)
        return expected in self.headers["webhook-signature"].split(" ")


@dataclass
class Subscriber:
    """Answers each request with the result of `answer`; 200 by default."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answer: Callable[[Received], Answer | None] = lambda received: (200, {})
    # When set, requests that wait without a response end.
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
    """A server on a free loopback port. It uses TLS if it gets a key and a certificate."""
    subscriber = Subscriber()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            received = Received(self.path, headers, body)
            subscriber.received.append(received)
            answer = subscriber.answer(received)
            if answer is None:  # the caller gets no response
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
    """A server whose response never ends. `left` is set when the caller closes the connection.

    Args:
        head: the start of the response; without it, not even the headers end.
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
        connection, _ = self._listening.accept()
        with contextlib.suppress(OSError):
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            connection.settimeout(1)  # a caller that is still connected reads sooner
            connection.recv(65536)
            connection.sendall(self._head)
            while not self._over.is_set():
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 50)
        if not self._over.is_set():
            self.left.set()
        connection.close()


class Resolver:
    """Replaces `socket.getaddrinfo`. DNS knows only `names`; numeric addresses stay unchanged."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {"example.com": ["93.184.215.14"]}
        self.asked: list[str] = []
        self._real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *more: Any, **named: Any) -> Any:
        self.asked.append(host)
        host.encode("idna")  # the real function does this first
        results = []
        for address in self.names.get(host, [host]):
            with contextlib.suppress(OSError):
                # The C library accepts decimal, octal and hexadecimal numbers.
                address = socket.inet_ntoa(socket.inet_aton(address))
            try:
                results += self._real(
                    address, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST
                )
            except socket.gaierror:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
        return results


def stream() -> dict[str, Any]:
    """The stream event with all items that wake the courier, in key order."""
    items = aws.client("dynamodb").scan(TableName=settings().table_name)["Items"]
    woken = [item for item in items if item.get("wake", {}).get("S") == "courier"]
    woken.sort(key=lambda item: (item["pk"]["S"], item["sk"]["S"]))
    return {"Records": [{"dynamodb": {"NewImage": item}} for item in woken]}


def wake() -> dict[str, Any]:
    """Invoke the courier with the stream event."""
    return courier.run(stream())


def sweep() -> dict[str, Any]:
    """Invoke the courier as its one-minute schedule does."""
    return courier.run({"source": "aws.events"})
