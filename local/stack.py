"""Starting, finding and ending a local stack. `running()` is what tests and the demo use."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local import processes

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".local"
STOP_SECONDS = 40.0
DETACH = b"detach"
OWN_FILES = {"mark", "supervisor.log", "emulator.log", "moto.log", "stack.json", "tmp"}


class StackError(Exception):
    """The stack did not start, or one runs already; the message is for a person to read."""


@dataclass(frozen=True)
class Stack:
    """A running local stack: the content of its stack.json.

    Attributes:
        api_url: Slipway's API, without a slash at the end.
        token: a bearer token of owner `demo` with the scopes read and deploy.
        admin_token: one of owner `admin` with all scopes.
        aws_endpoint_url: the emulator, for all services and load balancers.
        sample_image: the reference of the sample model's image.
        slack_signing_secret: what requests that play Slack are signed with.
        webhook_secret: what webhooks are signed with.
        pids: process ids by name: supervisor, emulator and moto.
    """

    api_url: str
    token: str
    admin_token: str
    aws_endpoint_url: str
    region: str
    account_id: str
    sample_image: str
    slack_signing_secret: str
    webhook_secret: str
    pids: dict[str, int]


class Lifeline:
    """Held by the owner of a stack: the stack ends when the owner lets go of it, or dies."""

    def __init__(self, state: Path, write_end: int, process: "subprocess.Popen[bytes]") -> None:
        self._state = state
        self._write_end = write_end
        self._process = process

    def detach(self) -> None:
        """Let the stack live on without an owner."""
        os.write(self._write_end, DETACH)
        os.close(self._write_end)

    def end(self) -> None:
        """End the stack; return when nothing of it is left."""
        os.close(self._write_end)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        down(self._state)
        self._process.wait()


def start(
    state: Path, project: Path = ROOT, say: Callable[[str], None] = lambda line: None
) -> Lifeline:
    """Start a stack with all its files in the folder `state`; return when its API answers.

    Args:
        state: must not exist, be empty, or hold the leftovers of a stack that is dead.
        project: the Chalice project to run.
        say: called with one line for each phase.

    Raises:
        StackError: it did not start, and nothing of it is left; or another one runs in `state`.
    """
    if _alive(state):
        raise StackError(f"a local stack is already running ({state}); end it with `make down`")
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
            start_new_session=True,  # Ctrl-C is for the owner, who then ends the stack in order
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
    raise StackError(f"the supervisor died:\n{processes.tail(state / 'supervisor.log')}")


def load(state: Path) -> Stack:
    """Return the stack that runs in `state`; FileNotFoundError when there is none."""
    return Stack(**json.loads((state / "stack.json").read_text()))


def down(state: Path) -> bool:
    """End everything that the stack in `state` started, and remove the folder.

    Works too when its supervisor was killed. Returns False when there was nothing.

    Raises:
        StackError: the folder holds something else than a stack.
    """
    if not state.exists():
        return False
    content = {path.name for path in state.iterdir()}
    if content and not content & OWN_FILES:
        raise StackError(f"{state} is not the folder of a local stack: it is left as it is")
    if mark := _mark(state):
        _end_supervisor(mark)
        processes.end_marked(mark, grace=10)
    shutil.rmtree(state, ignore_errors=True)
    return True


def _end_supervisor(mark: str) -> None:
    """End the supervisor, which ends the others in order; return when it is gone."""

    def supervisor() -> list[int]:  # it alone leads a session
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
    """Run a stack for the length of a `with` block; it also ends when this process dies.

    Raises:
        StackError: as `start`.
    """
    lifeline = start(state, project, say)
    try:
        yield load(state)
    finally:
        lifeline.end()
