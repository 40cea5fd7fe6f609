"""An error of AWS as the workflow's error, and which errors are transient."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from chalicelib.domain.errors import (
    AwsUnavailable,
    DeploymentFailed,
    FailureCode,
    NotFound,
    NotReady,
    Retryable,
    Throttled,
)
from chalicelib.platform import api_errors
from chalicelib.workflow import aws_errors


def client_error(code: str, message: str = "no", status: int = 400) -> ClientError:
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "CreateThing")


@pytest.mark.parametrize("code", sorted(api_errors.THROTTLED))
def test_throttling_errors_are_throttled(code: str) -> None:
    assert isinstance(aws_errors.workflow_error(client_error(code)), Throttled)


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
def test_transient_errors_are_unavailable(code: str, message: str, status: int) -> None:
    assert isinstance(aws_errors.workflow_error(client_error(code, message, status)), Retryable)


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("AccessDenied", FailureCode.AWS_ACCESS_DENIED),
        ("AccessDeniedException", FailureCode.AWS_ACCESS_DENIED),
        ("UnauthorizedOperation", FailureCode.AWS_ACCESS_DENIED),
        ("TooManyLoadBalancers", FailureCode.AWS_QUOTA_EXCEEDED),
        ("SecurityGroupLimitExceeded", FailureCode.AWS_QUOTA_EXCEEDED),
        ("ServiceQuotaExceededException", FailureCode.AWS_QUOTA_EXCEEDED),
        ("ValidationError", FailureCode.AWS_REFUSED),
    ],
)
def test_permanent_errors_keep_awss_message(code: str, failure: FailureCode) -> None:
    error = aws_errors.workflow_error(client_error(code, "not today"))
    assert isinstance(error, DeploymentFailed)
    assert error.code == failure
    assert error.hint
    assert error.evidence == {
        "aws_operation": "CreateThing",
        "aws_error": code,
        "aws_message": "not today",
    }


def test_a_denied_service_linked_role_is_not_transient() -> None:
    message = "not authorized to create the service-linked role"
    error = aws_errors.workflow_error(client_error("AccessDenied", message, 403))
    assert isinstance(error, DeploymentFailed)


@pytest.mark.parametrize(
    "error",
    [
        ConnectTimeoutError(endpoint_url="https://aws.example"),
        ReadTimeoutError(endpoint_url="https://aws.example"),
    ],
)
def test_a_lost_response_is_retryable(error: Exception) -> None:
    assert isinstance(aws_errors.workflow_error(error), Retryable)


def test_other_exceptions_are_not_aws_errors() -> None:
    assert aws_errors.workflow_error(ValueError("x")) is None


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
def test_a_conflict_between_two_runs_of_a_step_is_transient(code: str, message: str) -> None:
    error = aws_errors.workflow_error(client_error(code, message))
    assert isinstance(error, (Retryable, Throttled))


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (client_error("Throttling"), True),
        (client_error("Whatever", status=503), True),
        (ConnectTimeoutError(endpoint_url="https://aws.example"), True),
        (Throttled("x"), True),
        (Retryable("x"), True),
        (client_error("AccessDenied"), False),
        (client_error("TooManyLoadBalancers"), False),
        (client_error("ValidationError"), False),
        (NotReady("x"), False),
        (ValueError("x"), False),
    ],
)
def test_transient_errors_are_recognized(error: Exception, transient: bool) -> None:
    assert aws_errors.is_transient(error) is transient


def test_a_transient_error_is_raised_as_unavailable() -> None:
    with pytest.raises(AwsUnavailable) as raised, aws_errors.unavailable_if_transient():
        raise client_error("Throttling")
    assert raised.value.detail == (
        "AWS is not available: AWS throttled CreateThing. Send the request again."
    )
    assert raised.value.headers == {"Retry-After": "5"}


@pytest.mark.parametrize("error", [NotFound("x"), client_error("AccessDenied"), ValueError("x")])
def test_any_other_error_passes_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, aws_errors.unavailable_if_transient():
        raise error
    assert raised.value is error
