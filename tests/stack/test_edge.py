"""Responses of the gateway, the authorizer and the edge: problem documents of the contract."""

import pytest

from local.stack import Stack
from tests.stack.client import Answer, Client, issue_token

MEMBERS = {"type", "title", "status", "code", "detail", "instance", "errors"}


def check_problem(answer: Answer, status: int, code: str) -> None:
    assert answer.status == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert set(answer.json) == MEMBERS
    assert (answer.json["status"], answer.json["code"]) == (status, code)
    assert answer.json["title"] and answer.json["detail"]
    assert answer.json["instance"].startswith("/")


@pytest.mark.parametrize("token", ["", "slw_unknown"])
def test_a_missing_or_unknown_token_is_401(stack: Stack, token: str) -> None:
    answer = Client(stack, token).send("GET", "/deployments")

    check_problem(answer, 401, "UNAUTHENTICATED")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/nothing", "/", "/deployments/a/b/c"])
def test_an_unknown_path_is_404(api: Client, path: str) -> None:
    check_problem(api.send("GET", path), 404, "NOT_FOUND")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_an_unsupported_method_is_405(api: Client, method: str) -> None:
    answer = api.send(method, "/deployments")

    check_problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["Allow"] == "POST, GET, HEAD"


def test_a_wrong_method_without_a_token_reveals_nothing(stack: Stack) -> None:
    check_problem(Client(stack, "").send("PUT", "/deployments"), 401, "UNAUTHENTICATED")


def test_head_is_get_without_the_body(api: Client) -> None:
    answer = api.send("HEAD", "/deployments")

    assert (answer.status, answer.text) == (200, "")


def test_health_needs_no_token(stack: Stack) -> None:
    answer = Client(stack, "").send("GET", "/health")

    assert (answer.status, answer.json["status"]) == (200, "ok")


def test_a_body_with_five_faults_reports_all_five(api: Client, stack: Stack) -> None:
    body = {
        "name": "Not_a_name",
        "image": stack.sample_image,
        "port": 0,
        "cpu": 3,
        "count": -1,
        "colour": "red",
    }

    answer = api.send("POST", "/deployments", body)

    check_problem(answer, 422, "VALIDATION_FAILED")
    faults = {fault["field"]: fault["message"] for fault in answer.json["errors"]}
    assert set(faults) == {"name", "port", "cpu", "count", "colour"}
    assert all(faults.values())


def test_an_image_of_another_registry_is_refused(api: Client) -> None:
    answer = api.send("POST", "/deployments", api.spec("foreign", image="docker.io/library/x:1"))

    check_problem(answer, 422, "VALIDATION_FAILED")
    assert [fault["field"] for fault in answer.json["errors"]] == ["image"]


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/octet-stream", "application/json; charset=latin-1", "x", ""],
)
def test_a_wrong_content_type_is_refused(api: Client, content_type: str) -> None:
    answer = api.send("POST", "/deployments", data=b"\x00\xff", Content_Type=content_type)

    check_problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_reads_content_type_does_not_matter(api: Client) -> None:
    assert api.send("GET", "/deployments", Content_Type="text/odd").status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"",
        b'{"name": "a", "name": "b"}',
        b"\xff",
        b'{"port": NaN}',
        b'{"name": "\\ud800"}',
        b"[" * 30_000,
    ],
)
def test_malformed_json_is_refused(api: Client, data: bytes) -> None:
    check_problem(api.send("POST", "/deployments", data=data), 400, "MALFORMED_JSON")


def test_an_oversized_body_is_refused(api: Client) -> None:
    body = {"name": "x" * 70_000}

    check_problem(api.send("POST", "/deployments", body), 413, "BODY_TOO_LARGE")


def test_a_missing_scope_is_403(stack: Stack) -> None:
    reader = Client(stack, issue_token(stack, "demo", "read"))

    check_problem(reader.send("POST", "/deployments", reader.spec("x")), 403, "FORBIDDEN")
    assert reader.send("GET", "/deployments").status == 200


@pytest.mark.parametrize("escaped", ["not-there", "not%2Dthere", "%6Eot-there"])
def test_an_escaped_path_is_the_same_name(api: Client, escaped: str) -> None:
    answer = api.send("GET", f"/deployments/{escaped}")

    check_problem(answer, 404, "NOT_FOUND")
    assert answer.json["detail"] == "There is no deployment not-there."


@pytest.mark.parametrize(
    "escaped", ["%00", "%C3%A9", "%F0%9F%9A%A2", "%ff", "a%23b", "%25", "a%2Fb", "%20", "x" * 4000]
)
def test_unusual_names_are_not_found(api: Client, escaped: str) -> None:
    check_problem(api.send("GET", f"/deployments/{escaped}"), 404, "NOT_FOUND")


def test_the_instance_is_the_requested_path(api: Client) -> None:
    answer = api.send("GET", "/deployments/not-there")

    assert answer.json["instance"] == "/deployments/not-there"


def test_the_list_has_only_the_requested_deployments(api: Client) -> None:
    answer = api.send("GET", "/deployments?limit=1&show_deleted=true")

    assert answer.status == 200
    assert set(answer.json) == {"deployments", "next_cursor"}
    check_problem(api.send("GET", "/deployments?limit=0"), 422, "VALIDATION_FAILED")
    check_problem(api.send("GET", "/deployments?colour=red"), 422, "VALIDATION_FAILED")
