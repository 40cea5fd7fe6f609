import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from chalicelib.platform import aws
from chalicelib.platform.api_errors import ErrorKind


def client_error(code: str, message: str = "no", status: int = 400) -> ClientError:
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, "CreateThing")


def test_a_client_is_created_once() -> None:
    assert aws.client("ecs") is aws.client("ecs")


def test_clients_are_created_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads must not share a boto3 session, so clients are created one after another."""
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


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (client_error("Throttling"), ErrorKind.THROTTLED),
        (client_error("AccessDenied", "service-linked role", 403), ErrorKind.DENIED),
        (client_error("Any", "the service-linked role"), ErrorKind.ROLE_IN_CREATION),
        (client_error("TooManyListeners"), ErrorKind.QUOTA),
        (client_error("OperationAbortedException"), ErrorKind.CONCURRENT),
        (client_error("Whatever", status=502), ErrorKind.UNAVAILABLE),
        (ConnectTimeoutError(endpoint_url="https://aws.example"), ErrorKind.UNAVAILABLE),
        (client_error("ValidationError"), ErrorKind.REFUSED),
        (ValueError("x"), None),
    ],
)
def test_an_error_has_its_code_and_kind(error: Exception, kind: ErrorKind | None) -> None:
    assert aws.kind_of(error) is kind


def test_an_exception_of_another_origin_has_no_code() -> None:
    assert aws.code_of(ValueError("x")) == ""
    assert aws.message_of(ValueError("x")) == "x"
    assert aws.operation_of(ValueError("x")) == ""
