"""The fault matrix: one undisturbed run of an operation, forked at each of its changes.

The run is deterministic, so a process that was forked just before a call is a world in which
everything up to there has happened. In it one thing goes wrong, and the run goes on to its end.
"""

from __future__ import annotations

import gc
import json
import os
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from chalicelib.deployments.record import Status
from tests.faults import invariants
from tests.faults.environment import image, opened
from tests.faults.world import Point, Reply, World
from tests.simulated_aws.states import Killed
from tests.simulated_aws.weather import Fault

# What may go wrong at a call.
AT_A_CALL = (
    "throttled",
    "denied",
    "server_error",
    "lost_answer",
    "killed_before",
    "killed_after",
    "overlapped",
)
# And once for each invocation.
AT_AN_INVOCATION = "delivered_twice"
THROTTLED_SECONDS = 60.0
FOR_LONG = 10**6
SERVER_ERRORS = 3
WORKERS = os.cpu_count() or 2
# A client goes on asking as long as it gets no useful answer.
TRIES, BETWEEN_TRIES = 10, 10.0
LIMIT_HOURS = 8.0
NAME = "recommender"


@dataclass(frozen=True)
class Case:
    """One operation, one of its calls, one thing that goes wrong there."""

    operation: str
    label: str
    kind: str

    @property
    def id(self) -> str:
        """Such as "deploy-create_service:ecs.CreateService#1-throttled"."""
        return f"{self.operation}-{self.label}-{self.kind}"


@dataclass
class Result:
    """What became of a case.

    Attributes:
        outcome: "converged", or "ended clean": as it was before, or torn down, or told.
        how: the states that the record was in when nothing ran any more.
        problems: what did not hold; empty when all is well.
    """

    outcome: str = ""
    how: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Operation:
    """What a caller asks for, and the status that it ends in where nothing goes wrong."""

    ask: Callable[[World], Reply]
    ends: Status
    on: str = ""
    tag: str = "1"


def _create(world: World) -> Reply:
    spec = {
        "name": NAME,
        "image": image("1"),
        "smoke_test": {"path": "/?uid=20", "json_has": ["recommendations"]},
    }
    return world.create(**spec)


OPERATIONS = {
    "deploy": Operation(_create, Status.ACTIVE),
    "update": Operation(
        lambda world: world.update(NAME, image=image("2"), count=2),
        Status.ACTIVE,
        on="deploy",
        tag="2",
    ),
    "teardown": Operation(lambda world: world.delete(NAME), Status.DELETED, on="deploy"),
}


def prepare(world: World, operation: Operation) -> None:
    """Brings the world to where the operation begins."""
    if operation.on:
        before = OPERATIONS[operation.on]
        assert before.ask(world).status == 202
        assert world.run_until_idle(), "not idle"
        assert ended_well(world, before), invariants.Table(world).records


def ended_well(world: World, operation: Operation) -> bool:
    """Whether the world is as it is after the operation when nothing went wrong."""
    records = list(invariants.Table(world).records.values())
    return [r.status for r in records] == [operation.ends] and (
        operation.ends is Status.DELETED
        or (records[0].spec.image == image(operation.tag) and records[0].failure is None)
    )


def points(name: str) -> Iterator[Point]:
    """Every change that the operation makes, each the first of its kind, in order."""
    found: dict[str, Point] = {}

    def note(point: Point) -> None:
        if point.mutating and point.when == "before":
            found.setdefault(point.label, point)

    operation = OPERATIONS[name]
    with opened() as world:
        prepare(world, operation)
        world.interference = note
        operation.ask(world)
        assert world.run_until_idle()
        assert ended_well(world, operation)
        assert invariants.broken(world) == []
    yield from found.values()


def cases() -> Iterator[Case]:
    """Every case there is: found by running each operation once."""
    for name in OPERATIONS:
        met = set()
        for point in points(name):
            yield from (Case(name, point.label, kind) for kind in AT_A_CALL)
            if point.invocation.label not in met:
                met.add(point.invocation.label)
                yield Case(name, point.label, AT_AN_INVOCATION)


def run(wanted: Iterable[Case]) -> dict[Case, Result]:
    """Runs the cases; those of one operation share its undisturbed run up to where they begin."""
    by_operation: dict[str, list[Case]] = defaultdict(list)
    for case in wanted:
        by_operation[case.operation].append(case)
    results: dict[Case, Result] = {}
    for name, group in by_operation.items():
        results |= Forks(OPERATIONS[name], group).run()
    return results


class Forks:
    """The undisturbed run of an operation, and the processes that it is forked into."""

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
        """The result of every case."""
        with opened() as world:
            prepare(world, self._operation)
            world.interference = lambda point: self._at(world, point)
            try:
                self._operation.ask(world)
                if self._disturbed is None:
                    world.run_until_idle()
                if self._disturbed is not None:  # this process was forked on the way
                    self._tell(self._disturbed.result())
            except BaseException:
                self._tell(Result(problems=[traceback.format_exc()[-4000:]]))
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
            if len(self._children) >= WORKERS:
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
        case, child, reading = self._children.pop(0)
        with os.fdopen(reading) as told:
            text = told.read()
        os.waitpid(child, 0)
        self._results[case] = (
            Result(**json.loads(text)) if text else Result(problems=["its process died"])
        )

    def _become(self, world: World, case: Case, point: Point, writing: int) -> None:
        """In the forked process: from here on it is the world of this one case.

        The way out is `_tell`, at the end of the run that the stack below goes on with.
        """
        gc.disable()  # it would touch, and so copy, the whole of the memory that is shared
        self._wanted.clear()
        self._writing = writing
        self._disturbed = Disturbed(world, self._operation, case)
        self._disturbed.begin(point)

    def _tell(self, result: Result) -> None:
        """Ends a forked process with its result; does nothing in the one that it came from."""
        if self._writing is not None:
            os.write(self._writing, json.dumps(asdict(result)).encode())
            os._exit(0)


class Disturbed:
    """A world in which one thing goes wrong."""

    def __init__(self, world: World, operation: Operation, case: Case) -> None:
        self._world, self._operation, self._case = world, operation, case
        self._down: list[str] = []

    def begin(self, point: Point) -> None:
        """Lets it happen, just before the call of `point`."""
        world, kind, name = self._world, self._case.kind, point.call.name
        world.interference = self._watch
        weather = world.account.weather
        if kind == "throttled":
            weather.plan(Fault(name, "throttled", times=FOR_LONG))
            world.schedule.after(THROTTLED_SECONDS, weather.clear)
        elif kind == "denied":
            weather.plan(Fault(name, "denied", times=FOR_LONG))
        elif kind == "server_error":
            weather.plan(Fault(name, "server_error", times=SERVER_ERRORS))
        elif kind == "lost_answer":
            weather.plan(Fault(name, "lost_answer"))
        elif kind == "killed_before":
            raise Killed
        elif kind == "killed_after":
            world.interference = self._kill
        elif kind == "overlapped":
            point.invocation.rerun()
        else:
            point.invocation.again = True

    def _kill(self, point: Point) -> None:
        """At the next edge: the end of the call that it began before."""
        self._world.interference = self._watch
        raise Killed

    def _watch(self, point: Point) -> None:
        """An update must not take down what serves."""
        first = sum(point.invocation.counts.values()) == 1 and point.when == "before"
        if self._case.operation == "update" and first and not self._down:
            (record,) = invariants.Table(self._world).records.values()
            if not self._world.account.answers(record.id):
                self._down.append(f"the URL does not answer during {point.invocation.label}")

    def result(self) -> Result:
        """Runs to the end, and once more after what went wrong is mended."""
        result = Result()
        self._ask_again()
        in_order = self._world.run_until_idle(LIMIT_HOURS)
        refused_records = self._case.kind == "denied" and ":dynamodb." in self._case.label
        if refused_records:  # nothing can be told before they can be written again
            self._mend()
            in_order = self._world.run_until_idle(LIMIT_HOURS)
        if not in_order:
            result.problems.append("still at work at the limit")
        broken = invariants.broken(self._world, on_time=not refused_records)
        result.problems += [*self._down, *broken]
        result.how.append(self._states())
        result.outcome = "converged" if ended_well(self._world, self._operation) else "ended clean"
        if not result.problems and result.outcome == "ended clean":
            result.problems += self._second_try()
            result.how.append(self._states())
        return result

    def _ask_again(self) -> None:
        """The client repeats a request that had no useful answer, as the answer asks it to."""
        for _ in range(TRIES):
            if self._world.replies[-1].status in (202, 409, 404):
                return
            self._world.run_for(BETWEEN_TRIES)
            self._operation.ask(self._world)

    def _mend(self) -> None:
        self._world.account.weather.clear()

    def _second_try(self) -> list[str]:
        """What ended clean gets where it was to go as soon as the cause is mended."""
        self._mend()
        self._down.clear()
        found: list[str] = []
        records = list(invariants.Table(self._world).records.values())
        if any(r.status in (Status.FAILED, Status.DELETE_FAILED) for r in records):
            self._world.retry(NAME)
            found += self._come_to_rest()
        if not ended_well(self._world, self._operation):
            # A retried update that had been rolled back is where it was before.
            self._operation.ask(self._world)
            found += self._come_to_rest()
        if not ended_well(self._world, self._operation):
            found.append(f"it is {self._states()}")
        return [f"mended and tried again: {text}" for text in found]

    def _come_to_rest(self) -> list[str]:
        if not self._world.run_until_idle(LIMIT_HOURS):
            return ["still at work at the limit"]
        return [*self._down, *invariants.broken(self._world)]

    def _states(self) -> str:
        records = invariants.Table(self._world).records.values()
        told: list[Any] = [
            f"{r.status} ({r.operation.kind} {r.operation.status}"
            + (f", {r.failure.code} at {r.failure.step})" if r.failure else ")")
            for r in records
        ]
        return ", ".join(told) or "no record"
