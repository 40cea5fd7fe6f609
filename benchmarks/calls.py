"""Counts the AWS calls of one deploy, one poll and one teardown, and measures a poll.

    python -m benchmarks.calls

A counting proxy is between the functions and the emulator of a local stack. The workers are
disabled, because their messages to subscribers and Slack are not part of a deploy.
"""

import collections
import http.client
import json
import os
import statistics
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from local import stack
from local.emulator import client

Counter = collections.Counter[str]
LOOKS = 40


class Proxy(BaseHTTPRequestHandler):
    """Forwards each call to the emulator and counts it by service and operation."""

    protocol_version = "HTTP/1.1"
    target = ""
    counted: ClassVar[Counter] = collections.Counter()

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        Proxy.counted[self._operation(body)] += 1
        connection = http.client.HTTPConnection(urlsplit(Proxy.target).netloc, timeout=60)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        connection.close()

    do_GET = do_POST = do_PUT = do_DELETE = _forward

    def _operation(self, body: bytes) -> str:
        service = self.headers.get("Authorization", "").split("/aws4_request")[0].split("/")[-1]
        target = self.headers.get("X-Amz-Target", "").split(".")[-1]
        return f"{service} {target or parse_qs(body.decode()).get('Action', [self.path])[0]}"

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log, because the counts are the output."""


def ask(running: stack.Stack, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """Call Slipway's API; return the JSON of the response."""
    headers = {"Authorization": f"Bearer {running.token}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(running.api_url + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return dict(json.load(answer))


def polled(running: stack.Stack, path: str) -> dict[str, str]:
    """Return the time of a poll as a multiple of `GET /health`, which does nothing.

    The calls alternate, so that other load of the machine affects them equally.
    """
    parts = urlsplit(running.api_url)
    token = {"Authorization": f"Bearer {running.token}"}
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)

    def look(path: str, headers: dict[str, str], expected: int) -> tuple[float, str]:
        started = time.perf_counter()
        connection.request("GET", parts.path + path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == expected, answer.status
        return time.perf_counter() - started, answer.headers.get("ETag", "")

    took: dict[str, list[float]] = {"health": [], "200": [], "304": []}
    for _ in range(LOOKS):
        took["health"].append(look("/health", {}, 200)[0])
        seconds, etag = look(path, token, 200)
        took["200"].append(seconds)
        took["304"].append(look(path, {**token, "If-None-Match": etag}, 304)[0])
    connection.close()
    usual = statistics.median(took["health"])
    return {name: f"{statistics.median(took[name]) / usual:.2f}" for name in ("200", "304")}


def settled(running: stack.Stack, path: str) -> dict[str, Any]:
    """Return the deployment when its operation has ended."""
    while True:
        deployment = ask(running, "GET", path)
        if deployment["operation"]["status"] != "running":
            return deployment
        time.sleep(0.2)


def rest_the_workers(running: stack.Stack) -> None:
    """Disable the event source mappings of the table's stream."""
    functions = client("lambda", running)
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)


def show(title: str, counted: Counter) -> None:
    """Print the calls of one operation; calls of the table are counted separately."""
    record = sum(n for name, n in counted.items() if name.startswith("dynamodb"))
    others = {name: n for name, n in counted.items() if not name.startswith("dynamodb")}
    print(f"{title}: {sum(others.values())} AWS calls and {record} calls of the table")
    for name, count in sorted(others.items()):
        print(f"  {count:3} {name}")


def main() -> None:
    """Deploy and delete the sample once, and print the calls."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["AWS_ENDPOINT_URL_FOR_FUNCTIONS"] = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LOCAL_AWS_PORT"] = str(_free_port())
        Proxy.target = f"http://127.0.0.1:{os.environ['LOCAL_AWS_PORT']}"
        with stack.running(Path(folder, "stack")) as running:
            rest_the_workers(running)
            spec = {
                "name": "counted",
                "image": running.sample_image,
                "health_check": {"path": "/health"},
                "smoke_test": {"path": "/?uid=20"},
            }
            path = f"/deployments/{ask(running, 'POST', '/deployments', spec)['id']}"
            print(settled(running, path)["status"])
            polls = Proxy.counted.copy()
            ask(running, "GET", path)
            one_get = Proxy.counted - polls
            show("deploy, including the polls of its status", polls)
            show("one GET of the status", one_get)
            Proxy.counted.clear()
            ratios = polled(running, path)
            show(f"{LOOKS} GETs with status 200 and {LOOKS} with status 304", Proxy.counted)
            print(f"  a 200 takes {ratios['200']} times GET /health, a 304 {ratios['304']} times")
            Proxy.counted.clear()
            ask(running, "DELETE", path)
            print(settled(running, path)["status"])
            show("teardown, including the polls of its status", Proxy.counted)
    server.shutdown()


def _free_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as probe:
        return probe.server_port


if __name__ == "__main__":
    main()
