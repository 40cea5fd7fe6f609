"""Requests nearly as long as `request_timeout` end well while tasks are replaced or removed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.stack.client import Answer, Client, ask
from tests.stack.harsh.simulated import Simulated
from tests.stack.harsh.test_no_failed_request import tag
from tests.stack.harsh.test_pause import PAUSED, kind_of
from tests.support.summary import LINES

REQUEST_TIMEOUT, SECONDS = 10, 8
EVERY_SECONDS = 0.25
MOST_OPEN = 64
FEWEST = 5
# It answers after the seconds in its path, and finishes open requests after SIGTERM.
SLOW = """
import http.server, os, signal, threading, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(float(self.path.partition("=")[2] or 0))
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"done")

class Server(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = False, 128

server = Server((os.environ["HOST"], int(os.environ["PORT"])), Handler)
stop = lambda *_: threading.Thread(target=server.shutdown).start()
signal.signal(signal.SIGTERM, stop)
server.serve_forever(0.1)
server.server_close()
"""


@dataclass
class Callers:
    """Many clients, whose requests overlap."""

    answers: list[Future[Answer]] = field(default_factory=list)

    @property
    def cut(self) -> list[Answer]:
        """The responses that are neither complete nor the pause response."""
        found = [future.result() for future in self.answers]
        return [each for each in found if each.text != "done" and kind_of(each) != PAUSED]

    @property
    def complete(self) -> int:
        return sum(future.result().text == "done" for future in self.answers)


@contextlib.contextmanager
def calling(url: str) -> Iterator[Callers]:
    """Start requests at a steady rate; at the end of the block, wait for all answers."""
    callers, stop = Callers(), threading.Event()

    def loop(pool: ThreadPoolExecutor) -> None:
        while not stop.wait(EVERY_SECONDS):
            callers.answers.append(pool.submit(ask, f"{url}/slow?seconds={SECONDS}"))

    with ThreadPoolExecutor(MOST_OPEN) as pool:
        thread = threading.Thread(target=loop, args=(pool,))
        thread.start()
        try:
            yield callers
        finally:
            stop.set()
            thread.join()


def test_an_update_a_scale_in_and_a_pause_cut_no_request(
    harsh: Client, simulated: Simulated
) -> None:
    made = harsh.deploy(
        "patient",
        command=["python", "-u", "-c", SLOW],
        count=2,
        request_timeout=REQUEST_TIMEOUT,
        smoke_test={"path": "/health"},
    )
    assert made["status"] == "ACTIVE", made["failure"]
    changes = {
        "update": lambda: harsh.change(made["id"], image=tag(simulated, "2")),
        "scale-in": lambda: harsh.change(made["id"], count=1),
        "pause": lambda: paused(harsh, made["id"]),
    }
    for name, change in changes.items():
        with calling(made["url"]) as callers:
            ended = change()
        assert ended["operation"]["status"] == "succeeded", ended["failure"]
        LINES.append(
            f"{callers.complete} requests of {SECONDS} s complete during an operation "
            f"({name}): {len(callers.cut)} cut"
        )
        assert callers.cut == []
        assert callers.complete >= FEWEST
    assert harsh.delete(made["id"])["status"] == "DELETED"


def paused(harsh: Client, deployment: str) -> dict[str, object]:
    """Pause, and return the deployment once the pause has ended."""
    assert harsh.send("POST", f"/deployments/{deployment}/pause").status == 202
    return harsh.follow(deployment)
