"""Stubbed AWS responses on the real boto3 clients, for responses that the emulator cannot give."""

from collections.abc import Callable
from typing import Any

from botocore.awsrequest import AWSResponse

from chalicelib.platform import aws

Parsed = dict[str, Any]


def answer(service: str, operation: str, parsed: Parsed | Callable[[Parsed], Parsed]) -> None:
    """Later calls of `operation` return `parsed`; a callable gets the request's parameters."""

    def reply(params: Parsed, **_: Any) -> tuple[AWSResponse, Parsed]:
        body = parsed(params) if callable(parsed) else parsed
        return _response(200), body

    _on(service, operation, reply)


def refuse(
    service: str,
    operation: str,
    code: str,
    message: str = "no",
    *,
    status: int = 400,
    times: int | None = None,
    **more: Any,
) -> None:
    """`operation` fails with an AWS error: on every call, or on the first `times` calls."""
    remaining = [times]

    def reply(**_: Any) -> tuple[AWSResponse, Parsed] | None:
        if remaining[0] == 0:
            return None
        if remaining[0] is not None:
            remaining[0] -= 1
        error = {"Code": code, "Message": message}
        metadata = {"HTTPStatusCode": status}
        return _response(status), {"Error": error, "ResponseMetadata": metadata, **more}

    _on(service, operation, reply)


def lose(service: str, operation: str, error: Exception) -> None:
    """`operation` raises `error`, for example because the connection breaks."""

    def reply(**_: Any) -> None:
        raise error

    _on(service, operation, reply)


def watch(service: str, operation: str) -> list[Parsed]:
    """Return a list that collects the parameters of every later call of `operation`."""
    calls: list[Parsed] = []
    _on(
        service,
        operation,
        lambda params, **_: calls.append(dict(params)),
        event="provide-client-params",
    )
    return calls


def _on(
    service: str, operation: str, handler: Callable[..., Any], event: str = "before-call"
) -> None:
    client = aws.client(service)
    service_id = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register_first(f"{event}.{service_id}.{operation}", handler)


def _response(status: int) -> AWSResponse:
    return AWSResponse("https://aws.example", status, {}, None)
