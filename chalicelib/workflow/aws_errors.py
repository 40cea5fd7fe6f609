"""What an error of AWS means to the workflow and to a request.

Every caller above this module asks here, so that one error is transient for all of them or none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from chalicelib.domain.errors import (
    AwsUnavailable,
    DeploymentFailed,
    FailureCode,
    Retryable,
    Throttled,
    WorkflowError,
)
from chalicelib.platform import aws
from chalicelib.platform.api_errors import ErrorKind

RETRY_AFTER = {"Retry-After": "5"}


def workflow_error(error: Exception) -> WorkflowError | None:
    """The workflow's error for an exception of botocore; None for any other exception.

    A step may run twice, so a call whose answer was lost is retried.
    """
    kind, operation, message = aws.kind_of(error), aws.operation_of(error), aws.message_of(error)
    match kind:
        case None:
            return None
        case ErrorKind.THROTTLED:
            return Throttled(f"AWS throttled {operation}")
        case ErrorKind.ROLE_IN_CREATION:
            return Retryable(f"{operation}: AWS is creating the service-linked role")
        case ErrorKind.CONCURRENT | ErrorKind.IN_USE:
            return Retryable(f"{operation}: {message}")
        case ErrorKind.UNAVAILABLE:
            code = aws.code_of(error)
            return Retryable(f"{operation}: {code} {message}" if operation else message)
    return _failure(kind, error)


def is_transient(error: Exception) -> bool:
    """Whether the same call may succeed later: an error of botocore or of the workflow."""
    return isinstance(workflow_error(error) or error, (Throttled, Retryable))


@contextmanager
def unavailable_if_transient() -> Iterator[None]:
    """Raises `AwsUnavailable` in place of a transient error; other errors pass unchanged."""
    try:
        yield
    except Exception as error:
        if not is_transient(error):
            raise
        reason = str(workflow_error(error) or error).rstrip(".")
        detail = f"AWS is not available: {reason}. Send the request again."
        raise AwsUnavailable(detail, headers=RETRY_AFTER) from error


def _failure(kind: ErrorKind, error: Exception) -> DeploymentFailed:
    operation, message = aws.operation_of(error), aws.message_of(error)
    evidence = {
        "aws_operation": operation,
        "aws_error": aws.code_of(error),
        "aws_message": message,
    }
    if kind is ErrorKind.DENIED:
        return DeploymentFailed(
            FailureCode.AWS_ACCESS_DENIED,
            f"AWS denied {operation}.",
            hint="Ask your platform team to allow this action for Slipway's role in this account.",
            evidence=evidence,
        )
    if kind is ErrorKind.QUOTA:
        return DeploymentFailed(
            FailureCode.AWS_QUOTA_EXCEEDED,
            f"An AWS quota is used up: {message.rstrip('.')}.",
            hint="Delete deployments that you do not need, or ask AWS for a higher quota.",
            evidence=evidence,
        )
    if kind is ErrorKind.ACCOUNT:
        return DeploymentFailed(
            FailureCode.AWS_QUOTA_EXCEEDED,
            f"AWS does not allow {operation} in this account: {message.rstrip('.')}.",
            hint="Ask the owner of the AWS account to contact AWS Support, then retry.",
            evidence=evidence,
        )
    return DeploymentFailed(
        FailureCode.AWS_REFUSED,
        f"AWS refused {operation}: {message.rstrip('.')}. Slipway does not recognize this reason.",
        hint="Give `evidence` to your platform team. Slipway, its settings or the account may have "
        "a fault.",
        evidence=evidence,
        unrecognized=f"{aws.code_of(error)}: {message}",
    )
