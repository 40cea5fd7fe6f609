"""Whatever callers ask for and whatever goes wrong, in any order: when nothing runs any more the
invariants hold."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chalicelib.deployments.deployment import Deployment
from chalicelib.deployments.record import Status
from tests.faults import invariants
from tests.faults.environment import image, opened
from tests.faults.summary import LINES
from tests.faults.world import OWNERS, Point, World
from tests.simulated_aws import containers
from tests.simulated_aws.states import Killed
from tests.simulated_aws.weather import Fault, Kind

# More of them with SLIPWAY_PROPERTY_RUNS=1000, say, on a machine that has the time.
RUNS = int(os.environ.get("SLIPWAY_PROPERTY_RUNS", "30"))
STEPS = 16
NAMES = ("alpha", "beta")
MOST_LIVE = 3
SERVES, SERVES_TOO, CRASHES, MISSING = "1", "2", "crashes", "missing"
PATTERNS = (
    "ec2.*",
    "elbv2.*",
    "ecs.*",
    "logs.*",
    "dynamodb.*",
    "stepfunctions.*",
    "elbv2.Create*",
    "ecs.*Service",
    "*.Delete*",
    "*.Describe*",
)
PASSING: tuple[Kind, ...] = ("server_error", "reset", "lost_answer", "late_server_error")
FOR_LONG = 10**6

owners = st.sampled_from(OWNERS)
names = st.sampled_from(NAMES)
# What fails at once is seldom of interest.
tags = st.sampled_from((SERVES, SERVES, SERVES_TOO, SERVES_TOO, CRASHES, MISSING))
patterns = st.sampled_from(PATTERNS)
# Seconds: within a step, within a deploy, past the deadlines of the reconciler's patience.
spans = st.sampled_from((0.5, 3.0, 20.0, 90.0, 400.0, 2000.0))
which = st.integers(0, MOST_LIVE - 1)
turns = st.integers(1, 25)


class Slipway(RuleBasedStateMachine):
    """Two owners, up to three deployments of theirs, one AWS account."""

    @initialize(seed=st.integers(0, 10**6), tag=tags, after=spans)
    def open(self, seed: int, tag: str, after: float) -> None:
        """A world of its own for each run, with a deployment in it."""
        self.stack = contextlib.ExitStack()
        self.world: World = self.stack.enter_context(opened(seed))
        self.world.account.push(CRASHES, containers.exits(after=2.0))
        self.world.interference = self._meet
        self.plans: list[tuple[int, Callable[[Point], None]]] = []
        self.weather = self.world.account.weather
        self.world.create(OWNERS[0], name=NAMES[0], image=image(tag))
        self.world.run_for(after)

    def teardown(self) -> None:
        """The sky clears, everything comes to its end, and must be in order."""
        if not hasattr(self, "world"):
            return
        try:
            self.weather.clear()
            self.plans.clear()
            self._settle()
        finally:
            self.stack.close()

    # --- callers -------------------------------------------------------------------------

    @precondition(lambda self: self._live_count() < MOST_LIVE)
    @rule(owner=owners, name=names, tag=tags, keep=st.booleans(), after=spans)
    def create(self, owner: str, name: str, tag: str, keep: bool, after: float) -> None:
        """A name that is taken is refused."""
        on_failure = "keep" if keep else "teardown"
        self.world.create(owner, name=name, image=image(tag), on_failure=on_failure)
        self.world.run_for(after)

    @precondition(lambda self: self._live_count())
    @rule(which=which, tag=tags, after=spans)
    def update_image(self, which: int, tag: str, after: float) -> None:
        """Another image, or one that fails."""
        record = self._chosen(which)
        self.world.update(record.id, record.owner, image=image(tag))
        self.world.run_for(after)

    @precondition(lambda self: self._live_count())
    @rule(which=which, count=st.integers(0, 3), after=spans)
    def scale(self, which: int, count: int, after: float) -> None:
        """More tasks, fewer, or none."""
        record = self._chosen(which)
        self.world.update(record.id, record.owner, count=count)
        self.world.run_for(after)

    @precondition(lambda self: self._live_count())
    @rule(which=which, after=spans)
    def delete(self, which: int, after: float) -> None:
        """At any moment."""
        record = self._chosen(which)
        self.world.delete(record.id, record.owner)
        self.world.run_for(after)

    @precondition(lambda self: self._live_count())
    @rule(which=which, after=spans)
    def retry(self, which: int, after: float) -> None:
        """Of what has failed; refused for anything else."""
        record = self._chosen(which)
        self.world.retry(record.id, record.owner)
        self.world.run_for(after)

    # --- what goes wrong -----------------------------------------------------------------

    @rule(turn=turns, before=st.booleans())
    def crash(self, turn: int, before: bool) -> None:
        """A function dies just before or just after one of the changes to come."""

        def act(point: Point) -> None:
            if before:
                raise Killed
            self.plans.append((0, _die))

        self.plans.append((turn, act))

    @rule(turn=turns, meanwhile=st.booleans())
    def run_twice(self, turn: int, meanwhile: bool) -> None:
        """A function is run a second time, while it runs or when it has ended."""

        def act(point: Point) -> None:
            if meanwhile:
                point.invocation.rerun()
            else:
                point.invocation.again = True

        self.plans.append((turn, act))

    @rule(pattern=patterns, kind=st.sampled_from(PASSING), nth=turns, times=st.integers(1, 3))
    def go_wrong(self, pattern: str, kind: Kind, nth: int, times: int) -> None:
        """A few calls fail, before or after they took effect."""
        self.weather.plan(Fault(pattern, kind, nth=nth, times=times))

    @rule(pattern=patterns, kind=st.sampled_from(("throttled", "denied")), after=spans)
    def refuse(self, pattern: str, kind: Kind, after: float) -> None:
        """AWS refuses a kind of call for a while."""
        self.weather.plan(Fault(pattern, kind, times=FOR_LONG))
        self.world.run_for(after)
        self.weather.clear()

    # --- time ----------------------------------------------------------------------------

    @rule()
    def reconcile(self) -> None:
        """The reconciler looks out of turn."""
        self.world.reconcile()

    @rule(after=spans)
    def wait(self, after: float) -> None:
        """Time passes."""
        self.world.run_for(after)

    @precondition(lambda self: not self.plans)
    @rule()
    def settle(self) -> None:
        """Everything comes to its end."""
        self._settle()

    # --- inside --------------------------------------------------------------------------

    def _settle(self) -> None:
        assert self.world.run_until_idle(), "still at work after six hours"
        assert invariants.broken(self.world) == []

    def _live(self) -> list[Deployment]:
        records = invariants.Table(self.world).records.values()
        return [record for record in records if record.status is not Status.DELETED]

    def _live_count(self) -> int:
        return len(self._live()) if hasattr(self, "world") else 0

    def _chosen(self, which: int) -> Deployment:
        live = self._live()
        return live[which % len(live)]

    def _meet(self, point: Point) -> None:
        """Counts the changes down to what was planned for them."""
        edge = [act for turn, act in self.plans if turn == 0 and point.when == "after"]
        due = []
        if edge:
            self.plans = [plan for plan in self.plans if plan[0] > 0]
        elif point.when == "before" and point.mutating:
            self.plans = [(turn - 1, act) for turn, act in self.plans]
            due = [act for turn, act in self.plans if turn == 0]
            self.plans = [plan for plan in self.plans if plan[0] > 0]
        for act in edge + due:
            act(point)


def _die(point: Point) -> None:
    raise Killed


def test_whatever_happens_the_invariants_hold() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Slipway,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
    LINES.append(f"property test: {RUNS} runs of up to {STEPS} steps")
