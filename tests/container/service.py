"""recommend.py as a real process, and a client for it."""

import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTAINER = Path(__file__).parents[2] / "container"
HOST = "127.0.0.1"
PATIENCE = 60  # seconds until a test that hangs fails

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """One HTTP response with its JSON body, or None if it has no body."""

    status: int
    headers: dict[str, str]
    body: Any


class Service:
    """A running process; a thread reads its log, so that a full pipe never blocks it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.SimpleQueue[Json] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = 0

    def await_start(self) -> None:
        """Read the port from the first line of the log."""
        self.port = int(self.wait_for("start")["message"].rsplit(":", 1)[1])

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put({"event": "end of log"})

    def wait_for(self, event: str) -> Json:
        """Return the next log line of an event; drop the lines before it."""
        while True:
            line = self._lines.get(timeout=PATIENCE)
            if line["event"] == event:
                return line
            assert line["event"] != "end of log", f"the process ended without {event!r}"

    def connect(self) -> http.client.HTTPConnection:
        """A keep-alive connection."""
        return http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE)

    def get(self, target: str) -> Answer:
        """GET over a separate connection."""
        with connection(self) as client:
            return ask(client, target)

    def close(self) -> None:
        """Kill the process; close the pipe after the reader has seen the end of the log."""
        self.process.kill()
        self._reader.join()

    def terminate(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal and do not wait."""
        self.process.send_signal(number)


@contextmanager
def connection(service: Service) -> Iterator[http.client.HTTPConnection]:
    """A keep-alive connection, closed at the end."""
    client = service.connect()
    try:
        yield client
    finally:
        client.close()


def ask(
    client: http.client.HTTPConnection, target: str, method: str = "GET", body: str | None = None
) -> Answer:
    """One request over `client`."""
    client.request(method, target, body)
    return read(client.getresponse())


def read(response: http.client.HTTPResponse) -> Answer:
    """Return the complete response."""
    data = response.read()
    return Answer(response.status, dict(response.getheaders()), json.loads(data) if data else None)


@contextmanager
def running(model: Path, program: list[str] | None = None, **environment: str) -> Iterator[Service]:
    """Start recommend.py, or another `program` in its folder, on a free port, and kill it."""
    process = subprocess.Popen(
        [sys.executable, *(program or ["recommend.py"])],
        cwd=CONTAINER,
        env=os.environ | {"HOST": HOST, "PORT": "0", "MODEL": str(model)} | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        service = Service(process)
        try:
            service.await_start()
            yield service
        finally:
            service.close()
