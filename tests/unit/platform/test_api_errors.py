"""Every documented error of an API has its kind, also inside the error of another service."""

from __future__ import annotations

import pytest

from chalicelib.platform import api_errors
from chalicelib.platform.api_errors import ROWS, ApiError, ErrorKind, kind_of

EXAMPLES = [(row, code, text) for row in ROWS for code, text in row.examples]
CODES = [(row, code) for row in ROWS if not row.phrase for code in sorted(row.codes)]
# Names that a caller can choose, where AWS's messages have names.
HOSTILE = (
    "arn:aws:iam::123456789012:role/rate-exceeded-throttling",
    "arn:aws:ecs:us-east-1:123456789012:cluster/concurrent-service-linked-role",
    "'Rate exceeded'",
    '"service linked role"',
    "https://example.com/request-limit-exceeded?x=AccessDenied",
    "image ghcr.io/team/rate-exceeded:too-many-concurrent-attempts",
)


@pytest.mark.parametrize(("row", "code", "text"), EXAMPLES)
def test_a_documented_error_has_its_kind(row: ApiError, code: str, text: str) -> None:
    assert kind_of(code, text) is row.kind
    assert kind_of(code, text.replace(" ", "\n")) is row.kind
    assert row.source.startswith("https://")


@pytest.mark.parametrize(("row", "code", "text"), EXAMPLES)
def test_names_do_not_change_the_kind(row: ApiError, code: str, text: str) -> None:
    for name in HOSTILE:
        assert kind_of(code, f"{name}: {text}") is row.kind
        assert kind_of("InvalidParameterException", f"Cannot use {name}.") is ErrorKind.REFUSED


@pytest.mark.parametrize(("row", "code"), CODES)
@pytest.mark.parametrize(
    "outer", ["InvalidParameterException", "ClientException", "ServerException"]
)
@pytest.mark.parametrize(
    "form",
    [
        "No (Service: AmazonEC2; Status Code: 400; Error Code: {}; Request ID: 1; Proxy: null)",
        "Failed (Service: AmazonEC2; ErrorCode: {})",
        "Failed (Service: AmazonElasticLoadBalancing; Status\nCode: 400; Error\nCode: {})",
        "EC2 Error Code: {}. EC2 Error Message: no",
        "operation error EC2: CreateNetworkInterface, https response error StatusCode: 400, api "
        "error {}: no",
        "An error occurred ({}) when calling the DescribeSubnets operation: no",
        "No (Service: AmazonEC2; Status Code: 400; Error Code: Client.{}; Request ID: 1)",
        "Failed, ErrorCode={}",
        "{}: no\n\tstatus code: 400, request id: 0a1b",
    ],
)
def test_the_inner_code_decides(row: ApiError, code: str, outer: str, form: str) -> None:
    assert kind_of(outer, form.format(code), 400) is row.kind


def test_the_innermost_known_code_decides() -> None:
    message = (
        "(Service: AmazonECS; Status Code: 400; Error Code: ClientException) caused by "
        "(Service: AmazonEC2; Status Code: 503; ErrorCode: RequestLimitExceeded; Request ID: 1)"
    )
    assert kind_of("InvalidParameterException", message) is ErrorKind.THROTTLED
    assert api_errors.inner_errors(message)[0] == ("RequestLimitExceeded", 503)


@pytest.mark.parametrize(
    ("code", "message", "status", "kind"),
    [
        ("InvalidParameterException", "(Service: AmazonEC2; Status Code: 503)", 400, "UNAVAILABLE"),
        ("ServerException", "(Service: AmazonEC2; Error Code: InvalidGroup)", 500, "UNAVAILABLE"),
        ("InvalidParameterException", "(Service: X; Error Code: Odd)", 400, "REFUSED"),
        ("OperationNotPermitted", "deletion protection is enabled", 400, "REFUSED"),
        (
            "ValidationException",
            "You've reached the limit on vCPUs you can run concurrently",
            400,
            "REFUSED",
        ),
        ("Anything", "", 502, "UNAVAILABLE"),
    ],
)
def test_an_unknown_code_is_not_guessed(code: str, message: str, status: int, kind: str) -> None:
    assert kind_of(code, message, status) is ErrorKind[kind]
