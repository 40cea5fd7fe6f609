import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from chalicelib.domain.errors import DeploymentFailed, FailureCode, Retryable, Throttled
from chalicelib.platform import aws


def client_error(code: str, message: str = "no", status: int = 400) -> ClientError:
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "CreateThing")


def test_a_client_is_made_once() -> None:
    assert aws.client("ecs") is aws.client("ecs")


def test_clients_are_made_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By however many threads: a session of boto3 is one thread's."""
    both = threading.Barrier(2)
    met = []

    def make(*_: object, **__: object) -> object:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)
            met.append(True)
        return object()

    monkeypatch.setattr(boto3.Session, "client", make)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(aws.client, ["ecs", "ecr"]))
    assert met == []


@pytest.mark.parametrize("code", sorted(aws.THROTTLED))
def test_throttling(code: str) -> None:
    assert isinstance(aws.workflow_error(client_error(code)), Throttled)


@pytest.mark.parametrize(
    ("code", "message", "status"),
    [
        ("InternalFailure", "", 500),
        ("ServerException", "Service Unavailable", 500),
        ("ServiceUnavailable", "", 503),
        ("Whatever", "", 502),
        ("InvalidParameterException", "Unable to assume the service linked role.", 400),
        ("ClientException", "The service-linked role is being created", 400),
    ],
)
def test_passing_troubles(code: str, message: str, status: int) -> None:
    assert isinstance(aws.workflow_error(client_error(code, message, status)), Retryable)


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("AccessDenied", FailureCode.AWS_ACCESS_DENIED),
        ("AccessDeniedException", FailureCode.AWS_ACCESS_DENIED),
        ("UnauthorizedOperation", FailureCode.AWS_ACCESS_DENIED),
        ("TooManyLoadBalancers", FailureCode.AWS_QUOTA_EXCEEDED),
        ("SecurityGroupLimitExceeded", FailureCode.AWS_QUOTA_EXCEEDED),
        ("ServiceQuotaExceededException", FailureCode.AWS_QUOTA_EXCEEDED),
        ("ValidationError", FailureCode.INTERNAL),
    ],
)
def test_lasting_troubles_keep_what_aws_said(code: str, failure: FailureCode) -> None:
    error = aws.workflow_error(client_error(code, "not today"))
    assert isinstance(error, DeploymentFailed)
    assert error.code == failure
    assert error.hint
    assert error.evidence == {
        "aws_operation": "CreateThing",
        "aws_error": code,
        "aws_message": "not today",
    }


def test_a_denied_service_linked_role_is_no_passing_trouble() -> None:
    message = "not authorized to create the service-linked role"
    error = aws.workflow_error(client_error("AccessDenied", message, 403))
    assert isinstance(error, DeploymentFailed)


@pytest.mark.parametrize(
    "error",
    [
        ConnectTimeoutError(endpoint_url="https://aws.example"),
        ReadTimeoutError(endpoint_url="https://aws.example"),
    ],
)
def test_a_lost_answer_is_retryable(error: Exception) -> None:
    assert isinstance(aws.workflow_error(error), Retryable)


def test_other_exceptions_are_no_aws_matter() -> None:
    assert aws.workflow_error(ValueError("x")) is None
    assert aws.code_of(ValueError("x")) == ""
    assert aws.message_of(ValueError("x")) == "x"


# ECS and CloudWatch Logs say so when one step runs twice at once.
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("OperationAbortedException", "A conflicting operation is currently in progress"),
        (
            "ClientException",
            "Too many concurrent attempts to create a new revision of the specified family.",
        ),
    ],
)
def test_two_runs_of_one_step_at_once_are_a_passing_trouble(code: str, message: str) -> None:
    error = aws.workflow_error(client_error(code, message))
    assert isinstance(error, (Retryable, Throttled))
