"""Executions of the state machine: start one, look at one, stop one."""

from __future__ import annotations

import json

from chalicelib.domain import naming
from chalicelib.domain.deployment import Deployment
from chalicelib.platform import aws
from chalicelib.platform.settings import settings


def start(deployment: Deployment) -> None:
    """Starts the execution of the deployment's generation; does nothing when it was started.

    The name comes from the generation, so a second start with the same input is the same
    execution: `ExecutionAlreadyExists` is what AWS says after it has ended.
    """
    states = aws.client("stepfunctions")
    work = {
        "deployment_id": deployment.id,
        "generation": deployment.generation,
        "path": deployment.operation.path,
    }
    try:
        states.start_execution(
            stateMachineArn=settings().state_machine_arn,
            name=naming.execution(deployment.id, deployment.generation),
            input=json.dumps(work),
        )
    except states.exceptions.ExecutionAlreadyExists:
        return


def status(deployment_id: str, generation: int) -> str | None:
    """`RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT` or `ABORTED`; None where it never started.

    Eventually consistent and throttled at 15 a second, so nothing but the reconciler asks.
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
    """
    states = aws.client("stepfunctions")
    try:
        answer = states.describe_execution(executionArn=_arn(deployment_id, generation))
    except states.exceptions.ExecutionDoesNotExist:
        return None
    return str(answer["status"])


def stop(deployment_id: str, generation: int) -> None:
    """Stops a superseded execution, best effort: the fence keeps its steps off AWS anyway."""
    states = aws.client("stepfunctions")
    try:
        states.stop_execution(
            executionArn=_arn(deployment_id, generation),
            error="Superseded",
            cause=f"generation {generation + 1} was accepted",
        )
    except states.exceptions.ExecutionDoesNotExist:
        return


def _arn(deployment_id: str, generation: int) -> str:
    machine = settings().state_machine_arn.replace(":stateMachine:", ":execution:")
    return f"{machine}:{naming.execution(deployment_id, generation)}"
