from typing import Any

import pytest

from chalicelib.domain import json_pointer

# The document of RFC 6901, section 5, and values that a mistake confuses with "missing".
DOCUMENT: dict[str, Any] = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "m~n": 8,
    " ": 7,
    "nothing": None,
    "deep": [{"list": [[False]]}],
}


@pytest.mark.parametrize(
    "pointer",
    [
        "/foo",
        "/foo/0",
        "/foo/1",
        "/",
        "/a~1b",
        "/c%d",
        "/m~0n",
        "/ ",
        "/nothing",
        "/deep/0/list/0/0",
    ],
)
def test_a_value_is_found(pointer: str) -> None:
    assert json_pointer.POINTER.fullmatch(pointer)
    assert json_pointer.exists(DOCUMENT, pointer)


@pytest.mark.parametrize(
    "pointer",
    [
        *("/bar", "/foo/2", "/foo/-", "/foo/00", "/foo/01", "/foo/-1", "/foo/0/0", "/foo/1e0"),
        *("/nothing/0", "//", "/a", "/deep/0/list/0/0/x", f"/foo/{'9' * 5000}"),
        "/foo/\N{ARABIC-INDIC DIGIT ZERO}",
    ],
)
def test_a_missing_value_is_not_found(pointer: str) -> None:
    assert not json_pointer.exists(DOCUMENT, pointer)


@pytest.mark.parametrize("document", [None, 1, "text", True, []])
def test_a_document_without_members_has_no_value(document: Any) -> None:
    assert not json_pointer.exists(document, "/0")


def test_a_list_can_be_the_document() -> None:
    assert json_pointer.exists([{"score": 1}], "/0/score")


@pytest.mark.parametrize("text", ["", "a", "/~", "/~2", "/a~", "a/b", "/a/~x"])
def test_other_texts_are_no_pointers(text: str) -> None:
    assert not json_pointer.POINTER.fullmatch(text)
