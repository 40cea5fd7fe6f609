"""Measures how long a Slack command waits for its acknowledgement, from a cold and a warm function.

    python -m benchmarks.acknowledge

It compares the command to `GET /health`, which does nothing, on a function that is equally cold.
The difference is the cost of an acknowledgement: its libraries, the signing secret and the table.
Both alternate, so that other load of the machine affects them equally. A cold start on AWS has
parts that the local stack lacks, so neither the times nor the ratios apply to AWS. Slack waits for
3 seconds.
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
    """A stack's API over one connection, and its function."""

    def __init__(self, running: stack.Stack) -> None:
        self._running = running
        self._parts = urlsplit(running.api_url)
        self._connection = http.client.HTTPConnection(self._parts.netloc, timeout=60)
        self._functions = client("lambda", running)
        names = [f["FunctionName"] for f in self._functions.list_functions()["Functions"]]
        (self._name,) = (name for name in names if "APIHandler" in name)
        configuration = self._functions.get_function_configuration(FunctionName=self._name)
        self._variables = configuration["Environment"]["Variables"]

    def chill(self) -> None:
        """End the processes of the function, as a change of its configuration does on AWS."""
        variables = {**self._variables, "CHILLED": str(next(_numbers))}
        self._functions.update_function_configuration(
            FunctionName=self._name, Environment={"Variables": variables}
        )
        waiter = self._functions.get_waiter("function_updated_v2")
        waiter.wait(FunctionName=self._name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})

    def rest_the_worker(self) -> None:
        """Disable the chat worker, because its work would compete with the measured calls."""
        for mapping in self._functions.list_event_source_mappings()["EventSourceMappings"]:
            if "ChatWorker" in mapping["FunctionArn"]:
                self._functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)

    def map_channel(self) -> None:
        """Map the channel to an owner, as an admin does once."""
        headers = {
            "Authorization": f"Bearer {self._running.admin_token}",
            "Content-Type": "application/json",
        }
        self.send("PUT", f"/slack/owners/{CHANNEL}", b'{"owner": "demo"}', headers, 201)

    def health(self) -> float:
        """Return the seconds that `GET /health` takes."""
        return self.send("GET", "/health", None, {}, 200)

    def command(self) -> float:
        """Return the seconds until a command for the worker is acknowledged."""
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
        """Return the seconds that a request takes; an unexpected status ends the benchmark."""
        started = time.perf_counter()
        self._connection.request(method, self._parts.path + path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status == expected, (answer.status, content)
        return time.perf_counter() - started


def measured(api: Api) -> dict[str, float]:
    """Return the medians in seconds."""
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
    """Print the times and ratios of one run."""

    def line(what: str, one: str, other: str) -> str:
        return f"  {what}: {seconds[one] / seconds[other]:.2f}"

    print(f"Acknowledgement of /slack/commands, medians of {RUNS} runs:")
    for name, value in seconds.items():
        print(f"  {name:13} {value * 1000:7.0f} ms")
    print("Ratios:")
    print(line("cold command to cold GET /health", "cold command", "cold health"))
    print(line("warm command to warm GET /health", "warm command", "warm health"))
    print(line("cold command to warm command", "cold command", "warm command"))


def main() -> None:
    """Measure on a separate stack."""
    with tempfile.TemporaryDirectory() as folder, stack.running(Path(folder, "stack")) as running:
        api = Api(running)
        api.rest_the_worker()
        api.map_channel()
        show(measured(api))


if __name__ == "__main__":
    main()
