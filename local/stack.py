"""Starts, finds and stops a local stack. Tests and the demo use `running()`."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from local import processes

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".local"
STOP_SECONDS = 40.0
DETACH = b"detach"
OWN_FILES = {"mark", "supervisor.log", "emulator.log", "gateway.log"}
OWN_FILES |= {"moto.log", "stack.json", "tmp"}


class StackError(Exception):
    """The stack did not start, or another one is running; the message is for the user."""


@dataclass(frozen=True)
class Stack:
    """A running local stack: the content of its stack.json.

    Attributes:
        api_url: the URL of Slipway's API, without a trailing slash.
        token: a bearer token of the owner `demo` with the scopes read and deploy.
        admin_token: a bearer token of the owner `admin` with all scopes.
        aws_endpoint_url: the endpoint for all AWS services. It accepts only the access key below.
        sample_image: the reference of the sample model's image.
        slack_signing_secret: the secret that signs requests in the name of Slack.
        webhook_secret: the secret that signs webhooks.
        pids: process ids by name: supervisor, gateway, emulator and moto.
    """

    api_url: str
    token: str
    admin_token: str
    aws_endpoint_url: str
    aws_access_key_id: str
    aws_secret_access_key: str
    region: str
    account_id: str
    sample_image: str
    slack_signing_secret: str
    webhook_secret: str
    pids: dict[str, int] = field(hash=False)


class Lifeline:
    """The owner of a stack holds this: the stack stops when the owner closes it or dies."""

    def __init__(self, state: Path, write_end: int, process: "subprocess.Popen[bytes]") -> None:
        self._state = state
        self._write_end = write_end
        self._process = process

    def detach(self) -> None:
        """Keep the stack running without an owner."""
        os.write(self._write_end, DETACH)
        os.close(self._write_end)

    def end(self) -> None:
        """Stop the stack; return when no process and no file of it remains."""
        os.close(self._write_end)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        down(self._state)
        self._process.wait()


def start(
    state: Path, project: Path = ROOT, say: Callable[[str], None] = lambda line: None
) -> Lifeline:
    """Start a stack with all its files in the folder `state`; return when its API responds.

    Args:
        state: a folder that does not exist, is empty, or contains the files of a dead stack.
        project: the Chalice project to run.
        say: is called with one line for each phase.

    Raises:
        StackError: the stack did not start and is removed, or another one runs in `state`.
    """
    if _alive(state):
        raise StackError(
            f"A local stack is already running in {state}. Run `make down` to stop it."
        )
    down(state)
    state.mkdir(parents=True, mode=0o700)
    mark = uuid.uuid4().hex
    (state / "mark").write_text(mark)
    report_read, report_write = os.pipe()
    lifeline = _spawn(state.resolve(), project, mark, report_write)
    os.close(report_write)
    try:
        _await_ready(report_read, say, state)
    except BaseException:
        lifeline.end()
        raise
    return lifeline


def _spawn(state: Path, project: Path, mark: str, report: int) -> Lifeline:
    read_end, write_end = os.pipe()
    with (state / "supervisor.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.supervisor", str(state), str(read_end), str(report)],
            cwd=project,
            env=os.environ | {processes.MARK: mark, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(read_end, report),
            start_new_session=True,  # Ctrl-C reaches only the owner, which stops the stack
        )
    os.close(read_end)
    return Lifeline(state, write_end, process)


def _await_ready(report_read: int, say: Callable[[str], None], state: Path) -> None:
    with open(report_read) as reports:
        for line in reports:
            kind, text = json.loads(line)
            if kind == "ready":
                return
            if kind == "failed":
                raise StackError(text)
            say(text)
    raise StackError(
        "The supervisor of the local stack died. The end of its log:\n"
        f"{processes.tail(state / 'supervisor.log')}"
    )


def load(state: Path) -> Stack:
    """Return the stack that runs in `state`; raise FileNotFoundError if none does."""
    return Stack(**json.loads((state / "stack.json").read_text()))


def down(state: Path) -> bool:
    """Stop every process that the stack in `state` started, and remove the folder.

    This also works if the supervisor was killed. Returns False if the folder does not exist.

    Raises:
        StackError: the folder contains something other than a stack.
    """
    if not state.exists():
        return False
    content = {path.name for path in state.iterdir()}
    if content and not content & OWN_FILES:
        raise StackError(
            f"{state} is not the folder of a local stack, so it is not removed. Use another folder."
        )
    if mark := _mark(state):
        _end_supervisor(mark)
        processes.end_marked(mark, grace=10)
    shutil.rmtree(state, ignore_errors=True)
    return True


def _end_supervisor(mark: str) -> None:
    """Stop the supervisor, which stops the others in order; return when it has exited."""

    def supervisor() -> list[int]:  # only the supervisor is a session leader
        return [pid for pid in processes.marked(mark) if os.getsid(pid) == pid]

    with contextlib.suppress(ProcessLookupError, TimeoutError):
        for pid in supervisor():
            os.kill(pid, signal.SIGTERM)
        processes.wait_until(lambda: not supervisor(), STOP_SECONDS)


def _mark(state: Path) -> str | None:
    try:
        return (state / "mark").read_text()
    except FileNotFoundError:
        return None


def _alive(state: Path) -> bool:
    mark = _mark(state)
    return mark is not None and bool(processes.marked(mark))


@contextlib.contextmanager
def running(
    state: Path, project: Path = ROOT, say: Callable[[str], None] = lambda line: None
) -> Iterator[Stack]:
    """Run a stack during a `with` block; it also stops if this process dies.

    Raises:
        StackError: see `start`.
    """
    lifeline = start(state, project, say)
    try:
        yield load(state)
    finally:
        lifeline.end()
