import gzip
import json
from typing import Any

import pytest

from chalicelib.api import json_body
from chalicelib.domain.errors import MalformedJson, UnsupportedMediaType

NOT_JSON = "The body is not valid JSON: "
DEEP = "The body has too many nested objects and lists. At most 64 levels are allowed."


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"{}", {}),
        (b'\xef\xbb\xbf{"port": 80}', {"port": 80}),
        (b' [1, "\xc3\xa9"] ', [1, "é"]),
        (b"[80.0, 8e1, 0.5, -0.0]", [80, 80, 0.5, 0]),
        (b'"\\ud83d\\ude80"', "\U0001f680"),
        (b"9" * 100, 10**100 - 1),
        (b"[" * 64 + b"]" * 64, None),
    ],
)
def test_a_body_is_json_in_utf_8(text: bytes, value: Any) -> None:
    found = json_body.parsed(text)
    if value is not None:
        assert json.dumps(found) == json.dumps(value)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (b"", "The body is empty. Send a JSON object."),
        (b"\xef\xbb\xbf \n", "The body is empty. Send a JSON object."),
        (b'{"a": 1', f"{NOT_JSON}it ends too early, at line 1, column 8."),
        (b'{"a":\n tru}', f"{NOT_JSON}`t` at line 2, column 2 is unexpected."),
        (
            b"{'a': 1}",
            f"{NOT_JSON}`'` at line 1, column 2 is unexpected. JSON strings have double quotes.",
        ),
        (
            b'{"a": 1,}',
            f"{NOT_JSON}`}}` at line 1, column 9 is unexpected. Remove the comma before it, or add "
            "the missing value.",
        ),
        (b"{} {}", f"{NOT_JSON}`{{` at line 1, column 4 is unexpected."),
        (b'{"a" 1}', f"{NOT_JSON}`1` at line 1, column 6 is unexpected."),
        (b'{"a', f"{NOT_JSON}the string at line 1, column 2 has no closing quotation mark."),
        (
            b'"a\nb"',
            f"{NOT_JSON}line 1, column 3 has a control character (U+000A). Inside a string, write "
            "\\u000a.",
        ),
        (
            b'"\\q"',
            f"{NOT_JSON}line 1, column 2 has an invalid escape. Write \\\\ for a backslash.",
        ),
        (b'"\\u12"', None),
        (b"NaN", f"{NOT_JSON}NaN is not a JSON value. Use a number or null."),
        (b"-Infinity", f"{NOT_JSON}-Infinity is not a JSON value. Use a number or null."),
        (b'{"a": 1e400}', f"{NOT_JSON}the number 1e400 is too large."),
        (b"-1" * 1 + b"0" * 4999, f"{NOT_JSON}a number has 5000 digits. At most 100 are allowed."),
        (b"0." + b"1" * 300, f"{NOT_JSON}a number has 302 characters. At most 200 are allowed."),
        (
            b'{"a": {"b": 1, "b": 1}}',
            f"{NOT_JSON}duplicate key `b` in an object. Keep one of them.",
        ),
        (
            b'{"\\u0000": 1, "\\u0000": 1}',
            f"{NOT_JSON}duplicate key `'\\x00'` in an object. Keep one of them.",
        ),
        (
            b'{"name": "\\ud800"}',
            f"{NOT_JSON}\\ud800 is half of a surrogate pair. Write both halves, or the character "
            "itself.",
        ),
        (b'{"\\udfff": 1}', None),
        (b"[" * 60_000, DEEP),
        (b"[" * 65 + b"]" * 65, DEEP),
        (b'{"a":' * 65 + b"1" + b"}" * 65, DEEP),
        (
            b"\xff",
            "The body is not UTF-8 text: byte 0 (0xff) is invalid. Send JSON in UTF-8.",
        ),
        (
            '{"name": "é"}'.encode("latin-1"),
            "The body is not UTF-8 text: byte 10 (0xe9) is invalid. Send JSON in UTF-8.",
        ),
        ("{}".encode("utf-16"), "The body is UTF-16 text. Send JSON in UTF-8."),
        ("{}".encode("utf-16-be"), "The body is UTF-16 text. Send JSON in UTF-8."),
        ("{}".encode("utf-32-le"), "The body is UTF-32 text. Send JSON in UTF-8."),
    ],
)
def test_a_fault_is_reported_with_its_place_and_its_fix(text: bytes, detail: str | None) -> None:
    with pytest.raises(MalformedJson) as raised:
        json_body.parsed(text)
    if detail is not None:
        assert raised.value.detail == detail
    words = ("Expecting", "codec", "recursion", "delimiter", "sys.", "(char ")
    assert not [word for word in words if word in raised.value.detail]


COMPRESSED = gzip.compress(b"{}", mtime=0)


# API Gateway replaces the bytes that are not UTF-8.
@pytest.mark.parametrize("body", [COMPRESSED, COMPRESSED.decode(errors="replace").encode()])
def test_a_compressed_body_is_an_unsupported_media_type(body: bytes) -> None:
    with pytest.raises(UnsupportedMediaType) as raised:
        json_body.parsed(body)
    assert raised.value.detail == "The body is compressed (gzip). Send the JSON uncompressed."
