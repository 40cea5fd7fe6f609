"""One case of the fault matrix: the fault, and the world's state after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chalicelib.domain.record import Status
from tests.faults import invariants
from tests.faults.operations import NAME, OPERATIONS, Operation, ended_well
from tests.faults.world import Point, World
from tests.support.simulated_aws.states import Killed
from tests.support.simulated_aws.weather import Fault, Kind

# The faults that can happen at a call.
AT_A_CALL = (
    "throttled",
    "denied",
    "server_error",
    "lost_answer",
    "killed_before",
    "killed_after",
    "overlapped",
)
AT_A_WRITE_OF_THE_RECORD = ("lost_answer", "killed_after")
AT_A_CHANGE_OF_TAGS = ("denied", "killed_after")
# Or a DELETE arrives at this point, while the function runs for almost all of its 30 s.
DELETED = "deleted"
# And, once for each invocation:
AT_AN_INVOCATION = "delivered_twice"
STALL_SECONDS = 25.0
THROTTLED_SECONDS = 60.0
# Longer than every deadline.
SILENT_SECONDS = 7200.0
FOR_LONG = 10**6
SERVER_ERRORS = 3
# A client repeats its request until it gets a useful response.
TRIES, BETWEEN_TRIES = 10, 10.0
LIMIT_HOURS = 8.0
STAY_UP = [OPERATIONS[name] for name in ("update", "pause", "resume")]


@dataclass(frozen=True)
class Case:
    """One operation, one of its calls, and one fault at this call."""

    operation: str
    label: str
    kind: str

    @property
    def id(self) -> str:
        """Such as "deploy-create_service:ecs.CreateService#1-throttled"."""
        return f"{self.operation}-{self.label}-{self.kind}"


@dataclass
class Result:
    """The result of a case.

    Attributes:
        outcome: "converged", or "ended clean": as before the operation, torn down, or reported.
        how: the states of the record when nothing ran any more.
        problems: the broken invariants; empty if all hold.
    """

    outcome: str = ""
    how: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Disturbed:
    """A world with one fault."""

    def __init__(self, world: World, operation: Operation, case: Case) -> None:
        self._world, self._operation, self._case = world, operation, case
        self._down: list[str] = []
        # Nothing can be reported while records cannot be written.
        self._silenced = case.kind == "denied" and ":dynamodb." in case.label

    def begin(self, point: Point) -> None:
        """Cause the fault just before the call of `point`."""
        self._world.interference = self._watch
        getattr(self, f"_{self._case.kind}")(point)

    def _throttled(self, point: Point) -> None:
        self._plan(point, "throttled", FOR_LONG)
        self._world.schedule.after(THROTTLED_SECONDS, self._repair)

    def _denied(self, point: Point) -> None:
        self._plan(point, "denied", FOR_LONG)
        if self._silenced:
            self._world.schedule.after(SILENT_SECONDS, self._repair)

    def _server_error(self, point: Point) -> None:
        self._plan(point, "server_error", SERVER_ERRORS)

    def _lost_answer(self, point: Point) -> None:
        self._plan(point, "lost_answer", 1)

    def _killed_before(self, point: Point) -> None:
        raise Killed

    def _killed_after(self, point: Point) -> None:
        self._world.interference = self._kill

    def _overlapped(self, point: Point) -> None:
        point.invocation.rerun()

    def _delivered_twice(self, point: Point) -> None:
        point.invocation.again = True

    def _deleted(self, point: Point) -> None:
        if self._world.delete(NAME).status == 202:  # not before the deployment exists
            self._operation = OPERATIONS["teardown"]
        self._world.run_for(STALL_SECONDS)

    def _plan(self, point: Point, kind: Kind, times: int) -> None:
        self._world.account.weather.plan(Fault(point.call.name, kind, times=times))

    def _kill(self, point: Point) -> None:
        """Kill the function at the next point: the end of the call that it started."""
        self._world.interference = self._watch
        raise Killed

    def _watch(self, point: Point) -> None:
        """Check what a caller of the URL gets.

        An update must not stop the serving tasks. During a pause and a resume, the caller gets
        either the tasks or the pause response, and nothing else.
        """
        first = sum(point.invocation.counts.values()) == 1 and point.when == "before"
        if self._operation in STAY_UP and first and not self._down:
            (record,) = invariants.Table(self._world).records.values()
            answers = self._world.account.answers(record.id)
            is_paused = answers.fixed and self._operation is not OPERATIONS["update"]
            if not answers and not is_paused:
                self._down.append(f"the URL does not answer during {point.invocation.label}")

    def result(self) -> Result:
        """Run to the end, and once more after the fault is removed."""
        result = Result()
        self._ask_again()
        in_order = self._world.run_until_idle(LIMIT_HOURS)
        if not in_order:
            result.problems.append("still at work at the limit")
        broken = invariants.broken(self._world, on_time=not self._silenced)
        result.problems += [*self._down, *broken]
        result.how.append(self._states())
        result.outcome = "converged" if ended_well(self._world, self._operation) else "ended clean"
        if not result.problems and result.outcome == "ended clean":
            result.problems += self._second_try()
            result.how.append(self._states())
        return result

    def _ask_again(self) -> None:
        """The client repeats a request without a useful response, as the response asks it to."""
        for _ in range(TRIES):
            if self._world.replies[-1].status in (202, 409, 404):
                return
            self._world.run_for(BETWEEN_TRIES)
            self._operation.ask(self._world)

    def _repair(self) -> None:
        self._world.account.weather.clear()

    def _second_try(self) -> list[str]:
        """An operation that ended clean succeeds once its cause is removed."""
        self._repair()
        self._down.clear()
        found: list[str] = []
        records = list(invariants.Table(self._world).records.values())
        if any(r.status in (Status.FAILED, Status.DELETE_FAILED) for r in records):
            self._world.retry(NAME)
            found += self._come_to_rest()
        if not ended_well(self._world, self._operation):
            # A retried update that was rolled back stays in its previous state.
            self._operation.ask(self._world)
            found += self._come_to_rest()
        if not ended_well(self._world, self._operation):
            found.append(f"it is {self._states()}")
        return [f"after the repair: {text}" for text in found]

    def _come_to_rest(self) -> list[str]:
        if not self._world.run_until_idle(LIMIT_HOURS):
            return ["still at work at the limit"]
        return [*self._down, *invariants.broken(self._world)]

    def _states(self) -> str:
        records = invariants.Table(self._world).records.values()
        states: list[Any] = [
            f"{r.status} ({r.operation.kind} {r.operation.status}"
            + (f", {r.failure.code} at {r.failure.step})" if r.failure else ")")
            for r in records
        ]
        return ", ".join(states) or "no record"
