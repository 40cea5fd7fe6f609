"""Executions of the state machine: start, read the status, stop."""

from __future__ import annotations

import json
from typing import Any

from chalicelib.domain import naming
from chalicelib.domain.deployment import Deployment
from chalicelib.platform import aws
from chalicelib.platform.settings import settings


class NameInUse(Exception):
    """An execution with this name exists, and its input is different."""


def start(deployment: Deployment) -> None:
    """Starts the execution of the deployment's generation; does nothing if it was started before.

    The name comes from the generation. If an execution with this name has ended, AWS refuses the
    name even if the input is the same, and some emulators refuse it while the execution runs.
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html

    Raises:
        NameInUse: an execution with this name exists, and its input is different.
    """
    states = aws.client("stepfunctions")
    work = {
        "deployment_id": deployment.id,
        "generation": deployment.generation,
        "path": deployment.operation.path,
    }
    name = naming.execution(deployment.id, deployment.generation)
    try:
        states.start_execution(
            stateMachineArn=settings().state_machine_arn, name=name, input=json.dumps(work)
        )
    except states.exceptions.ExecutionAlreadyExists as error:
        existing = _describe(deployment.id, deployment.generation)
        if existing is None:
            raise  # it ended a moment ago, and AWS does not show it yet
        if json.loads(existing["input"]) != work:
            raise NameInUse(
                f"The execution {name} exists with the input {existing['input']}, "
                f"not {json.dumps(work)}"
            ) from error


def status(deployment_id: str, generation: int) -> str | None:
    """`RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT` or `ABORTED`; None if it was never started."""
    execution = _describe(deployment_id, generation)
    return str(execution["status"]) if execution else None


def stop(deployment_id: str, generation: int) -> None:
    """Stops a superseded execution, best effort: the fence stops its steps in any case."""
    states = aws.client("stepfunctions")
    try:
        states.stop_execution(
            executionArn=_arn(deployment_id, generation),
            error="Superseded",
            cause=f"Generation {generation + 1} has started.",
        )
    except states.exceptions.ExecutionDoesNotExist:
        return


def _describe(deployment_id: str, generation: int) -> dict[str, Any] | None:
    """AWS's description of an execution; None if AWS has none.

    It is eventually consistent, and AWS allows 15 calls per second.
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
    """
    states = aws.client("stepfunctions")
    try:
        return dict(states.describe_execution(executionArn=_arn(deployment_id, generation)))
    except states.exceptions.ExecutionDoesNotExist:
        return None


def _arn(deployment_id: str, generation: int) -> str:
    machine = settings().state_machine_arn.replace(":stateMachine:", ":execution:")
    return f"{machine}:{naming.execution(deployment_id, generation)}"
