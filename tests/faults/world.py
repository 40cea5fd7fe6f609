"""Slipway and its AWS on simulated time: requests, executions and the reconciler.

Each invocation of a function runs at one simulated instant. Time passes between invocations, while
the state machine waits. `interference` gets the point of every call that the product makes to AWS.
It can cause realistic faults there: kill the function, run it twice, or plan weather.
"""

from __future__ import annotations

import contextlib
import json
import math
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import app
from chalicelib.api import deployments
from chalicelib.api.requests import Request
from chalicelib.domain.errors import RequestRefused
from chalicelib.store.tokens import Caller
from tests.support import event_patterns
from tests.support.simulated_aws.account import ACCOUNT_ID, REGION, Account, is_mutating
from tests.support.simulated_aws.aws import Call
from tests.support.simulated_aws.clock import SimulatedClock
from tests.support.simulated_aws.schedule import Schedule
from tests.support.simulated_aws.states import Killed, StepFunctions
from tests.support.simulated_aws.tasks import Task
from tests.workflow import machine

OWNERS = ("team-a", "team-b")
RECONCILE_EVERY = 300.0
# The world is idle after this many reconciler runs without a change.
QUIET_LOOKS = 2
# How long Lambda waits before it repeats an asynchronous event.
RETRY_AFTER = (60.0, 120.0)
# The sweep of the checks of health that are due.
SWEEP_EVERY = 60.0
RULE = machine.TEMPLATE["Resources"]["Reconciler"]["Properties"]["Events"]["ExecutionEndedBadly"]
RECONCILED = RULE["Properties"]["Pattern"]["detail"]["status"]
STOPPED = machine.TEMPLATE["Resources"]["Health"]["Properties"]["Events"]["TaskStopped"]
# EventBridge delivers an event within seconds.
EVENT_DELAY = 1.0


@dataclass
class Invocation:
    """One run of a function.

    Attributes:
        label: the step's name, with "rollback_" before it on that path; or the request's, such as
            "create"; or "reconciler".
        deployment_id: the deployment's ID; "" if the event does not name it.
        again: whether the same event is delivered once more after the run.
    """

    label: str
    deployment_id: str = ""
    generation: int = 0
    rerun: Callable[[], object] = lambda: None
    again: bool = False
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Point:
    """A point in the work: just before or just after one call to AWS.

    Attributes:
        label: such as "create_service:ecs.CreateService#1": the first such call in its step.
        when: "before" or "after".
    """

    invocation: Invocation
    label: str
    call: Call
    when: str

    @property
    def mutating(self) -> bool:
        """Whether the call changes anything in AWS."""
        return is_mutating(self.call)


@dataclass(frozen=True)
class Reply:
    """A client's response. `status` 0 means that there was none."""

    status: int
    body: Any = None


class World:
    """One account with Slipway. Use it inside `mock_aws`.

    Attributes:
        certificate: the ARN of a certificate for every allowed domain.
        interference: called at every point of the product's own calls.
        touched: the changes in AWS except to the record, in order: the invocation, and the call's
            parameters as text.
        replies: the clients' responses, in order.
        troubles: the errors of reconciler runs.
    """

    def __init__(
        self, account: Account, clock: SimulatedClock, *, seed: int = 0, certificate: str = ""
    ) -> None:
        self.account, self.clock, self.certificate = account, clock, certificate
        self.schedule = Schedule(clock)
        self.states = StepFunctions(self.schedule, machine.DEFINITION, self._step, seed=seed)
        # After the weather, which also applies to calls to Step Functions.
        rules = account.layer.rules
        rules.insert(rules.index(account.throttling) + 1, self.states)
        account.listeners.append(self._listen)
        self.states.watchers.append(self._status_changed)
        account.fargate.tasks.watchers.append(self._task_stopped)
        self.interference: Callable[[Point], object] = lambda point: None
        self.touched: list[tuple[Invocation, str]] = []
        self.replies: list[Reply] = []
        self.troubles: list[str] = []
        self._stack: list[Invocation] = []
        self._quiet = 0
        self._changes = 0
        self._tick()
        self.schedule.after(SWEEP_EVERY, self._sweep)

    # --- requests ------------------------------------------------------------------------

    def create(self, owner: str = OWNERS[0], **spec: Any) -> Reply:
        """`POST /deployments`."""
        return self.ask("create", owner, body=spec)

    def update(self, reference: str, owner: str = OWNERS[0], **changes: Any) -> Reply:
        """`PATCH /deployments/{reference}`."""
        return self.ask("update", owner, reference, body=changes)

    def delete(self, reference: str, owner: str = OWNERS[0]) -> Reply:
        """`DELETE /deployments/{reference}`."""
        return self.ask("delete", owner, reference)

    def retry(self, reference: str, owner: str = OWNERS[0]) -> Reply:
        """`POST /deployments/{reference}/retry`."""
        return self.ask("retry", owner, reference)

    def pause(self, reference: str, owner: str = OWNERS[0]) -> Reply:
        """`POST /deployments/{reference}/pause`."""
        return self.ask("pause", owner, reference)

    def resume(self, reference: str, owner: str = OWNERS[0]) -> Reply:
        """`POST /deployments/{reference}/resume`."""
        return self.ask("resume", owner, reference)

    def ask(self, what: str, owner: str, *references: str, body: Any = None) -> Reply:
        """Send one request, which runs at the current simulated time."""
        reply = self._ask(what, owner, *references, body=body)
        self.replies.append(reply)
        return reply

    def _ask(self, what: str, owner: str, *references: str, body: Any) -> Reply:
        handler = getattr(deployments, what)
        request = Request(
            Caller(owner, frozenset({"read", "deploy"}), f"tok_{owner}"),
            "/deployments",
            {"Content-Type": "application/json"},
            body=json.dumps(body).encode() if body is not None else b"",
        )
        made = Invocation(what, *references)
        try:
            answer = self._run(made, "api_handler", lambda: handler(request, *references))
        except RequestRefused as refused:
            return Reply(refused.status, refused.code)
        except Killed:
            return Reply(0)
        except Exception as error:
            return Reply(500, repr(error))
        return Reply(answer.status, answer.body)

    # --- time ----------------------------------------------------------------------------

    def run_for(self, seconds: float) -> None:
        """Let simulated time pass."""
        end = self.clock.seconds() + seconds
        while self.step(end):
            pass
        self.clock.advance_to(end)

    def step(self, end: float = math.inf) -> bool:
        """Run the next action of AWS or of the schedule. Return False if none is due by `end`."""
        in_aws, planned = self.account.timeline.next_due(), self.schedule.next_at
        due = min((moment for moment in (in_aws, planned) if moment is not None), default=math.inf)
        if due > end:
            return False
        if due == in_aws:
            self.clock.advance_to(due)
            self.account.timeline.catch_up()
        else:
            self.schedule.step()
        return True

    def run_until_idle(self, hours: float = 6.0) -> bool:
        """Run until the world is idle. Return False if it is not idle after `hours`."""
        end = self.clock.seconds() + hours * 3600
        self._quiet = 0
        while self._quiet < QUIET_LOOKS or self.states.running:
            if self.clock.seconds() > end:
                return False
            self.step()
        return True

    def reconcile(self, event: dict[str, Any] | None = None) -> None:
        """Run the reconciler once; by default as its schedule does."""
        event = event or self._event("aws.events", "Scheduled Event", {})
        context = SimpleNamespace(aws_request_id=str(uuid.uuid4()))
        made = Invocation("reconciler")
        try:
            self._run(made, "reconciler", lambda: app.reconciler(event, context))
        except (Exception, Killed) as error:
            # Its next run is in five minutes. AWS retries an asynchronous event twice; that is
            # omitted here.
            self.troubles.append(repr(error))

    def check_health(self, event: dict[str, Any] | None = None, attempt: int = 0) -> None:
        """Run the function `health` once; by default as its schedule does.

        Lambda repeats an event twice if the function fails:
        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
        """
        sent = event or self._event("aws.events", "Scheduled Event", {})
        made = Invocation("health")
        try:
            self._run(made, "health", lambda: app.health(sent, None))
        except (Exception, Killed) as error:
            self.troubles.append(repr(error))
            if event and attempt < len(RETRY_AFTER):
                again = RETRY_AFTER[attempt]
                self.schedule.after(again, lambda: self.check_health(event, attempt + 1))

    # --- internals -----------------------------------------------------------------------

    def _sweep(self) -> None:
        self.check_health()
        self.schedule.after(SWEEP_EVERY, self._sweep)

    def _task_stopped(self, task: Task) -> None:
        """EventBridge sends the function `health` the events that match the template's rule."""
        detail = self.account.fargate.tasks.described(task, tags=False)
        event = self._event("aws.ecs", "ECS Task State Change", json.loads(_written(detail)))
        if event_patterns.matches(STOPPED["Properties"]["Pattern"], event):
            self.schedule.after(EVENT_DELAY, lambda: self.check_health(event))

    def _tick(self) -> None:
        """Run the reconciler's schedule."""
        if self.clock.seconds() > 0:
            before = self._changes
            self.reconcile()
            calm = self._changes == before and not self.states.running
            self._quiet = self._quiet + 1 if calm else 0
        self.schedule.after(RECONCILE_EVERY, self._tick)

    def _status_changed(self, detail: dict[str, Any]) -> None:
        """EventBridge sends the reconciler the events that match the template's rule."""
        if detail["status"] not in RECONCILED:
            return
        kind = "Step Functions Execution Status Change"
        event = self._event("aws.states", kind, detail)
        self.schedule.after(EVENT_DELAY, lambda: self.reconcile(event))

    def _event(self, source: str, kind: str, detail: dict[str, Any]) -> dict[str, Any]:
        """https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html"""
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "source": source,
            "detail-type": kind,
            "account": ACCOUNT_ID,
            "region": REGION,
            "time": self.clock.now().isoformat(),
            "resources": [],
            "detail": detail,
        }

    def _step(self, resource: str, event: dict[str, Any]) -> dict[str, Any]:
        """Run a function of the state machine, as Step Functions does."""
        function = machine.function_of(resource)
        prefix = "rollback_" if event["path"] == "rollback" else ""
        made = Invocation(prefix + event["step"], event["deployment_id"], int(event["generation"]))
        return self._run(made, function, lambda: machine.call(function, event))

    def _run(self, made: Invocation, function: str, work: Callable[[], Any]) -> Any:
        """Run a function once, or twice in sequence if `again` was set meanwhile."""
        made.rerun = lambda: self._nested(made, function, work)
        try:
            answer = self._once(made, function, work)
        except (Exception, Killed):
            if not made.again:
                raise
        if not made.again:
            return answer
        return self._once(replace(made, counts=Counter(), again=False), function, work)

    def _nested(self, made: Invocation, function: str, work: Callable[[], Any]) -> None:
        """Deliver the same event to another instance of the function, which runs completely."""
        with contextlib.suppress(Exception, Killed):
            self._once(replace(made, counts=Counter(), again=False), function, work)

    def _once(self, made: Invocation, function: str, work: Callable[[], Any]) -> Any:
        caller, self.account.caller = self.account.caller, function
        self._stack.append(made)
        try:
            return work()
        finally:
            self._stack.pop()
            self.account.caller = caller

    def _listen(self, call: Call, when: str) -> None:
        if not self._stack:
            return  # the test's own call
        made = self._stack[-1]
        if when == "before":
            made.counts[call.name] += 1
            self._changes += is_mutating(call)
        elif is_mutating(call) and call.service != "dynamodb":
            self.touched.append((made, json.dumps(call.params, default=str)))
        label = f"{made.label}:{call.name}#{made.counts[call.name]}"
        self.interference(Point(made, label, call, when))


def _written(detail: dict[str, Any]) -> str:
    """An event's detail as JSON, with times as EventBridge writes them."""
    return json.dumps(detail, default=lambda moment: moment.isoformat())
