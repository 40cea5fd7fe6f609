"""The request and the expected answer in `smoke_test`."""

import json
from typing import Any

import pytest

from chalicelib.domain.errors import ValidationFailed
from chalicelib.domain.spec import request_body, status_codes
from chalicelib.domain.spec.request_headers import OWN
from chalicelib.domain.spec.smoke_test import SmokeTest
from tests.support.builders import spec_of

POST = {"path": "/predict", "method": "POST"}


def accepted(**test: Any) -> SmokeTest:
    return spec_of(smoke_test=test).smoke_test


def fault(**test: Any) -> dict[str, str]:
    with pytest.raises(ValidationFailed) as raised:
        spec_of(smoke_test=test)
    return {error["field"]: error["message"] for error in raised.value.errors}


@pytest.mark.parametrize(
    "body", [{"uid": 20}, [1, 2], "text", 0, False, 1.5, {}, [], {"text": "a"}, {"text": 1, "b": 2}]
)
def test_any_json_value_is_sent_as_json(body: Any) -> None:
    content, content_type = request_body.content(accepted(**POST, body=body).body)
    assert json.loads(content) == body
    assert content_type == "application/json"


@pytest.mark.parametrize(
    "content_type", ["text/csv", "text/plain; charset=utf-8", "application/vnd.a+json"]
)
def test_a_text_is_sent_with_its_type(content_type: str) -> None:
    body = {"text": "a,b\n1,ü\n", "content_type": content_type}
    sent = request_body.content(accepted(path="/", method="PUT", body=body).body)
    assert sent == ("a,b\n1,ü\n".encode(), content_type)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"text": 1, "content_type": "text/csv"}, "must have strings"),
        ({"text": "a", "content_type": None}, "must have strings"),
        ({"text": "a", "content_type": "csv"}, "media type"),
        ({"text": "a", "content_type": "text/csv\r\nX: y"}, "media type"),
        ({"text": "a", "content_type": "text/" + "c" * 300}, "media type"),
        ("x" * (16 * 1024 - 1), "at most 16384 bytes when it is sent, not 16385"),
        ("ü" * (8 * 1024), "at most 16384 bytes"),
        ({"text": "x" * (16 * 1024 + 1), "content_type": "text/csv"}, "at most 16384 bytes"),
        ([[]] * 6000, "at most 16384 bytes"),
        ("\ud800", "surrogate"),
        ({"text": "\ud800", "content_type": "text/csv"}, "surrogate"),
        ([float("inf")], "range of a double"),
    ],
)
def test_a_body_that_cannot_be_sent_is_refused(body: Any, words: str) -> None:
    messages = fault(**POST, body=body)
    assert words in messages["smoke_test.body"]


def test_a_body_of_exactly_16_kib_is_sent() -> None:
    body = "x" * (16 * 1024 - 2)
    assert accepted(**POST, body=body).body == body


@pytest.mark.parametrize("kind", [list, dict])
def test_a_deep_body_is_refused_by_depth(kind: type) -> None:
    body: Any = 1
    for _ in range(64):
        body = [body] if kind is list else {"a": body}
    assert accepted(**POST, body=body).body == body
    assert "deeper than 64 levels" in fault(**POST, body=[body])["smoke_test.body"]


def test_null_means_no_body() -> None:
    assert accepted(path="/", body=None).body is None


@pytest.mark.parametrize("method", ["GET", None])
def test_only_post_and_put_have_a_body(method: str | None) -> None:
    given = {"method": method} if method else {}
    message = fault(path="/predict", body={"uid": 1}, **given)["smoke_test.body"]
    assert message == ("needs the method POST or PUT, not GET: set `method`, or leave out `body`")
    assert accepted(**POST).body is None


@pytest.mark.parametrize("method", ["post", "DELETE", "HEAD", "", 1, None])
def test_another_method_is_refused(method: Any) -> None:
    assert set(fault(method=method)) == {"smoke_test.method"}


# --- headers -------------------------------------------------------------------------------


def test_headers_are_accepted() -> None:
    headers = {"X-Api-Key": "a b\tc", "Accept": "text/csv", "X-Empty": "", "User-Agent": "me"}
    assert accepted(headers=headers).headers == headers


@pytest.mark.parametrize(
    "name",
    ["HOST", "content-length", "Proxy-Authorization", *(name.title() for name in sorted(OWN))],
)
def test_a_header_of_the_connection_is_refused(name: str) -> None:
    message = fault(headers={name: "x"})["smoke_test.headers"]
    assert message == f"{name!r} cannot be set, because Slipway or the connection sets it"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ü", "a\0", "x" * 65, "(a)"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    assert "is not a header name" in fault(headers={name: "x"})["smoke_test.headers"]


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\0b", " a", "a ", "ü", "x" * 4097, "\t"])
def test_a_value_that_cannot_be_sent_is_refused_without_showing_it(value: str) -> None:
    message = fault(headers={"X-Key": value})["smoke_test.headers"]
    assert message.startswith("the value of 'X-Key' must be at most 4096 printable ASCII")
    assert "X: y" not in message


def test_every_bad_header_is_named() -> None:
    message = fault(headers={"Host": "x", "a b": "y", "C": "\n"})["smoke_test.headers"]
    assert all(name in message for name in ("'Host'", "'a b'", "'C'"))


def test_a_name_can_be_used_once_only() -> None:
    assert "is given twice" in fault(headers={"X-A": "1", "x-a": "2"})["smoke_test.headers"]


def test_at_most_16_headers_are_allowed() -> None:
    accepted(headers={f"X-{n}": "" for n in range(16)})
    assert set(fault(headers={f"X-{n}": "" for n in range(17)})) == {"smoke_test.headers"}


def test_a_content_type_is_set_in_one_place() -> None:
    headers = {"content-type": "application/vnd.a+json"}
    assert accepted(**POST, body={"a": 1}, headers=headers)
    body = {"text": "a", "content_type": "text/csv"}
    message = fault(**POST, body=body, headers=headers)["smoke_test.body"]
    assert "Content-Type too" in message


# --- status --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "covered", "others"),
    [
        (200, (200,), (201, 199)),
        ("200", (200,), (201,)),
        ("200-299", (200, 299), (199, 300)),
        ("200,404", (200, 404), (201, 403)),
        ("200-204,404,500-599", (202, 404, 503), (205, 499)),
    ],
)
def test_a_status_is_one_code_or_a_list(
    status: int | str, covered: tuple[int, ...], others: tuple[int, ...]
) -> None:
    kept = accepted(status=status).status
    assert kept == status
    assert all(status_codes.covers(status, code) for code in covered)
    assert not any(status_codes.covers(status, code) for code in others)


@pytest.mark.parametrize(
    "status",
    [
        *(99, 600, True, 200.5, [200], {}, "", "99", "600", "200-", "-200", "299-200", "200, 204"),
        *("2xx", "20\N{ARABIC-INDIC DIGIT ZERO}", "200," * 100 + "200", "200\n"),
    ],
)
def test_another_status_is_refused_once(status: Any) -> None:
    messages = fault(status=status)
    assert set(messages) == {"smoke_test.status"}
    assert "must be HTTP codes from 100 to 599" in messages["smoke_test.status"]


# --- json_has ------------------------------------------------------------------------------


def test_keys_and_pointers_are_accepted() -> None:
    places = ["items", "/items/0/score", "/a~1b", "~x", "a/b"]
    assert accepted(json_has=places).json_has == places


@pytest.mark.parametrize("place", ["/~", "/a~2", "/a/~x"])
def test_a_text_that_is_no_pointer_is_refused(place: str) -> None:
    messages = fault(json_has=["items", place])
    assert set(messages) == {"smoke_test.json_has"}
    assert f"has {place!r}, which is not a JSON Pointer" in messages["smoke_test.json_has"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/" + "x" * 1024, "must have at most 1024 characters, not 1025"),
        ("/é", "must be ASCII, not '/é': escape other characters"),
        ("x", "must be a path such as /health, not 'x'"),
    ],
)
def test_a_bad_path_is_refused_with_its_own_fix(path: str, words: str) -> None:
    assert words in fault(path=path)["smoke_test.path"]
