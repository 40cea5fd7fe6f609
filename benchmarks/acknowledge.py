"""How long a command of Slack waits for its acknowledgement, from a cold function and from a warm.

    python -m benchmarks.acknowledge

Beside `GET /health`, which does nothing, on a function that is equally cold: the rest is what an
acknowledgement itself takes, its libraries, the signing secret and the table. They take turns, so
that what else the machine does meets all alike. On AWS a cold start has parts that no local stack
has: neither the milliseconds nor the ratios can be carried over. Slack waits for 3 seconds.
"""

import http.client
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from slack_sdk.signature import SignatureVerifier

from local import stack
from local.emulator import client

RUNS = 9
USER, CHANNEL = "U0BENCHMARK", "C0BENCHMARK"
FORM = "application/x-www-form-urlencoded"
_numbers = itertools.count(1)


class Api:
    """A stack's API over one connection, and the function behind it."""

    def __init__(self, running: stack.Stack) -> None:
        self._running = running
        self._parts = urlsplit(running.api_url)
        self._connection = http.client.HTTPConnection(self._parts.netloc, timeout=60)
        self._functions = client("lambda", running.aws_endpoint_url)
        names = [f["FunctionName"] for f in self._functions.list_functions()["Functions"]]
        (self._name,) = (name for name in names if "APIHandler" in name)
        found = self._functions.get_function_configuration(FunctionName=self._name)
        self._variables = found["Environment"]["Variables"]

    def chill(self) -> None:
        """Ends the function's processes, as a change of its configuration does on AWS."""
        variables = {**self._variables, "CHILLED": str(next(_numbers))}
        self._functions.update_function_configuration(
            FunctionName=self._name, Environment={"Variables": variables}
        )
        waiter = self._functions.get_waiter("function_updated_v2")
        waiter.wait(FunctionName=self._name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})

    def rest_the_worker(self) -> None:
        """Nobody does what is asked for: it would take the processor from what is measured."""
        for mapping in self._functions.list_event_source_mappings()["EventSourceMappings"]:
            if "ChatWorker" in mapping["FunctionArn"]:
                self._functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)

    def map_channel(self) -> None:
        """Has the channel act for an owner, as an admin does once."""
        headers = {
            "Authorization": f"Bearer {self._running.admin_token}",
            "Content-Type": "application/json",
        }
        self.send("PUT", f"/slack/owners/{CHANNEL}", b'{"owner": "demo"}', headers, 201)

    def health(self) -> float:
        """Seconds that `GET /health` takes."""
        return self.send("GET", "/health", None, {}, 200)

    def command(self) -> float:
        """Seconds until a command is acknowledged that the worker is then to do."""
        form = {
            "team_id": "T0",
            "user_id": USER,
            "channel_id": CHANNEL,
            "command": "/slipway",
            "text": f"scale recommender {next(_numbers)}",
            "response_url": "https://hooks.slack.com/commands/T0/1/x",
        }
        body, timestamp = urlencode(form).encode(), str(int(time.time()))
        verifier = SignatureVerifier(self._running.slack_signing_secret)
        headers = {
            "Content-Type": FORM,
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": verifier.generate_signature(timestamp=timestamp, body=body) or "",
        }
        return self.send("POST", "/slack/commands", body, headers, 200)

    def send(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], expected: int
    ) -> float:
        """Seconds that a request takes; any other status ends the benchmark."""
        started = time.perf_counter()
        self._connection.request(method, self._parts.path + path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status == expected, (answer.status, content)
        return time.perf_counter() - started


def measured(api: Api) -> dict[str, float]:
    """Medians in seconds."""
    took: dict[str, list[float]] = {}

    def note(name: str, ask: Callable[[], float]) -> None:
        took.setdefault(name, []).append(ask())

    for _ in range(RUNS):
        for name, ask in (("health", api.health), ("command", api.command)):
            api.chill()
            note(f"cold {name}", ask)
            note(f"warm {name}", ask)
    return {name: statistics.median(values) for name, values in took.items()}


def show(seconds: dict[str, float]) -> None:
    """Print times and ratios of one run."""

    def line(what: str, one: str, other: str) -> str:
        return f"  {what}: {seconds[one] / seconds[other]:.2f}"

    print(f"An acknowledgement of /slack/commands, medians of {RUNS} turns:")
    for name, value in seconds.items():
        print(f"  {name:13} {value * 1000:7.0f} ms")
    print("Ratios in this run:")
    print(line("cold, to GET /health as cold", "cold command", "cold health"))
    print(line("warm, to GET /health as warm", "warm command", "warm health"))
    print(line("cold, to the same warm", "cold command", "warm command"))


def main() -> None:
    """Measure on a stack of its own."""
    with tempfile.TemporaryDirectory() as folder, stack.running(Path(folder, "stack")) as running:
        api = Api(running)
        api.rest_the_worker()
        api.map_channel()
        show(measured(api))


if __name__ == "__main__":
    main()
