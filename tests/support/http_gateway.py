"""API Gateway over HTTP: an authorizer, a proxy event, and the gateway's own refusals.

It serves Slipway's API from this process. Each request is answered alone, so a world on simulated
time stays consistent.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import app
from infra.template import resources
from tests.support.gateway import Answered, authorize, call, proxy_event
from tests.support.project import ROOT

POLL_SECONDS = 0.02
# The exception with which an authorizer refuses a token. Any other one is a fault.
UNAUTHORIZED = "Unauthorized"
OWN_ANSWERS = resources(ROOT)["Resources"]["RestAPI"]["Properties"]["GatewayResponses"]


@contextmanager
def served(after: Callable[[], object]) -> Iterator[str]:
    """Serve the API during a `with` block; yields its URL. `after` is called after each request."""
    server = _Server(after)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(HTTPServer):
    def __init__(self, after: Callable[[], object]) -> None:
        self.after = after
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    # HTTP/1.0: a kept connection would make the other clients wait.
    server: _Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answered = _respond(self.command, self.path, dict(self.headers.items()), body)
        text = answered.text.encode()
        self.send_response_only(answered.status)
        for name, value in answered.headers.items():
            self.send_header(name, value)
        if "content-length" not in answered.headers:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)
        self.server.after()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing; schemathesis reports what it received."""


def _respond(method: str, target: str, headers: dict[str, str], body: bytes) -> Answered:
    url = urlsplit(target)
    query: dict[str, str | list[str]] = dict(parse_qs(url.query, keep_blank_values=True))
    text = body.decode(errors="replace") if body else None
    event = proxy_event(method, url.path, text, query, headers)
    methods = app.app.routes.get(event["resource"], {})
    route = methods.get("GET" if method == "HEAD" else method)
    if route and route.authorizer:
        sent = {name.lower(): value for name, value in headers.items()}.get("authorization")
        try:
            if not sent:  # API Gateway does not call the authorizer
                raise Exception(UNAUTHORIZED)
            event["requestContext"]["authorizer"] = authorize(sent)
        except Exception as error:
            if str(error) != UNAUTHORIZED:
                raise
            return _own("UNAUTHORIZED", url.path)
    return call(event)


def _own(kind: str, path: str) -> Answered:
    """A response of API Gateway's own, as the template sets it."""
    configured = OWN_ANSWERS[kind]
    headers = configured["ResponseParameters"]["Headers"]
    text = configured["ResponseTemplates"]["application/json"]
    return Answered(
        int(configured["StatusCode"]),
        {name.lower(): value.strip("'") for name, value in headers.items()},
        text.replace('"$context.path"', json.dumps(path)),
    )
