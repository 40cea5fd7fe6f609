"""Who may call AWS: the stack's own key and its functions. Others get AWS's own errors."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.exceptions import ClientError

from local.emulator import ACCOUNT_ID, Aws, Keys, client
from local.gateway.access import Access

KEYS = Keys("AKIAOWN", "secret", "token")
HOST = {"Host": "127.0.0.1:4566"}
USER_REQUEST = "/restapis/abc123/api/_user_request_"


def signed(key: str, service: str = "ecs", **headers: str) -> dict[str, str]:
    """The headers of a request that is signed with a key."""
    scope = f"{key}/20261124/us-east-1/{service}/aws4_request"
    value = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    return {**HOST, "Authorization": value, **headers}


def status(method: str, path: str, headers: dict[str, str], verified: bool = False) -> int | None:
    """The status of the refusal, or None if the request may pass."""
    refusal = Access(KEYS, verified).refusal(method, path, headers)
    return refusal.status if refusal else None


def login(password: str) -> dict[str, str]:
    text = base64.b64encode(f"AWS:{password}".encode()).decode()
    return {**HOST, "Authorization": f"Basic {text}"}


def test_the_stacks_own_key_may_call() -> None:
    assert status("POST", "/", signed(KEYS.access_key_id)) is None


@pytest.mark.parametrize("key", ["local", "test", "AKIAOTHER", "akiaown", "AKIAOWN2", ACCOUNT_ID])
def test_no_other_key_may_call(key: str) -> None:
    assert status("POST", "/", signed(key)) == 403


def test_a_function_is_known_by_its_session_token() -> None:
    assert status("POST", "/", signed(ACCOUNT_ID, **{"X-Amz-Security-Token": "token"})) is None
    assert status("POST", "/", signed(ACCOUNT_ID, **{"X-Amz-Security-Token": "other"})) == 403


def test_only_a_verifying_emulator_gets_the_sessions_of_roles() -> None:
    assert status("POST", "/", signed("ASIA0"), verified=True) is None
    assert status("POST", "/", signed("ASIA0")) == 403
    assert status("POST", "/", signed(ACCOUNT_ID), verified=True) == 403


@pytest.mark.parametrize("path", ["/", "/bucket/key", "/2015-03-31/functions", "/_ministack/reset"])
def test_an_unsigned_call_is_refused(path: str) -> None:
    assert status("GET", path, HOST) == 403


def test_a_presigned_call_is_checked_like_a_signed_one() -> None:
    def presigned(key: str) -> str:
        return f"/bucket/key?X-Amz-Credential={key}%2F20261124%2Fus-east-1%2Fs3%2Faws4_request"

    assert status("GET", presigned(KEYS.access_key_id), HOST) is None
    assert status("GET", presigned("AKIAOTHER"), HOST) == 403
    assert status("GET", "/bucket/key?X-Amz-Credential=AKIAOWN", HOST) == 403


@pytest.mark.parametrize("path", [USER_REQUEST, f"{USER_REQUEST}/deployments", f"{USER_REQUEST}?a"])
def test_the_local_api_is_open_on_loopback(path: str) -> None:
    assert status("GET", path, HOST) is None
    assert status("GET", path, {"Host": "localhost:4566"}) is None
    assert status("POST", path, {**HOST, "Authorization": "Bearer x"}) is None


@pytest.mark.parametrize(
    ("path", "host"),
    [
        (f"{USER_REQUEST}/x", "bucket.s3.localhost"),  # MiniStack would read a bucket
        ("/restapis", "127.0.0.1:4566"),  # the control plane of API Gateway
        ("/restapis/abc123/resources", "127.0.0.1:4566"),
        ("/restapis/a%2Fb/api/_user_request_/x", "127.0.0.1:4566"),
        ("/restapis/abc123/api/_user_request_x", "127.0.0.1:4566"),
    ],
)
def test_nothing_else_is_open(path: str, host: str) -> None:
    assert status("GET", path, {"Host": host}) == 403


def test_a_registry_needs_the_login_of_ecr() -> None:
    assert status("GET", "/v2/", login(KEYS.secret_access_key)) is None
    assert status("GET", "/v2/", login("other")) == 401
    assert status("GET", "/v2/", {**HOST, "Authorization": "Basic %"}) == 401
    assert status("PUT", "/v2/a/manifests/1", HOST) == 401
    asked = Access(KEYS, False).refusal("GET", "/v2/", HOST)
    assert asked and asked.headers["WWW-Authenticate"].startswith("Basic ")


def test_the_emulators_health_is_readable() -> None:
    assert status("GET", "/_ministack/health", HOST) is None
    assert status("POST", "/_ministack/health", HOST) == 403


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "code", "expected"),
    [
        ("dynamodb", "list_tables", {}, "UnrecognizedClientException", 400),
        ("ecs", "list_clusters", {}, "UnrecognizedClientException", 400),
        ("sts", "get_caller_identity", {}, "InvalidClientTokenId", 403),
        ("elbv2", "describe_load_balancers", {}, "InvalidClientTokenId", 403),
        ("cloudformation", "list_stacks", {}, "InvalidClientTokenId", 403),
        ("ec2", "describe_vpcs", {}, "AuthFailure", 401),
        ("s3", "list_buckets", {}, "InvalidAccessKeyId", 403),
        ("lambda", "list_functions", {}, "UnrecognizedClientException", 403),
        ("route53", "list_hosted_zones", {}, "InvalidClientTokenId", 403),
    ],
)
def test_each_protocol_gets_its_own_error(
    service: str, operation: str, arguments: dict[str, Any], code: str, expected: int
) -> None:
    foreign = client(service, Aws("http://127.0.0.1:1", "AKIAOTHER", "secret"))

    def refuse(request: AWSRequest, **_: Any) -> Any:
        headers = {name: _text(value) for name, value in request.headers.items()}
        refusal = Access(KEYS, False).refusal(request.method, "/", headers)
        assert refusal
        return AWSResponse(request.url, refusal.status, dict(refusal.headers), Raw(refusal.body))

    foreign.meta.events.register("before-send", refuse)
    with pytest.raises(ClientError) as raised:
        getattr(foreign, operation)(**arguments)
    assert raised.value.response["Error"]["Code"] == code
    assert raised.value.response["Error"]["Message"]
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == expected


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


class Raw:
    """The body of a response as botocore reads it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: Any, **__: Any) -> list[bytes]:
        return [self._body]
