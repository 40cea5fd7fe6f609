"""AWS clients, and what an error of AWS says.

No other module creates a boto3 client. Clients are created on first use and kept; all have the same
retries and timeouts.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from chalicelib.platform import api_errors, observability
from chalicelib.platform.api_errors import ErrorKind

NOT_IMPLEMENTED = 501

DENIED = api_errors.DENIED
# One connection for each of the courier's threads. boto3 opens a connection when it needs one, and
# closes any above this number after one call: that would cost a TLS handshake a call.
CONNECTIONS = 128
# Threads may share a client but not a session, so the session creates one client at a time.
# https://docs.aws.amazon.com/boto3/latest/guide/clients.html
_creating = threading.Lock()


@cache
def _session() -> Any:
    import boto3

    observability.trace_aws_calls()
    return boto3.Session()


@cache
def client(service: str, region: str | None = None) -> Any:
    """The boto3 client of `service`, created on first use (14 to 160 ms each) and then kept.

    `region` None is the function's own region.

    Retries are few and short: the state machine waits and retries, so a function does not spend
    billed time on waiting.
    """
    from botocore.config import Config

    policy = Config(
        connect_timeout=3,
        read_timeout=10,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=CONNECTIONS,
    )
    with _creating:
        return _session().client(service, region_name=region, config=policy)


def forget_clients() -> None:
    """Drops every cached client. Tests need it, because each test has its own endpoints."""
    client.cache_clear()
    _session.cache_clear()


def code_of(error: Exception) -> str:
    """The AWS error code of a botocore `ClientError`, or an empty string."""
    return str(_body(error).get("Code", ""))


def message_of(error: Exception) -> str:
    """AWS's own message, without botocore's preamble."""
    return str(_body(error).get("Message", "") or error)


def operation_of(error: Exception) -> str:
    """The API operation that a botocore `ClientError` is about, or an empty string."""
    return str(getattr(error, "operation_name", ""))


def kind_of(error: Exception) -> ErrorKind | None:
    """What an exception of botocore means.

    None if the exception does not come from botocore, or is a mistake in the call itself.
    """
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

    if isinstance(error, ClientError):
        return api_errors.kind_of(code_of(error), message_of(error), _status_of(error))
    if isinstance(error, ParamValidationError):
        return None
    # The connection broke, timed out or brought an unreadable answer. The call may have taken
    # effect.
    return ErrorKind.UNAVAILABLE if isinstance(error, BotoCoreError) else None


def is_refusal(error: Exception) -> bool:
    """Whether AWS refuses the call, and a retry cannot help; also an API that an emulator lacks."""
    refused = (ErrorKind.DENIED, ErrorKind.QUOTA, ErrorKind.ACCOUNT, ErrorKind.REFUSED)
    return kind_of(error) in refused or _status_of(error) == NOT_IMPLEMENTED


def _status_of(error: Exception) -> int:
    response = getattr(error, "response", None) or {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _body(error: Exception) -> dict[str, Any]:
    # botocore's connection errors have a `response` too: None.
    response = getattr(error, "response", None) or {}
    return dict(response.get("Error", {}))
