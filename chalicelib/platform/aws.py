"""The only module that creates boto3 clients: lazy, cached, one retry and timeout policy."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from chalicelib.domain.errors import (
    DeploymentFailed,
    FailureCode,
    Retryable,
    Throttled,
    WorkflowError,
)
from chalicelib.platform import observability

THROTTLED = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "SlowDown",
}
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure"}
QUOTA = {
    "LimitExceededException",
    "ServiceQuotaExceededException",
    "TooManyLoadBalancers",
    "TooManyTargetGroups",
    "TooManyListeners",
    "TooManyRegistrationsForTargetId",
    "SecurityGroupLimitExceeded",
    "RulesPerSecurityGroupLimitExceeded",
    "ResourceLimitExceeded",
}
# Two runs of one step met: the later one finds what the other made.
CONCURRENT = {
    "OperationAbortedException",
    "ConcurrentModificationException",
    "ConcurrentUpdateException",
}
# The first ECS or ELB call of an account makes the service-linked role and may fail meanwhile.
SERVICE_LINKED_ROLE = ("service linked role", "service-linked role")


# As many as the courier has threads: each call beyond them would make a connection of its own and
# throw it away, a TLS handshake a call. They are made as they are needed.
CONNECTIONS = 128
# Clients may be used by many threads, and a session by one: it makes one client at a time.
# https://docs.aws.amazon.com/boto3/latest/guide/clients.html
_making = threading.Lock()


@cache
def _session() -> Any:
    import boto3

    observability.trace_aws_calls()
    return boto3.Session()


@cache
def client(service: str, region: str | None = None) -> Any:
    """The boto3 client of `service`, made on first use (14 to 160 ms each) and then kept.

    `region` None is the function's own.

    Retries are few and short here: the state machine waits and tries again, so a function
    never holds its billed time open to do it.
    """
    from botocore.config import Config

    policy = Config(
        connect_timeout=3,
        read_timeout=10,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=CONNECTIONS,
    )
    with _making:
        return _session().client(service, region_name=region, config=policy)


def forget_clients() -> None:
    """Drops every cached client. For tests, which change endpoints between them."""
    client.cache_clear()
    _session.cache_clear()


def code_of(error: Exception) -> str:
    """The AWS error code of a botocore `ClientError`, or an empty string."""
    return str(_said(error).get("Code", ""))


def message_of(error: Exception) -> str:
    """What AWS said, without botocore's preamble."""
    return str(_said(error).get("Message", "") or error)


def _said(error: Exception) -> dict[str, Any]:
    # botocore's errors of connections have a `response` too, which is None.
    response = getattr(error, "response", None) or {}
    return dict(response.get("Error", {}))


def workflow_error(error: Exception) -> WorkflowError | None:
    """What an exception of botocore means to the workflow; None if it is not an AWS matter."""
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, ClientError):
        return _from_client_error(error)
    # Connection resets, time-outs and unreadable answers: the call may have taken effect, and
    # every step may run twice.
    return Retryable(str(error)) if isinstance(error, BotoCoreError) else None


def _from_client_error(error: Any) -> WorkflowError:
    code, message, operation = code_of(error), message_of(error), error.operation_name
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    evidence = {"aws_operation": operation, "aws_error": code, "aws_message": message}
    if code in THROTTLED:
        return Throttled(f"AWS throttled {operation}")
    if any(words in message.lower() for words in SERVICE_LINKED_ROLE) and code not in DENIED:
        return Retryable(f"{operation}: the service-linked role is being made")
    if code in DENIED:
        return DeploymentFailed(
            FailureCode.AWS_ACCESS_DENIED,
            f"AWS refused {operation}.",
            hint="Ask the platform team to allow this action for Slipway's role in this account.",
            evidence=evidence,
        )
    if code in QUOTA:
        return DeploymentFailed(
            FailureCode.AWS_QUOTA_EXCEEDED,
            f"An AWS quota is used up: {message.rstrip('.')}.",
            hint="Delete deployments that are not needed, or ask AWS for a higher quota.",
            evidence=evidence,
        )
    if code in CONCURRENT or "concurrent" in message.lower():
        return Retryable(f"{operation}: {message}")
    if status >= 500 or code in {"ServerException", "InternalFailure", "ServiceUnavailable"}:
        return Retryable(f"{operation}: {code} {message}")
    return DeploymentFailed(
        FailureCode.INTERNAL,
        f"AWS did not accept {operation}: {message}",
        hint="A fault in Slipway or its settings: pass the evidence on to the platform team.",
        evidence=evidence,
    )
