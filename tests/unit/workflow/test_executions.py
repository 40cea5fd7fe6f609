import pytest
from botocore.exceptions import ClientError

from chalicelib.domain.operation import Path
from chalicelib.platform import aws
from chalicelib.workflow import executions
from tests.support import aws_says
from tests.support.builders import ID, active, deployment_of, spec_of

pytestmark = pytest.mark.usefixtures("state_machine")


def statuses(machine: str) -> dict[str, str]:
    found = aws.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    return {entry["name"]: entry["status"] for entry in found}


def test_a_generation_is_started_once(state_machine: str) -> None:
    deployment = deployment_of()
    executions.start(deployment)
    executions.start(deployment)
    assert list(statuses(state_machine)) == [f"{ID}-1"]


def test_an_ended_execution_is_not_started_again(state_machine: str) -> None:
    deployment = deployment_of()
    executions.start(deployment)
    executions.stop(ID, 1)
    executions.start(deployment)
    assert statuses(state_machine) == {f"{ID}-1": "ABORTED"}


def test_an_execution_of_the_same_name_with_another_input_is_refused(state_machine: str) -> None:
    deployment = deployment_of()
    executions.start(deployment)
    deployment.operation.path = Path.DESTROY
    with pytest.raises(executions.NameInUse, match=r'"converge"\}, not .*"destroy"\}'):
        executions.start(deployment)
    assert statuses(state_machine) == {f"{ID}-1": "RUNNING"}


def test_a_name_in_use_by_an_execution_that_aws_does_not_show_yet_is_raised() -> None:
    aws_says.refuse("stepfunctions", "StartExecution", "ExecutionAlreadyExists")
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        executions.start(deployment_of())


def test_another_generation_is_another_execution(state_machine: str) -> None:
    deployment = active()
    executions.start(deployment)
    deployment.update(spec_of(count=2), deployment.created_at, new_image=False)
    executions.start(deployment)
    assert set(statuses(state_machine)) == {f"{ID}-1", f"{ID}-2"}


def test_a_refused_start_raises_an_error() -> None:
    aws_says.refuse("stepfunctions", "StartExecution", "ThrottlingException")
    with pytest.raises(ClientError):
        executions.start(deployment_of())


def test_a_superseded_execution_is_stopped(state_machine: str) -> None:
    executions.start(deployment_of())
    executions.stop(ID, 1)
    assert statuses(state_machine) == {f"{ID}-1": "ABORTED"}


def test_stopping_an_execution_that_never_started_succeeds() -> None:
    executions.stop(ID, 7)
