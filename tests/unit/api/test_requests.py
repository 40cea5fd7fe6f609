import json
from typing import Annotated, Any

import pytest

from chalicelib.api.parameters import Parameters, WholeNumber
from chalicelib.api.requests import MOST_BODY_BYTES, Request, path_segment
from chalicelib.domain.errors import (
    BodyTooLarge,
    MalformedJson,
    RequestRefused,
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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"{}", {}),
        (b' [1, "\xc3\xa9"] ', [1, "é"]),
        (b"[80.0, 8e1, 0.5]", [80, 80, 0.5]),
        (b'"\\ud83d\\ude80"', "\U0001f680"),
    ],
)
def test_a_body_is_json(text: bytes, value: Any) -> None:
    found = request(headers=JSON, body=text).json()
    assert json.dumps(found) == json.dumps(value)


@pytest.mark.parametrize(
    ("headers", "body", "refusal"),
    [
        ({}, b"{}", UnsupportedMediaType),
        ({"Content-Type": "application/jsonp"}, b"{}", UnsupportedMediaType),
        ({"Content-Type": "application/json; charset=latin-1"}, b"{}", UnsupportedMediaType),
        ({"Content-Type": ""}, b"{}", UnsupportedMediaType),
        (JSON, b"", MalformedJson),
        (JSON, b'{"name": "\\ud800"}', MalformedJson),
        (JSON, b'{"\\udfff": 1}', MalformedJson),
        (JSON, b"NaN", MalformedJson),
        (JSON, b"\xff", MalformedJson),
        (JSON, b"\xef\xbb\xbf{}", MalformedJson),
        (JSON, b'{"a": {"b": 1, "b": 1}}', MalformedJson),
        (JSON, b"Infinity", MalformedJson),
        (JSON, b"-Infinity", MalformedJson),
        (JSON, b"[" * 60_000, MalformedJson),
        (JSON, b"1" * 5000, MalformedJson),
        (JSON, b" " * MOST_BODY_BYTES + b"1", BodyTooLarge),
    ],
)
def test_a_malformed_body_is_refused(
    headers: dict[str, str], body: bytes, refusal: type[RequestRefused]
) -> None:
    with pytest.raises(refusal):
        request(headers=headers, body=body).json()


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


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"'])
def test_a_body_is_utf_8(charset: str) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}
    assert request(headers=headers, body=b"{}").json() == {}


@pytest.mark.parametrize(("raw", "value"), [("a%2Fb", "a/b"), ("%C3%A9", "é"), ("plain", "plain")])
def test_a_path_segment_is_unescaped(raw: str, value: str) -> None:
    assert path_segment(raw) == value
