"""Serves the recommender that train.py wrote: `GET /?uid=20&k=10` and `GET /health`.

Environment: `PORT` (80; 0 takes a free one), `HOST` (0.0.0.0), `MODEL` (model.npz beside this
file), `TASK_ID` (host name and process ID), which every response has in `X-Served-By`.

The standard library's server is enough: a request takes less than a millisecond, and a load
balancer is in front. On SIGTERM the server must close idle connections at once without cutting a
request in flight; that takes a dozen lines here and no dependency.
"""

import json
import os
import re
import signal
import socket
import sys
import threading
import time
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from model import Json, ModelError, Recommender

DEFAULT_K, MAX_K = 10, 100
MAX_UID = 2**31 - 1
# Longer than the 60 s of the load balancer. Otherwise it could reuse a closing connection (a 502):
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html
IDLE_SECONDS = 75
GRACE_SECONDS = 5  # for requests in flight at SIGTERM; by default ECS sends SIGKILL after 30 s
LONGEST_LOGGED = 256  # characters of a request target


class BadRequest(Exception):
    """A query parameter is invalid; `field` names it and the message says what is allowed."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def whole_number(
    query: dict[str, list[str]], field: str, low: int, high: int, default: int | None = None
) -> int:
    """Return the value of a parameter; raise BadRequest. Without a default it is required."""
    rule = f"a whole number from {low} to {high}, e.g. /?uid=20&k=10"
    values = query.get(field, [])
    if not values and default is not None:
        return default
    if not values:
        raise BadRequest(field, f"{field} is missing; it must be {rule}")
    if len(values) > 1:
        raise BadRequest(field, f"{field} occurs {len(values)} times; it must occur once")
    if not re.fullmatch("[0-9]{1,10}", values[0]) or not low <= int(values[0]) <= high:
        raise BadRequest(field, f"{field} must be {rule}")
    return int(values[0])


def answer(recommender: Recommender, target: str) -> tuple[HTTPStatus, Json]:
    """Return status and body for a GET of `target`, the path and query of the request line."""
    path, _, query_string = target.partition("?")
    if path == "/health":
        return HTTPStatus.OK, {"success": True, "status": "ok"}
    if path != "/":
        return HTTPStatus.NOT_FOUND, problem("this path does not exist; use /?uid=20 or /health")
    try:
        query = parse_qs(query_string, keep_blank_values=True)
        uid = whole_number(query, "uid", 0, MAX_UID)
        k = whole_number(query, "k", 1, MAX_K, DEFAULT_K)
    except BadRequest as error:
        return HTTPStatus.BAD_REQUEST, problem(str(error), error.field)
    return HTTPStatus.OK, recommender.recommend(uid, k)


def problem(message: str, field: str | None = None) -> Json:
    """Return the body of an error response."""
    return {"success": False, "error": {"field": field, "message": message}}


def log(event: str, **details: object) -> None:
    """Write one JSON line to standard output."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    # One write a line: threads must not interleave.
    sys.stdout.write(json.dumps({"time": now, "event": event, **details}) + "\n")
    sys.stdout.flush()


class Server(ThreadingHTTPServer):
    """One thread per connection, and a stop that closes idle connections at once."""

    daemon_threads = True  # a client that never reads its response must not delay the exit
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], recommender: Recommender, task_id: str) -> None:
        """Bind and listen; raise OSError."""
        self.recommender = recommender
        self.task_id = task_id
        self.stopping = False
        self._connections: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Bind without HTTPServer's reverse lookup of the host name, which can take seconds."""
        super(ThreadingHTTPServer, self).server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Register the connection, then start its thread."""
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close the connection and forget it."""
        super().shutdown_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a broken connection without a traceback; the base class calls this."""
        log("connection_error", client=client_address[0], error=repr(sys.exception()))

    def stop(self) -> int:
        """Stop accepting and finish the requests in flight; return how many were not finished."""
        self.shutdown()
        # Also answer the connections that the kernel has already accepted.
        self.timeout = 0
        for _ in range(self.request_queue_size):
            self.handle_request()
        self.server_close()
        self.stopping = True
        with self._changed:
            for connection in self._connections:
                # The thread of an idle connection now reads the end of the stream. A response in
                # progress continues, and a request that has arrived can still be read.
                try:
                    connection.shutdown(socket.SHUT_RD)
                except OSError:
                    continue  # the client closed it first
            self._changed.wait_for(lambda: not self._connections, GRACE_SECONDS)
            return len(self._connections)


class Handler(BaseHTTPRequestHandler):
    """One connection: parses the request and sends the result of `answer`."""

    server: Server
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # with 0.9 an error would have no status line
    server_version, sys_version = "recommend", ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Prepare the connection."""
        super().setup()
        self.path, self.started = "", time.monotonic()

    def parse_request(self) -> bool:
        """Record when the request line arrived."""
        self.path, self.started = "", time.monotonic()
        return super().parse_request()

    def do_GET(self) -> None:
        """Answer a GET."""
        self._drop_body()
        try:
            status, body = answer(self.server.recommender, self.path)
        except Exception as error:
            log("error", target=self.path[:LONGEST_LOGGED], error=repr(error))
            status, body = HTTPStatus.INTERNAL_SERVER_ERROR, problem("the model failed")
        self._send(status, body)

    do_HEAD = do_GET

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that cannot be parsed, or has a method other than GET and HEAD."""
        if code != HTTPStatus.NOT_IMPLEMENTED:
            self.close_connection = True
            self._send(HTTPStatus(code), problem(message or HTTPStatus(code).phrase))
            return
        self._drop_body()
        self._send(HTTPStatus.METHOD_NOT_ALLOWED, problem("use GET or HEAD"), Allow="GET, HEAD")

    def _drop_body(self) -> None:
        """Read and drop the request body, or close the connection after the response."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not re.fullmatch("[0-9]{1,4}", length):
            self.close_connection = True
        else:
            self.rfile.read(int(length))

    def _send(self, status: HTTPStatus, body: Json, **headers: str) -> None:
        """Send the response and log it. HEAD gets the headers of GET."""
        data = json.dumps(body).encode()
        if self.server.stopping:
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Served-By", self.server.task_id)
        self.send_header("Cache-Control", "no-store")
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        log(
            "request",
            method=self.command,
            target=self.path[:LONGEST_LOGGED],
            status=int(status),
            bytes=len(data),
            ms=round((time.monotonic() - self.started) * 1000, 2),
            client=self.client_address[0],
        )
        # The stop may have started while a slow client read the response.
        self.close_connection = self.close_connection or self.server.stopping

    def log_message(self, format: str, *args: object) -> None:
        """Drop the lines of the base class, because `_send` writes its own."""


def catch_stop_signals() -> socket.socket:
    """Return a socket that becomes readable when SIGTERM or SIGINT arrives.

    Python runs a signal handler only between two instructions of the main thread. A signal that
    arrives just before the thread blocks would wait forever. The wakeup descriptor has no such gap:
    https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return reader


def main() -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 1 if the server cannot start."""
    # First of all, because the first process of a container ignores a signal without a handler.
    stop_signal = catch_stop_signals()
    host, port = os.environ.get("HOST", "0.0.0.0"), os.environ.get("PORT", "80")
    model = Path(os.environ.get("MODEL") or Path(__file__).resolve().parent / "model.npz")
    task_id = os.environ.get("TASK_ID") or f"{socket.gethostname()}:{os.getpid()}"
    try:
        if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
            raise OSError("PORT must be a whole number from 0 to 65535")
        server = Server((host, int(port)), Recommender(model), task_id)
    except ModelError as error:
        log("error", message=str(error))
        return 1
    except OSError as error:
        log("error", message=f"cannot listen on {host}:{port}: {error}")
        return 1
    bound_host, bound_port = server.server_address[:2]
    thread = threading.Thread(target=server.serve_forever, args=(0.1,))
    thread.start()
    log("start", message=f"listening on {bound_host!s}:{bound_port}", served_by=task_id)
    stop_signal.recv(1)
    log("stopping", message="finishing the requests in flight")
    cut = server.stop()
    thread.join()
    log("stop", message="stopped", connections_cut=cut)
    return 0


if __name__ == "__main__":
    sys.exit(main())
