from typing import Annotated, Any

import pytest

from chalicelib.api.parameters import Parameters, WholeNumber
from chalicelib.api.requests import MOST_BODY_BYTES, Request, path_segment
from chalicelib.domain.errors import (
    BodyTooLarge,
    UnsupportedMediaType,
    ValidationFailed,
)
from chalicelib.store.tokens import Caller

JSON = {"Content-Type": "application/json"}


def request(**fields: Any) -> Request:
    return Request(Caller("team-a", frozenset(), "t"), "/", **fields)


def test_header_names_can_have_any_case() -> None:
    asked = request(headers={"IF-MATCH": '"1"'})
    assert asked.header("If-Match") == '"1"'
    assert asked.header("If-None-Match") is None


JSON_IN_LATIN_1 = {"Content-Type": "application/json; charset=latin-1"}


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({}, "Content-Type is missing. Send application/json."),
        ({"Content-Type": " "}, "Content-Type is missing. Send application/json."),
        (
            {"Content-Type": "application/jsonp"},
            "Content-Type must be application/json, not application/jsonp.",
        ),
        (JSON_IN_LATIN_1, "The charset in Content-Type must be utf-8, not latin-1."),
        (
            {**JSON, "Content-Encoding": "gzip"},
            "Content-Encoding must be absent, not gzip. Send the JSON uncompressed.",
        ),
        (
            {**JSON, "content-encoding": "identity, br"},
            "Content-Encoding must be absent, not identity, br. Send the JSON uncompressed.",
        ),
    ],
)
def test_a_body_that_is_not_plain_json_is_refused(headers: dict[str, str], detail: str) -> None:
    with pytest.raises(UnsupportedMediaType) as raised:
        request(headers=headers, body=b"{}").json()
    assert raised.value.detail == detail


def test_the_refusal_of_a_content_coding_names_the_allowed_one() -> None:
    with pytest.raises(UnsupportedMediaType) as raised:
        request(headers={**JSON, "Content-Encoding": "br"}, body=b"{}").json()
    assert raised.value.headers == {"Accept-Encoding": "identity"}


def test_a_body_without_a_content_coding_is_read() -> None:
    for coding in ("identity", "Identity", ""):
        headers = {**JSON, "Content-Encoding": coding}
        assert request(headers=headers, body=b"{}").json() == {}


def test_a_body_has_a_size_limit() -> None:
    with pytest.raises(BodyTooLarge):
        request(headers=JSON, body=b" " * MOST_BODY_BYTES + b"1").json()


@pytest.mark.parametrize("body", [b"", b" ", b"{}", b"{ }\n", b"null", b"\xef\xbb\xbf{}"])
def test_an_empty_object_says_as_little_as_no_body(body: bytes) -> None:
    assert not request(body=body).has_body


class Paged(Parameters):
    limit: Annotated[int, WholeNumber(1, 100)] = 20
    cursor: str | None = None


def test_integers_have_bounds_and_a_default() -> None:
    assert request().parameters(Paged).limit == 20
    assert request(query={"limit": ["100"]}).parameters(Paged).limit == 100


@pytest.mark.parametrize(
    "text",
    ["", "0", "101", "1.0", " 7", "7 ", "+7", "-7", "1_0", "\N{ARABIC-INDIC DIGIT SEVEN}", "x"],
)
def test_an_invalid_integer_is_refused(text: str) -> None:
    with pytest.raises(ValidationFailed) as raised:
        request(query={"limit": [text]}).parameters(Paged)
    assert raised.value.errors == [
        {"field": "limit", "message": f"must be a whole number from 1 to 100, not {text!r}"}
    ]


def test_all_unknown_repeated_and_invalid_parameters_are_reported_at_once() -> None:
    asked = request(query={"cursor": ["1", "2"], "b": ["1"], "a": ["1", "2"], "limit": ["x"]})
    with pytest.raises(ValidationFailed) as raised:
        asked.parameters(Paged)
    assert sorted(fault["field"] for fault in raised.value.errors) == ["a", "b", "cursor", "limit"]
    unknown = next(fault["message"] for fault in raised.value.errors if fault["field"] == "a")
    assert unknown == "Unknown query parameter. Allowed parameters: limit, cursor"


def test_a_repeated_parameter_with_an_invalid_value_is_reported_once() -> None:
    with pytest.raises(ValidationFailed) as raised:
        request(query={"limit": ["1", "x"]}).parameters(Paged)
    assert [fault["field"] for fault in raised.value.errors] == ["limit"]


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "us-ascii"])
def test_a_body_is_utf_8(charset: str) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}
    assert request(headers=headers, body=b"{}").json() == {}


@pytest.mark.parametrize(("raw", "value"), [("a%2Fb", "a/b"), ("%C3%A9", "é"), ("plain", "plain")])
def test_a_path_segment_is_unescaped(raw: str, value: str) -> None:
    assert path_segment(raw) == value
