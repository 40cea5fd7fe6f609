import json
from typing import Any

import pytest

from chalicelib.api import problems
from chalicelib.domain import errors
from chalicelib.domain.errors import RequestRefused, ValidationFailed
from tests.support import aws_says
from tests.support.builders import ID
from tests.support.gateway import Answered, Gateway, call, proxy_event

MEMBERS = {"type", "title", "status", "code", "detail", "instance", "errors"}
REFUSALS = sorted(
    (
        cls
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, RequestRefused) and cls is not RequestRefused
    ),
    key=lambda cls: cls.__name__,
)


def check(answer: Answered, status: int, code: str) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json) == MEMBERS
    assert (answer.status, answer.json["status"], answer.code) == (status, status, code)
    assert answer.json["detail"]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_every_refusal_is_a_problem(refusal: type[RequestRefused]) -> None:
    body = problems.of_refusal(refusal("because"), "/deployments/x")
    assert set(body) == MEMBERS
    assert (body["status"], body["code"]) == (refusal.status, refusal.code)
    assert (body["detail"], body["instance"], body["errors"]) == ("because", "/deployments/x", [])


def test_faults_are_listed() -> None:
    faults = [{"field": "port", "message": "must be less"}]
    assert problems.of_refusal(ValidationFailed("x", errors=faults), "/")["errors"] == faults


def test_a_refusal_of_a_view_is_a_problem(gateway: Gateway) -> None:
    check(gateway.get(f"/deployments/{ID}"), 404, "NOT_FOUND")


def test_the_instance_is_the_requested_path(gateway: Gateway) -> None:
    path = f"/deployments/{ID}"
    assert gateway.get(path).json["instance"] == path


def test_an_unsupported_method_is_a_problem(gateway: Gateway) -> None:
    answer = gateway.send("PUT", "/deployments", {})
    check(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "POST, GET, HEAD"


@pytest.mark.parametrize("path", ["/", "/nothing", "/deployments/a/b/c", "/deployments/"])
def test_an_unknown_path_is_a_problem(gateway: Gateway, path: str) -> None:
    answer = gateway.get(path)
    check(answer, 404, "NOT_FOUND")
    assert answer.json["instance"] == path


def test_head_is_get_without_the_body(gateway: Gateway) -> None:
    get, head = (gateway.send(method, "/deployments") for method in ("GET", "HEAD"))
    assert (head.status, head.headers, head.text) == (get.status, get.headers, "")
    assert gateway.send("HEAD", f"/deployments/{ID}").status == 404
    assert gateway.send("HEAD", f"/deployments/{ID}/retry").status == 405


def test_a_request_without_the_authorizers_context_is_401(gateway: Gateway) -> None:
    event = proxy_event("GET", "/deployments", None, {}, {})
    check(call(event), 401, "UNAUTHENTICATED")


def test_an_internal_error_is_a_problem_without_details(gateway: Gateway) -> None:
    gateway.authorize("team-a")
    aws_says.lose("dynamodb", "GetItem", ZeroDivisionError("inner matter"))
    answer = gateway.get(f"/deployments/{ID}")
    check(answer, 500, "INTERNAL")
    assert "inner matter" not in answer.text


@pytest.mark.parametrize(
    ("code", "status"), [("ThrottlingException", 400), ("InternalServerError", 500)]
)
def test_a_temporarily_unavailable_table_is_503(gateway: Gateway, code: str, status: int) -> None:
    gateway.authorize("team-a")
    aws_says.refuse("dynamodb", "GetItem", code, status=status)
    answer = gateway.get(f"/deployments/{ID}")
    check(answer, 503, "AWS_UNAVAILABLE")
    assert answer.headers["retry-after"] == "5"


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": "{}"},
        {"statusCode": 304, "headers": {}, "body": ""},
        {"statusCode": 404, "headers": {"content-type": problems.CONTENT_TYPE}, "body": "{}"},
    ],
)
def test_a_successful_response_is_unchanged(answer: dict[str, Any]) -> None:
    assert problems.normalized(dict(answer), "/") == answer


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (json.dumps({"Code": "x", "Message": "Unsupported"}), "Unsupported"),
        ("not JSON", "The request failed."),
        ("[]", "The request failed."),
        ("", "The request failed."),
    ],
)
def test_chalices_own_errors_become_problems(body: str, detail: str) -> None:
    made = problems.normalized({"statusCode": 418, "headers": {}, "body": body}, "/x")
    assert made["headers"] == {"Content-Type": "application/problem+json"}
    assert json.loads(made["body"])["detail"] == detail
    assert json.loads(made["body"])["code"] == "INTERNAL"


@pytest.mark.parametrize("path", ["/deployments", f"/deployments/{ID}/pause"])
def test_a_body_that_is_no_text_is_a_problem(gateway: Gateway, path: str) -> None:
    check(gateway.post(path, "\ud800"), 400, "MALFORMED_JSON")
    event = proxy_event("POST", path, "not base64", {}, {"Content-Type": "application/json"})
    event["isBase64Encoded"] = True
    event["requestContext"]["authorizer"] = gateway.authorize("team-a")
    check(call(event), 400, "MALFORMED_JSON")


def test_a_compressed_body_is_refused_with_the_allowed_coding(gateway: Gateway) -> None:
    answer = gateway.post("/deployments", {}, headers={"Content-Encoding": "gzip"})
    check(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
    assert answer.headers["accept-encoding"] == "identity"
