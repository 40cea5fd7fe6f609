"""The proxy between Slipway's functions and MiniStack. It applies the rules to every call.

When MiniStack starts, it passes the proxy's URL to the functions (AWS_ENDPOINT_URL_FOR_FUNCTIONS).
So the proxy starts first, and gets MiniStack's URL afterwards.
"""

from __future__ import annotations

import contextlib
import copy
import http.client
import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from local.gateway import wire
from local.gateway.messages import HttpAnswer, HttpRequest
from tests.support.simulated_aws.aws import Answer, AwsError, Call, ConnectionReset, Layer, Rule

FORWARD_SECONDS = 60.0
LOOK_SECONDS = 0.05  # how often the server checks for `stop`
# Not parsed: calls to the record's table are most of the traffic, and no rule applies to them.
UNREAD = frozenset({"dynamodb", "sts"})
# Headers of the connection, not of the message; the proxy sets its own.
# https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
NOT_PASSED_ON = {"connection", "content-length", "date", "keep-alive", "server"}
NOT_PASSED_ON |= {"transfer-encoding"}


@dataclass(frozen=True)
class Seen:
    """A call that the proxy handled.

    Attributes:
        outcome: "answered", an error's code, or "reset".
    """

    call: Call
    outcome: str


class Proxy:
    """Serves on a free port of 127.0.0.1 between `start` and `stop`.

    Attributes:
        calls: every parsed call, in the order in which the calls ended.
    """

    def __init__(self, rules: Sequence[Rule] = (), unread: frozenset[str] = UNREAD) -> None:
        """Args: rules: as for `Layer`; unread: services whose calls are forwarded unparsed."""
        self.calls: list[Seen] = []
        self._layer = Layer(rules)
        self._unread = unread
        self._lock = threading.Lock()
        self._target: str | None = None
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(LOOK_SECONDS,), daemon=True
        )

    @property
    def url(self) -> str:
        """The endpoint for the functions."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Start the server. It returns 503 until `forward_to`."""
        self._thread.start()

    def forward_to(self, url: str) -> None:
        """Forward later calls to the emulator at `url`."""
        self._target = urlsplit(url).netloc

    def stop(self) -> None:
        """Stop the server. Calls that it is forwarding finish."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, rule: Rule) -> None:
        """Add a rule after the others, nearest to the emulator."""
        with self._lock:
            self._layer.rules.append(rule)

    @contextlib.contextmanager
    def rule(self, rule: Rule) -> Iterator[None]:
        """Add a rule before all others during a `with` block."""
        with self._lock:
            self._layer.rules.insert(0, rule)
        try:
            yield
        finally:
            with self._lock:
                self._layer.rules.remove(rule)

    def handle(self, request: HttpRequest) -> HttpAnswer:
        """Return the response for the function, or raise `ConnectionReset` to send none."""
        unread = wire.service_of(request) in self._unread
        call = None if unread else wire.read_request(request)
        if call is None:
            return self._forward(request)
        try:
            outcome, answer = self._through_rules(call, request)
        except ConnectionReset:
            self.calls.append(Seen(call, "reset"))
            raise
        self.calls.append(Seen(call, outcome))
        return answer

    def _through_rules(self, call: Call, request: HttpRequest) -> tuple[str, HttpAnswer]:
        """(outcome, response): the emulator's own bytes unless a rule changed the response."""
        forwarded: HttpAnswer | None = None
        pristine: Answer | AwsError | None = None

        def emulator(_: Call) -> Answer:
            nonlocal forwarded, pristine
            # Rules have state, so they handle one call at a time; the emulator need not.
            self._lock.release()
            try:
                forwarded = self._forward(request)
            finally:
                self._lock.acquire()
            try:
                parsed = wire.read_answer(call, forwarded)
            except AwsError as error:
                pristine = error
                raise
            pristine = copy.deepcopy(parsed)
            return parsed

        try:
            with self._lock:
                result = self._layer.handle(call, emulator)
        except AwsError as error:
            own = forwarded if error is pristine else None
            return error.code, own or wire.write_error(call, error)
        own = forwarded if result == pristine else None
        return "answered", own or wire.write_answer(call, result)

    def _forward(self, request: HttpRequest) -> HttpAnswer:
        if self._target is None:
            return HttpAnswer(503, {}, b"the emulator has not started")
        # A new connection for each call: the emulator can close a kept connection at any time.
        connection = http.client.HTTPConnection(self._target, timeout=FORWARD_SECONDS)
        try:
            headers = _passed_on(request.headers)
            connection.request(request.method, request.path, request.body, headers)
            answer = connection.getresponse()
            return HttpAnswer(answer.status, _passed_on(answer.headers), answer.read())
        finally:
            connection.close()


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in NOT_PASSED_ON}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # the functions keep their connections open

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Report nothing: a killed or stopped function closes its connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = HttpRequest(self.command, self.path, self.headers, body)
        try:
            answer = self.server.proxy.handle(request)
        except ConnectionReset:
            self._reset()
            return
        except Exception as error:  # a bug in a rule must be visible, not appear as a time-out
            answer = HttpAnswer(500, {}, f"the proxy broke: {error!r}".encode())
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def _reset(self) -> None:
        # With SO_LINGER 0, a close sends a reset.
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: `Proxy.calls` is the log."""
