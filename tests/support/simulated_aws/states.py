"""Step Functions: starts, runs, describes and stops Standard workflows on the simulated clock.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.support.simulated_aws.asl import Interpreter, StateFailed
from tests.support.simulated_aws.aws import Answer, AwsError, Call, Rule
from tests.support.simulated_aws.schedule import Process, Schedule, Wish

# Takes a Task's `Resource` and its input; returns the function's result or raises its error.
Function = Callable[[str, dict[str, Any]], dict[str, Any]]

# Seconds, shorter than every wait of the workflow. They differ, so that branches interleave.
LATENCY = (0.02, 0.2)
DURATION = (0.1, 1.0)
KILLED_AFTER = 1.0
# "This operation is eventually consistent": reads lag. AWS publishes no figure.
LAG = 2.0
UNHANDLED = "Lambda.Unknown"


class Killed(BaseException):
    """A Lambda function ended in the middle of its code: out of memory, or timed out.

    It is not an `Exception`, so that no handler in the function catches it. Step Functions
    reports it as `Lambda.Unknown`.
    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """


@dataclass
class Execution:
    """One execution; `status` is RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED."""

    arn: str
    machine_arn: str
    name: str
    input: str
    started: datetime
    started_at: float
    interpreter: Interpreter
    process: Process = field(repr=False)
    status: str = "RUNNING"
    stopped: datetime | None = None
    stopped_at: float = float("inf")
    output: str | None = None
    error: str | None = None
    cause: str | None = None


class StepFunctions(Rule):
    """Answers calls to "stepfunctions" instead of an emulator, for one state machine.

    Attributes:
        executions: by ARN, in start order.
        watchers: called at each change with the `detail` of an "Execution Status Change" event.
        definition: new executions use it. Replace it as a deploy does: running executions keep
            their definition.
            https://docs.aws.amazon.com/step-functions/latest/apireference/API_UpdateStateMachine.html
        function: called for each Task.
    """

    def __init__(
        self, schedule: Schedule, definition: dict[str, Any], function: Function, *, seed: int = 0
    ) -> None:
        self.executions: dict[str, Execution] = {}
        self.watchers: list[Callable[[dict[str, Any]], object]] = []
        self._schedule, self.definition, self.function = schedule, definition, function
        self._random = random.Random(seed)
        self._operations: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "StartExecution": self._start,
            "StopExecution": self._stop,
            "DescribeExecution": self._describe,
            "ListExecutions": self._list,
        }

    def before(self, call: Call) -> Answer | None:
        """The response to a call to Step Functions; None for other services."""
        if call.service != "stepfunctions":
            return None
        if call.operation not in self._operations:
            raise NotImplementedError(call.name)
        return self._operations[call.operation](call.params)

    @property
    def running(self) -> list[Execution]:
        """The executions that have not ended."""
        return [e for e in self.executions.values() if e.status == "RUNNING"]

    # --- the operations ------------------------------------------------------------------

    def _start(self, params: dict[str, Any]) -> Answer:
        """Idempotent while an execution of this name and input runs; refused after it ended."""
        machine_arn, name = params["stateMachineArn"], params["name"]
        arn = f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
        text = params.get("input", "{}")
        known = self.executions.get(arn)
        if known is None:
            known = self._begin(arn, machine_arn, name, text)
        elif known.status != "RUNNING" or known.input != text:
            raise AwsError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
        return {"executionArn": arn, "startDate": known.started}

    def _begin(self, arn: str, machine_arn: str, name: str, text: str) -> Execution:
        interpreter = Interpreter(self._invocation, random.Random(self._random.random()))
        routine = interpreter.run(self.definition, json.loads(text))
        process = Process(self._schedule, routine, lambda v, e: self._ended(execution, v, e))
        clock = self._schedule.clock
        execution = Execution(
            arn, machine_arn, name, text, clock.now(), clock.seconds(), interpreter, process
        )
        self.executions[arn] = execution
        self._notify_watchers(execution)
        self._schedule.after(0, process.resume)
        if "TimeoutSeconds" in self.definition:
            self._schedule.after(
                self.definition["TimeoutSeconds"],
                lambda: self._end(execution, "TIMED_OUT", error="States.Timeout"),
            )
        return execution

    def _stop(self, params: dict[str, Any]) -> Answer:
        """Stop an execution now. Running functions continue. No error if it has already ended."""
        execution = self._get(params["executionArn"])
        self._end(execution, "ABORTED", error=params.get("error"), cause=params.get("cause"))
        return {"stopDate": execution.stopped}

    def _describe(self, params: dict[str, Any]) -> Answer:
        execution = self._get(params["executionArn"])
        if not self._is_visible(execution):
            raise _missing(execution.arn)
        shown = self._shown(execution)
        return {
            **shown,
            "input": execution.input,
            **({"output": execution.output} if "stopDate" in shown and execution.output else {}),
            **({"error": execution.error} if "stopDate" in shown and execution.error else {}),
            **({"cause": execution.cause} if "stopDate" in shown and execution.cause else {}),
        }

    def _list(self, params: dict[str, Any]) -> Answer:
        """Newest first; `nextToken` is a position."""
        status_filter = params.get("statusFilter")
        matching = [
            shown
            for execution in reversed(self.executions.values())
            if self._is_visible(execution) and execution.machine_arn == params["stateMachineArn"]
            if (shown := self._shown(execution))["status"] == status_filter or not status_filter
        ]
        first = int(params.get("nextToken", 0))
        end = first + (params.get("maxResults") or 100)
        more = {"nextToken": str(end)} if end < len(matching) else {}
        return {"executions": matching[first:end], **more}

    # --- internals -----------------------------------------------------------------------

    def _get(self, arn: str) -> Execution:
        if arn not in self.executions:
            raise _missing(arn)
        return self.executions[arn]

    def _is_visible(self, execution: Execution) -> bool:
        return execution.started_at + LAG <= self._schedule.clock.seconds()

    def _shown(self, execution: Execution) -> Answer:
        """What a read shows: the status as it was a moment ago."""
        shown: Answer = {
            "executionArn": execution.arn,
            "stateMachineArn": execution.machine_arn,
            "name": execution.name,
            "status": "RUNNING",
            "startDate": execution.started,
        }
        if execution.stopped_at + LAG <= self._schedule.clock.seconds():
            shown |= {"status": execution.status, "stopDate": execution.stopped}
        return shown

    def _ended(self, execution: Execution, output: Any, error: Exception | None) -> None:
        if error is None:
            self._end(execution, "SUCCEEDED", output=json.dumps(output))
        elif isinstance(error, StateFailed):
            self._end(execution, "FAILED", error=error.error, cause=error.cause)
        else:
            raise error

    def _end(self, execution: Execution, status: str, **what: str | None) -> None:
        if execution.status != "RUNNING":
            return
        execution.process.stop()
        clock = self._schedule.clock
        execution.status, execution.stopped = status, clock.now()
        execution.stopped_at = clock.seconds()
        for name, value in what.items():
            setattr(execution, name, value)
        self._notify_watchers(execution)

    def _notify_watchers(self, execution: Execution) -> None:
        """Send the event's `detail` to the watchers. Its dates are in milliseconds."""
        stopped = execution.stopped
        detail = {
            "executionArn": execution.arn,
            "stateMachineArn": execution.machine_arn,
            "name": execution.name,
            "status": execution.status,
            "startDate": int(execution.started.timestamp() * 1000),
            "stopDate": int(stopped.timestamp() * 1000) if stopped else None,
            "input": execution.input,
            "output": execution.output,
            "error": execution.error,
            "cause": execution.cause,
        }
        for watcher in self.watchers:
            watcher(detail)

    def _invocation(self, resource: str, event: dict[str, Any]) -> Wish:
        """Call a function after a moment; its result arrives a moment later.

        A called function always runs, even if its execution or branch ends before.
        """

        def wish(process: Process) -> None:
            self._schedule.after(self._random.uniform(*LATENCY), lambda: run(process))

        def run(process: Process) -> None:
            try:
                answer = self.function(resource, event)
            except Killed:
                failed = StateFailed(UNHANDLED, "The function ended in the middle.")
                self._schedule.after(KILLED_AFTER, lambda: process.fail(failed))
            except Exception as error:
                name = type(error).__name__
                failure = StateFailed(
                    name, json.dumps({"errorType": name, "errorMessage": str(error)})
                )
                self._schedule.after(self._random.uniform(*DURATION), lambda: process.fail(failure))
            else:
                self._schedule.after(
                    self._random.uniform(*DURATION), lambda: process.resume(answer)
                )

        return wish


def _missing(arn: str) -> AwsError:
    return AwsError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
