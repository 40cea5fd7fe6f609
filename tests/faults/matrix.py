"""The fault matrix: one run of an operation without faults, forked at each of its changes.

The run is deterministic. So a process that is forked just before a call is a world in which
everything before this call has happened. One fault happens there, and the run continues to its end.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import select
import subprocess
import sys
import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, astuple
from fnmatch import fnmatchcase
from pathlib import Path

from chalicelib.domain.record import Status
from tests.faults import invariants
from tests.faults.disturbance import (
    AT_A_CALL,
    AT_A_CHANGE_OF_TAGS,
    AT_A_WRITE_OF_THE_RECORD,
    AT_AN_INVOCATION,
    DELETED,
    Case,
    Disturbed,
    Result,
)
from tests.faults.environment import opened
from tests.faults.operations import OPERATIONS, Operation, ended_well, prepare
from tests.faults.world import Point, World
from tests.workflow.machine import ROOT

FULL = bool(os.environ.get("SLIPWAY_FULL_MATRIX"))
WORKERS = os.cpu_count() or 2
# With this seed the load balancer is active soon, so there are few checks and the cases end soon.
SEED = 15


def points(name: str) -> Iterator[Point]:
    """The changes that the operation makes, in order, each the first of its kind."""
    found: dict[str, Point] = {}

    def note(point: Point) -> None:
        if point.mutating and point.when == "before":
            found.setdefault(point.label, point)

    operation = OPERATIONS[name]
    with opened(SEED) as world:
        prepare(world, operation)
        world.interference = note
        operation.ask(world)
        assert world.run_until_idle()
        assert ended_well(world, operation)
        assert invariants.broken(world) == []
    yield from found.values()


def cases() -> Iterator[Case]:
    """All cases. They are found by running each operation once."""
    for name in OPERATIONS:
        met = set()
        meant = (point for point in points(name) if _is_meant(name, point))
        for number, point in enumerate(meant):
            yield from (Case(name, point.label, kind) for kind in _kinds_at(point, number))
            if OPERATIONS[name].ends is not Status.DELETED:
                yield Case(name, point.label, DELETED)
            if point.invocation.label not in met:
                met.add(point.invocation.label)
                yield Case(name, point.label, AT_AN_INVOCATION)


def listed(shared: Path | None = None) -> list[Case]:
    """All of `cases`.

    `shared` is a folder that several processes share. The first process computes the cases, and
    the others read its result.
    """
    if shared is None:
        return list(cases())
    with (shared / "fault-matrix.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        if not text:
            text = json.dumps([astuple(case) for case in cases()])
            file.write(text)
    return [Case(*fields) for fields in json.loads(text)]


def _is_meant(name: str, point: Point) -> bool:
    patterns = ("*",) if FULL else OPERATIONS[name].own
    return any(fnmatchcase(point.label, pattern) for pattern in patterns)


def _kinds_at(point: Point, number: int) -> tuple[str, ...]:
    """The kinds of faults at a call.

    Two thirds of the calls write the record in the same way, so each gets only one kind, in turn.
    The calls that change tags are similar, too. In a full run, which takes some minutes more,
    every call gets every kind.
    """
    if FULL:
        return AT_A_CALL
    if point.call.service == "dynamodb":
        kinds = AT_A_WRITE_OF_THE_RECORD
        return (kinds[number % len(kinds)],)
    return AT_A_CHANGE_OF_TAGS if "Tag" in point.call.operation else AT_A_CALL


def run(wanted: Iterable[Case]) -> dict[Case, Result]:
    """Run the cases. Cases of one operation share its run without faults up to their own start."""
    by_operation: dict[str, list[Case]] = defaultdict(list)
    for case in wanted:
        by_operation[case.operation].append(case)
    results: dict[Case, Result] = {}
    _warm_up()
    for name, group in by_operation.items():
        results |= Forks(OPERATIONS[name], group).run()
    return results


def _warm_up() -> None:
    """Run a lifecycle, so that forked processes find models and clients already loaded."""
    with opened(SEED) as world:
        for operation in OPERATIONS.values():
            operation.ask(world)
            world.run_until_idle()


def run_apart(wanted: Iterable[Case]) -> dict[Case, Result]:
    """Like `run`, in a separate process, because a process that forks should be small."""
    asked = json.dumps([astuple(case) for case in wanted])
    command = [sys.executable, "-m", "tests.faults.matrix"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, input=asked, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, "the process of the matrix died; its output is above"
    return {Case(*case): Result(**result) for case, result in json.loads(done.stdout)}


class Forks:
    """The run of an operation without faults, and the processes that are forked from it."""

    def __init__(self, operation: Operation, wanted: list[Case]) -> None:
        self._operation = operation
        self._wanted: dict[str, list[Case]] = defaultdict(list)
        for case in wanted:
            self._wanted[case.label].append(case)
        self._children: list[tuple[Case, int, int]] = []
        self._results: dict[Case, Result] = {}
        self._writing: int | None = None
        self._disturbed: Disturbed | None = None

    def run(self) -> dict[Case, Result]:
        """The results of all cases."""
        with opened(SEED) as world:
            prepare(world, self._operation)
            world.interference = lambda point: self._at(world, point)
            try:
                self._operation.ask(world)
                if self._disturbed is None:
                    world.run_until_idle()
                if self._disturbed is not None:  # this process was forked during the run
                    self._send_result(self._disturbed.result())
            except BaseException:
                self._send_result(Result(problems=[traceback.format_exc()[-4000:]]))
                raise
        while self._children:
            self._reap()
        for case in (case for group in self._wanted.values() for case in group):
            self._results[case] = Result(problems=["its call was not met"])
        return self._results

    def _at(self, world: World, point: Point) -> None:
        if point.when == "after" or not point.mutating:
            return
        for case in self._wanted.pop(point.label, []):
            while len(self._children) >= WORKERS:
                self._reap()
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(reading)
                self._become(world, case, point, writing)
                return
            os.close(writing)
            self._children.append((case, child, reading))

    def _reap(self) -> None:
        """Wait for the first child to end, and read its result."""
        readable, _, _ = select.select([reading for _, _, reading in self._children], [], [])
        for entry in [entry for entry in self._children if entry[2] in readable]:
            case, child, reading = entry
            self._children.remove(entry)
            with os.fdopen(reading) as pipe:
                text = pipe.read()
            os.waitpid(child, 0)
            self._results[case] = (
                Result(**json.loads(text)) if text else Result(problems=["its process died"])
            )

    def _become(self, world: World, case: Case, point: Point, writing: int) -> None:
        """In the forked process: become the world of this one case.

        The process ends in `_send_result`, at the end of the run that the call stack continues.
        """
        gc.disable()  # garbage collection would write to, and so copy, all of the shared memory
        self._wanted.clear()
        self._writing = writing
        self._disturbed = Disturbed(world, self._operation, case)
        self._disturbed.begin(point)

    def _send_result(self, result: Result) -> None:
        """End a forked process with its result. In the parent process, do nothing."""
        if self._writing is not None:
            os.write(self._writing, json.dumps(asdict(result)).encode())
            os._exit(0)


if __name__ == "__main__":
    found = run([Case(*case) for case in json.load(sys.stdin)])
    json.dump([(astuple(case), asdict(result)) for case, result in found.items()], sys.stdout)
