from typing import Any

import pytest

from chalicelib.api.requests import MOST_BODY_BYTES, Request, path_segment
from chalicelib.deployments.errors import (
    BodyTooLarge,
    MalformedJson,
    RequestRefused,
    UnsupportedMediaType,
    ValidationFailed,
)
from chalicelib.tokens import Caller

JSON = {"Content-Type": "application/json"}


def request(**fields: Any) -> Request:
    return Request(Caller("team-a", frozenset(), "t"), "/", **fields)


def test_headers_have_names_in_any_case() -> None:
    asked = request(headers={"IF-MATCH": '"1"'})
    assert asked.header("If-Match") == '"1"'
    assert asked.header("If-None-Match") is None


@pytest.mark.parametrize(("text", "value"), [(b"{}", {}), (b' [1, "\xc3\xa9"] ', [1, "é"])])
def test_a_body_is_json(text: bytes, value: Any) -> None:
    assert request(headers=JSON, body=text).json() == value


@pytest.mark.parametrize(
    ("headers", "body", "refusal"),
    [
        ({}, b"{}", UnsupportedMediaType),
        ({"Content-Type": "application/jsonp"}, b"{}", UnsupportedMediaType),
        (JSON, b"", MalformedJson),
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
def test_what_is_no_body(
    headers: dict[str, str], body: bytes, refusal: type[RequestRefused]
) -> None:
    with pytest.raises(refusal):
        request(headers=headers, body=body).json()


def test_integers_have_bounds_and_a_default() -> None:
    assert request().integer("limit", 20, 1, 100) == 20
    assert request(query={"limit": ["100"]}).integer("limit", 20, 1, 100) == 100


@pytest.mark.parametrize(
    "text",
    ["", "0", "101", "1.0", " 7", "7 ", "+7", "-7", "1_0", "\N{ARABIC-INDIC DIGIT SEVEN}", "x"],
)
def test_what_is_no_integer(text: str) -> None:
    with pytest.raises(ValidationFailed, match="from 1 to 100"):
        request(query={"limit": [text]}).integer("limit", 20, 1, 100)


def test_every_unknown_and_every_doubled_parameter_is_told() -> None:
    asked = request(query={"limit": ["1", "2"], "b": ["1"], "a": ["1"]})
    with pytest.raises(ValidationFailed) as raised:
        asked.refuse_unknown("limit")
    assert [fault["field"] for fault in raised.value.errors] == ["a", "b", "limit"]


def test_known_parameters_pass() -> None:
    request(query={"limit": ["1"]}).refuse_unknown("limit", "cursor")


@pytest.mark.parametrize(("raw", "value"), [("a%2Fb", "a/b"), ("%C3%A9", "é"), ("plain", "plain")])
def test_a_path_segment_is_unescaped(raw: str, value: str) -> None:
    assert path_segment(raw) == value
