"""Random requests and faults in any order: when nothing runs any more, the invariants hold."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.record import Status
from chalicelib.platform.settings import settings as stack_settings
from tests.faults import invariants
from tests.faults.environment import image, opened
from tests.faults.world import OWNERS, Invocation, Point, World
from tests.support.simulated_aws import containers
from tests.support.simulated_aws.states import Killed
from tests.support.simulated_aws.weather import Fault, Kind
from tests.support.summary import LINES

# SLIPWAY_PROPERTY_RUNS sets the number of runs, for example 1000 on a machine with enough time.
RUNS = int(os.environ.get("SLIPWAY_PROPERTY_RUNS", "20"))
PARTS = 4
STEPS = 16
NAMES = ("alpha", "beta")
MOST_LIVE = 3
# The quota of one owner: small enough that callers reach it.
MOST_TASKS = "4"
SERVES, SERVES_TOO, CRASHES, MISSING = "1", "2", "crashes", "missing"
PATTERNS = (
    "ec2.*",
    "elbv2.*",
    "ecs.*",
    "logs.*",
    "route53.*",
    "application-autoscaling.*",
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
# Immediate failures are rarely interesting.
tags = st.sampled_from((SERVES, SERVES, SERVES_TOO, SERVES_TOO, CRASHES, MISSING))
own_tags = st.dictionaries(st.sampled_from(("a", "b")), st.sampled_from(("1", "2")))
# No domain, or one of two domains that several deployments want.
domains = st.sampled_from((None, "a.example.com", "b.example.com"))
patterns = st.sampled_from(PATTERNS)
bounds = st.lists(st.integers(1, 3), min_size=2, max_size=2)
metrics = st.sampled_from(("cpu", "requests_per_target"))
# Seconds: within a step, within a deploy, and after the reconciler's deadlines.
spans = st.sampled_from((0.5, 3.0, 20.0, 90.0, 400.0, 2000.0))
which = st.integers(0, MOST_LIVE - 1)
# The number of a later change: the request makes the first two, a deploy about forty.
turns = st.integers(1, 4) | st.integers(1, 45)
Trouble = tuple[str, int]
troubles = st.tuples(
    st.sampled_from(
        (
            "crash_before",
            "crash_after",
            "run_at_once",
            "run_again",
            "stall",
            "delete",
            "delete_and_stall",
        )
    ),
    turns,
)
maybe = st.none() | troubles
STALL = 25.0


class Slipway(RuleBasedStateMachine):
    """Two owners with up to three deployments in one AWS account."""

    @initialize(seed=st.integers(0, 10**6), tag=tags, after=spans)
    def open(self, seed: int, tag: str, after: float) -> None:
        """A new world for each run, with one deployment."""
        self.stack = contextlib.ExitStack()
        self.world: World = self.stack.enter_context(opened(seed))
        patch = self.stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("MAX_TASKS_PER_OWNER", MOST_TASKS)
        stack_settings.cache_clear()
        self.world.account.push(CRASHES, containers.exits(after=2.0, logs=("It ends.",)))
        self.world.interference = self._meet
        self.plans: list[tuple[int, Callable[[Point], None]]] = []
        self.stalled: list[Invocation] = []
        self.weather = self.world.account.weather
        self.world.create(OWNERS[0], name=NAMES[0], image=image(tag))
        self.world.run_for(after)

    def teardown(self) -> None:
        """Remove all faults, run everything to its end, and check the invariants."""
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
    @rule(owner=owners, name=names, tag=tags, keep=st.booleans(), after=spans, trouble=maybe)
    def create(
        self, owner: str, name: str, tag: str, keep: bool, after: float, trouble: Trouble | None
    ) -> None:
        """Create a deployment. A used name is refused."""
        self._plan(trouble)
        on_failure = "keep" if keep else "teardown"
        self.world.create(owner, name=name, image=image(tag), on_failure=on_failure)
        self.world.run_for(after)

    @precondition(lambda self: self._live_count())
    @rule(which=which, tag=tags, after=spans, trouble=maybe)
    def update_image(self, which: int, tag: str, after: float, trouble: Trouble | None) -> None:
        """Update to another image, or to an image that fails."""
        self._plan(trouble)
        record = self._chosen(which)
        self.world.update(record.id, record.owner, image=image(tag))
        self.world.run_for(after)

    @precondition(lambda self: self._live_count())
    @rule(which=which, count=st.integers(1, 3), after=spans, trouble=maybe)
    def scale(self, which: int, count: int, after: float, trouble: Trouble | None) -> None:
        """Set more or fewer tasks."""
        self._plan(trouble)
        record = self._chosen(which)
        self.world.update(record.id, record.owner, count=count, scaling=None)
        self.world.run_for(after)

    @precondition(lambda self: self._live_count())
    @rule(which=which, bounds=bounds, metric=metrics, after=spans, trouble=maybe)
    def scale_by_load(
        self, which: int, bounds: list[int], metric: str, after: float, trouble: Trouble | None
    ) -> None:
        """Turn autoscaling on: from now on AWS sets the number of tasks."""
        self._plan(trouble)
        record = self._chosen(which)
        scaling = {"min": min(bounds), "max": max(bounds), "metric": metric, "target": 50}
        self.world.update(record.id, record.owner, scaling=scaling)
        self.world.run_for(after)

    @precondition(lambda self: self._live_count())
    @rule(which=which, count=st.integers(0, 4), after=spans)
    def meet_load(self, which: int, count: int, after: float) -> None:
        """The load needs `count` tasks."""
        self.world.account.scaling.ask_for(self._chosen(which).id, count)
        self.world.run_for(after)

    @precondition(lambda self: self._live_count())
    @rule(which=which, tags=own_tags, tag=tags, after=spans, trouble=maybe)
    def retag(
        self, which: int, tags: dict[str, str], tag: str, after: float, trouble: Trouble | None
    ) -> None:
        """Change the tags together with an image that may fail: then they are rolled back."""
        self._plan(trouble)
        record = self._chosen(which)
        self.world.update(record.id, record.owner, tags=tags, image=image(tag))
        self.world.run_for(after)

    @precondition(lambda self: self._live_count())
    @rule(which=which, secure=st.booleans(), domain=domains, after=spans, trouble=maybe)
    def move(
        self, which: int, secure: bool, domain: str | None, after: float, trouble: Trouble | None
    ) -> None:
        """Change the address. A domain of another deployment is refused."""
        self._plan(trouble)
        record = self._chosen(which)
        certificate = self.world.certificate if secure else None
        self.world.update(record.id, record.owner, certificate_arn=certificate, domain=domain)
        self.world.run_for(after)

    @precondition(lambda self: self._live_count())
    @rule(which=which, after=spans, trouble=maybe)
    def delete(self, which: int, after: float, trouble: Trouble | None) -> None:
        """Delete a deployment in any state."""
        self._plan(trouble)
        record = self._chosen(which)
        self.world.delete(record.id, record.owner)
        self.world.run_for(after)

    @precondition(lambda self: self._live_count())
    @rule(which=which, after=spans, trouble=maybe)
    def retry(self, which: int, after: float, trouble: Trouble | None) -> None:
        """Retry a failed deployment; refused in any other state."""
        self._plan(trouble)
        record = self._chosen(which)
        self.world.retry(record.id, record.owner)
        self.world.run_for(after)

    @precondition(lambda self: self._live_count())
    @rule(which=which, after=spans, trouble=maybe)
    def pause(self, which: int, after: float, trouble: Trouble | None) -> None:
        """Pause an ACTIVE deployment; refused in any other state."""
        self._plan(trouble)
        record = self._chosen(which)
        self.world.pause(record.id, record.owner)
        self.world.run_for(after)

    @precondition(lambda self: self._live_count())
    @rule(which=which, after=spans, trouble=maybe)
    def resume(self, which: int, after: float, trouble: Trouble | None) -> None:
        """Resume a PAUSED deployment; refused in any other state."""
        self._plan(trouble)
        record = self._chosen(which)
        self.world.resume(record.id, record.owner)
        self.world.run_for(after)

    # --- what goes wrong -----------------------------------------------------------------

    @rule(trouble=troubles)
    def trouble(self, trouble: Trouble) -> None:
        """Add a fault, in addition to those of the requests."""
        self._plan(trouble)

    @rule(pattern=patterns, kind=st.sampled_from(PASSING), nth=turns, times=st.integers(1, 3))
    def go_wrong(self, pattern: str, kind: Kind, nth: int, times: int) -> None:
        """Make a few calls fail, before or after they take effect."""
        self.weather.plan(Fault(pattern, kind, nth=nth, times=times))

    @rule(pattern=patterns, kind=st.sampled_from(("throttled", "denied")), after=spans)
    def refuse(self, pattern: str, kind: Kind, after: float) -> None:
        """Make AWS refuse one kind of call for a while."""
        self.weather.plan(Fault(pattern, kind, times=FOR_LONG))
        self.world.run_for(after)
        self.weather.clear()

    # --- time ----------------------------------------------------------------------------

    @rule()
    def reconcile(self) -> None:
        """Run the reconciler outside its schedule."""
        self.world.reconcile()

    @rule(after=spans)
    def wait(self, after: float) -> None:
        """Let time pass."""
        self.world.run_for(after)

    @precondition(lambda self: not self.plans)
    @rule()
    def settle(self) -> None:
        """Run everything to its end."""
        self._settle()

    @invariant()
    def outcomes_are_not_early(self) -> None:
        """No outcome before the end of what was requested, and none missing after it."""
        if hasattr(self, "world"):
            assert invariants.early_outcomes(self.world) == []

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

    def _plan(self, trouble: Trouble | None) -> None:
        if trouble:
            kind, turn = trouble
            self.plans.append((turn, getattr(self, f"_{kind}")))

    # Faults at a change, from just before it.

    def _crash_before(self, point: Point) -> None:
        raise Killed

    def _crash_after(self, point: Point) -> None:
        self.plans.append((0, self._crash_before))

    def _run_at_once(self, point: Point) -> None:
        point.invocation.rerun()

    def _run_again(self, point: Point) -> None:
        point.invocation.again = True

    def _stall(self, point: Point) -> None:
        """The function takes almost all of its 30 s, while everything else continues.

        Only once: Lambda would end it at a second stall, but here it would continue.
        """
        if any(stalled is point.invocation for stalled in self.stalled):
            return
        self.stalled.append(point.invocation)
        self.world.run_for(STALL)

    def _delete(self, point: Point) -> None:
        """A DELETE arrives at this point."""
        for record in self._live():
            if record.id == point.invocation.deployment_id:
                self.world.delete(record.id, record.owner)

    def _delete_and_stall(self, point: Point) -> None:
        self._delete(point)
        self._stall(point)

    def _meet(self, point: Point) -> None:
        """Count the changes, and cause the fault that is planned for this one."""
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


@pytest.mark.parametrize("seed", range(PARTS))
def test_the_invariants_hold_after_random_requests_and_faults(seed: int) -> None:
    """Each seed is a part of the runs, so that several processes share them.

    Hypothesis starts with the simplest run. So each part has one run more than its share.
    """
    runs = RUNS // PARTS + 1
    part = hypothesis.seed(seed)(type("Slipway", (Slipway,), {}))
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        part,
        settings=settings(
            max_examples=runs,
            stateful_step_count=STEPS,
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
    LINES.append(f"property test, seed {seed}: {runs} runs of up to {STEPS} steps")
