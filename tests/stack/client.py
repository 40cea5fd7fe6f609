"""A client of Slipway's API and of deployed models. It returns errors instead of raising them."""

import contextlib
import http.client
import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chalicelib.store import tokens
from local.emulator import client as aws_client
from local.emulator import open_url
from local.stack import Stack

# Each look runs two functions, which takes time from the operation that it looks at.
LOOK_SECONDS = 0.3
BACKOFF_SECONDS = (0.1, 0.4, 1.6)
OPERATION_SECONDS = 120.0
SAMPLE_PATH = "/?uid=20"


@dataclass(frozen=True)
class Answer:
    """A response; `status` 0 means that there was none."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(
    url: str,
    method: str = "GET",
    data: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Send one request."""
    request = urllib.request.Request(url, data, headers or {}, method=method)
    try:
        with open_url(request, timeout=60) as answer:
            return Answer(answer.status, answer.headers, answer.read().decode())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read().decode())
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, http.client.HTTPMessage(), repr(error))


def wait_until(condition: Callable[[], Any], what: str, deadline: float = OPERATION_SECONDS) -> Any:
    """Return the first true value of `condition`. Fail the test if there is none in time."""
    end = time.monotonic() + deadline
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {deadline:g} s: {what}"
        time.sleep(LOOK_SECONDS)
    return value


def issue_token(stack: Stack, owner: str, *scopes: str) -> str:
    """Store an additional token in the stack's table and return it."""
    dynamodb = aws_client("dynamodb", stack)
    (table,) = dynamodb.list_tables()["TableNames"]
    return tokens.issue(table_name=table, owner=owner, scopes=list(scopes), client=dynamodb)[1]


class Client:
    """Slipway's API for one token."""

    def __init__(self, stack: Stack, token: str | None = None) -> None:
        self._url = stack.api_url
        self.token = stack.token if token is None else token
        self._image = stack.sample_image

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        data: bytes | None = None,
        **headers: str,
    ) -> Answer:
        """Send a JSON body, or `data` unchanged. Header names use `_` for `-`, as in `If_Match`."""
        own = {"Content-Type": "application/json"}
        if self.token:
            own["Authorization"] = f"Bearer {self.token}"
        own |= {name.replace("_", "-"): value for name, value in headers.items()}
        if data is None and body is not None:
            data = json.dumps(body).encode()
        return ask(self._url + path, method, data, own)

    def spec(self, name: str, **changes: Any) -> dict[str, Any]:
        """A spec of the sample model."""
        return {
            "name": name,
            "image": self._image,
            "health_check": {"path": "/health"},
            "smoke_test": {"path": SAMPLE_PATH, "json_has": ["recommendations"]},
            **changes,
        }

    def create(self, name: str, **changes: Any) -> str:
        """POST a create and return the ID of the accepted deployment."""
        answer = self.send("POST", "/deployments", self.spec(name, **changes))
        assert answer.status == 202, answer.text
        return str(answer.json["id"])

    def get(self, deployment: str) -> dict[str, Any]:
        """The deployment resource."""
        answer = self.send("GET", f"/deployments/{deployment}")
        assert answer.status == 200, answer.text
        return dict(answer.json)

    def follow(self, deployment: str) -> dict[str, Any]:
        """The deployment resource once its operation has ended."""

        def ended() -> dict[str, Any] | None:
            found = self.get(deployment)
            return None if found["operation"]["status"] == "running" else found

        return dict(wait_until(ended, f"the end of the operation of {deployment}"))

    def deploy(self, name: str, **changes: Any) -> dict[str, Any]:
        """Create a deployment and wait until the create has ended."""
        return self.follow(self.create(name, **changes))

    def change(self, deployment: str, **changes: Any) -> dict[str, Any]:
        """PATCH, and return the deployment once the update has ended."""
        answer = self.send("PATCH", f"/deployments/{deployment}", changes)
        assert answer.status == 202, answer.text
        return self.follow(deployment)

    def delete(self, deployment: str) -> dict[str, Any]:
        """DELETE, and return the deployment once the teardown has ended."""
        answer = self.send("DELETE", f"/deployments/{deployment}")
        assert answer.status == 202, answer.text
        return self.follow(answer.json["id"])

    def events(self, deployment: str) -> list[dict[str, Any]]:
        """All events, read page by page."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            answer = self.send("GET", f"/deployments/{deployment}/events?limit=20{cursor}").json
            found += answer["events"]
            if answer["next_cursor"] is None:
                return found
            cursor = f"&cursor={answer['next_cursor']}"


def predict(url: str) -> Answer:
    """One prediction of a deployed sample model."""
    return ask(url + SAMPLE_PATH)


def wait_for_tasks(url: str, count: int) -> set[str]:
    """Return the tasks that respond, once the last responses come from `count` tasks."""
    last: list[str] = []

    def seen() -> set[str] | None:
        last.append(predict(url).headers.get("X-Served-By", ""))
        recent = set(last[-4 * count :])
        return recent if len(recent) == count and "" not in recent else None

    return set(wait_until(seen, f"{count} tasks that answer"))


@dataclass
class ContinuousCaller:
    """A caller that requests predictions continuously, and retries failed requests.

    Attributes:
        answered: the number of requests that got a prediction.
        failed: the responses without a prediction.
        lost: the responses without a prediction at the last attempt.
        served_by: the tasks that responded.
    """

    answered: int = 0
    failed: list[Answer] = field(default_factory=list)
    lost: list[Answer] = field(default_factory=list)
    served_by: set[str] = field(default_factory=set)


@contextlib.contextmanager
def calling_continuously(url: str) -> Iterator[ContinuousCaller]:
    """Send requests in a thread during a `with` block."""
    seen, stop = ContinuousCaller(), threading.Event()

    def loop() -> None:
        while not stop.is_set():
            answer = predict(url)
            for seconds in BACKOFF_SECONDS:
                if answer.status == 200:
                    break
                seen.failed.append(answer)
                stop.wait(seconds)
                answer = predict(url)
            if answer.status != 200:
                seen.lost.append(answer)
                continue
            seen.answered += 1
            seen.served_by.add(answer.headers["X-Served-By"])

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def kill_task(task_id: str) -> None:
    """Send SIGKILL to the process of a task. Its environment contains the ID."""
    sought = f"TASK_ID={task_id[:8]}".encode()
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if sought in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
