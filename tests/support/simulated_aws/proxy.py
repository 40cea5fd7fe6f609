"""The proxy between Slipway's functions and MiniStack: every call meets the rules on its way.

MiniStack hands the proxy's URL to the functions when it starts (AWS_ENDPOINT_URL_FOR_FUNCTIONS),
so the proxy listens first, and learns afterwards where MiniStack is.
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

from tests.support.simulated_aws import wire
from tests.support.simulated_aws.aws import Answer, AwsError, Call, ConnectionReset, Layer, Rule
from tests.support.simulated_aws.wire import HttpAnswer, HttpRequest

FORWARD_SECONDS = 60.0
LOOK_SECONDS = 0.05  # how soon `stop` is seen
# Not parsed: the record's own table is most of the traffic, and no rule of AWS is about it.
UNREAD = frozenset({"dynamodb", "sts"})
# Of the connection and not of the message; the rest is set anew.
# https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
NOT_PASSED_ON = {"connection", "content-length", "date", "keep-alive", "server"}
NOT_PASSED_ON |= {"transfer-encoding"}


@dataclass(frozen=True)
class Seen:
    """A call that came through.

    Attributes:
        outcome: "answered", an error's code, or "reset".
    """

    call: Call
    outcome: str


class Proxy:
    """Serves on a free port of 127.0.0.1 between `start` and `stop`.

    Attributes:
        calls: every call that was read, in the order in which they ended.
    """

    def __init__(self, rules: Sequence[Rule] = (), unread: frozenset[str] = UNREAD) -> None:
        """Args: rules: as `Layer` takes them; unread: services that are passed on unparsed."""
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
        """Begin to answer: 503 until `forward_to`."""
        self._thread.start()

    def forward_to(self, url: str) -> None:
        """Pass on to the emulator at `url` from now on."""
        self._target = urlsplit(url).netloc

    def stop(self) -> None:
        """Stop answering; calls that are being forwarded end by themselves."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, rule: Rule) -> None:
        """Put a rule behind the others: it is nearest to the emulator."""
        with self._lock:
            self._layer.rules.append(rule)

    @contextlib.contextmanager
    def rule(self, rule: Rule) -> Iterator[None]:
        """Put a rule before all others for the length of a `with` block."""
        with self._lock:
            self._layer.rules.insert(0, rule)
        try:
            yield
        finally:
            with self._lock:
                self._layer.rules.remove(rule)

    def handle(self, request: HttpRequest) -> HttpAnswer:
        """What goes back to the function; raises `ConnectionReset` where nothing does."""
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
        """(outcome, answer): the emulator's own bytes unless a rule changed or made the answer."""
        forwarded: HttpAnswer | None = None
        pristine: Answer | AwsError | None = None

        def emulator(_: Call) -> Answer:
            nonlocal forwarded, pristine
            # Rules keep books and take turns; what goes on in the emulator need not wait.
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
        # A connection each: one that is kept may be closed at any moment from the other end.
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
        """A function that was killed or stopped takes its connection along: nothing to tell."""


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
        except Exception as error:  # a fault of a rule must be seen, and not as an odd time-out
            answer = HttpAnswer(500, {}, f"the proxy broke: {error!r}".encode())
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def _reset(self) -> None:
        # Without lingering a close is a reset.
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: `Proxy.calls` is the log."""
