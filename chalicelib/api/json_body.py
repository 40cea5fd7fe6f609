"""A request body as JSON. Every fault is reported in Slipway's words, not in the interpreter's."""

from __future__ import annotations

import codecs
import json
from typing import Any

from chalicelib.domain.errors import MalformedJson, UnsupportedMediaType

SHOWN = 100
# More than any spec needs. Every reader of a stored body can follow so many levels.
MOST_LEVELS = 64
# JSON allows any number of digits, but no field needs more.
MOST_DIGITS = 100
_GZIP = (b"\x1f\x8b", "\x1f\N{REPLACEMENT CHARACTER}".encode())
_ENCODINGS = {"utf-16": "UTF-16", "utf-32": "UTF-32"}


class _Fault(ValueError):
    """A fault that a hook of the parser found."""


def parsed(body: bytes) -> Any:
    """The value of a JSON text in UTF-8, with or without a byte order mark.

    Raises `MalformedJson` that says where the fault is, and what to write instead, and
    `UnsupportedMediaType` for a compressed body.
    """
    text = _text(body)
    if not text.strip():
        raise MalformedJson("The body is empty. Send a JSON object.")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_number,
            parse_int=_integer,
        )
    except json.JSONDecodeError as error:
        raise MalformedJson(f"The body is not valid JSON: {_syntax(error)}.") from None
    except _Fault as fault:
        raise MalformedJson(f"The body is not valid JSON: {fault}.") from None
    except RecursionError:
        raise _too_deep() from None
    _check_levels(value)
    if "\\u" in text:
        _check_surrogates(value)
    return value


def _text(body: bytes) -> str:
    if body.startswith(_GZIP):
        # Also without Content-Encoding: https://www.rfc-editor.org/rfc/rfc9110#name-415-unsupported-media-type
        raise UnsupportedMediaType("The body is compressed (gzip). Send the JSON uncompressed.")
    encoding = json.detect_encoding(body)
    for start, name in _ENCODINGS.items():
        if encoding.startswith(start):
            raise MalformedJson(f"The body is {name} text. Send JSON in UTF-8.")
    try:
        return body.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        byte = body.removeprefix(codecs.BOM_UTF8)[error.start]
        raise MalformedJson(
            f"The body is not UTF-8 text: byte {error.start} (0x{byte:02x}) is invalid. "
            "Send JSON in UTF-8."
        ) from None


def _syntax(error: json.JSONDecodeError) -> str:
    """What is wrong at the position that the parser names, and the fix."""
    where = f"line {error.lineno}, column {error.colno}"
    found = error.doc[error.pos : error.pos + 1]
    if error.msg.startswith("Unterminated string"):
        return f"the string at {where} has no closing quotation mark"
    if not found:
        return f"it ends too early, at {where}"
    if found < " ":
        return (
            f"{where} has a control character (U+{ord(found):04X}). Inside a string, "
            f"write \\u{ord(found):04x}"
        )
    if found == "\\":
        return f"{where} has an invalid escape. Write \\\\ for a backslash"
    fixes = {
        "'": ". JSON strings have double quotes",
        "}": ". Remove the comma before it, or add the missing value",
        "]": ". Remove the comma before it, or add the missing value",
    }
    shown = f"`{found}`" if found.isprintable() else f"the character U+{ord(found):04X}"
    return f"{shown} at {where} is unexpected{fixes.get(found, '')}"


def _check_levels(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MOST_LEVELS:
            raise _too_deep()
        members = (
            each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
            for each in level
        )
        level = [inner for each in members for inner in each if isinstance(inner, dict | list)]


def _too_deep() -> MalformedJson:
    return MalformedJson(
        f"The body has too many nested objects and lists. At most {MOST_LEVELS} levels are allowed."
    )


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        # UTF-8 cannot encode it, and its effect is undefined: RFC 8259, section 8.2.
        half = ord(str(error.object)[error.start])
        raise MalformedJson(
            f"The body is not valid JSON: \\u{half:04x} is half of a surrogate pair. Write both "
            "halves, or the character itself."
        ) from None


def _integer(text: str) -> int:
    digits = len(text.lstrip("-"))
    if digits > MOST_DIGITS:
        raise _Fault(f"a number has {digits} digits. At most {MOST_DIGITS} are allowed")
    return int(text)


def _number(text: str) -> int | float:
    """JSON has no integers: 80.0 is the number 80, as in JSON Schema."""
    if len(text) > 2 * MOST_DIGITS:
        raise _Fault(f"a number has {len(text)} characters. At most {2 * MOST_DIGITS} are allowed")
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _Fault(f"the number {text} is too large")
    return int(number) if number.is_integer() else number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, member in pairs:
        if name in value:
            shown = name[:SHOWN] if name.isprintable() else ascii(name[:SHOWN])
            raise _Fault(f"duplicate key `{shown}` in an object. Keep one of them")
        value[name] = member
    return value


def _no_constant(name: str) -> Any:
    raise _Fault(f"{name} is not a JSON value. Use a number or null")
