"""The body of a request of Slipway to a deployment: any JSON value, or a text with its type."""

from __future__ import annotations

import json
import re
from typing import Any

MOST_BYTES = 16 * 1024
# Far below the depth at which Python's and pydantic's JSON code fails.
MOST_LEVELS = 64
JSON = "application/json"
TEXT_MEMBERS = {"text", "content_type"}
# https://www.rfc-editor.org/rfc/rfc9110#name-media-type
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
CONTENT_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}([ \t]*;[\t\x20-\x7e]*)?")
MOST_CHARACTERS = 256


def is_text(body: Any) -> bool:
    """Whether the body is a text with its content type, and not a JSON value."""
    return isinstance(body, dict) and body.keys() == TEXT_MEMBERS


def content(body: Any) -> tuple[bytes, str]:
    """What is sent: the bytes, and their content type."""
    if is_text(body):
        return body["text"].encode(), body["content_type"]
    text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode(), JSON


def check(body: Any) -> None:
    """Raises `ValueError` if the body cannot be sent."""
    if _levels(body) > MOST_LEVELS:
        raise ValueError(f"must not be nested deeper than {MOST_LEVELS} levels")
    if is_text(body):
        _check_text(body["text"], body["content_type"])
    try:
        size = len(content(body)[0])
    except UnicodeEncodeError:
        raise ValueError("must not contain an unpaired surrogate, which UTF-8 lacks") from None
    except ValueError:
        raise ValueError("must not contain a number beyond the range of a double") from None
    if size > MOST_BYTES:
        raise ValueError(f"must have at most {MOST_BYTES} bytes when it is sent, not {size}")


def _check_text(text: Any, content_type: Any) -> None:
    if not isinstance(text, str) or not isinstance(content_type, str):
        raise ValueError(
            'must have strings as "text" and "content_type". To send such an object as JSON, '
            f'send its JSON as "text" with the content_type {JSON}'
        )
    if len(content_type) > MOST_CHARACTERS or not CONTENT_TYPE.fullmatch(content_type):
        raise ValueError('must have a media type as "content_type", such as text/csv')


def _levels(body: Any) -> int:
    """How deep lists and objects are nested; stops beyond the limit."""
    level, values = 0, [body]
    while values and level <= MOST_LEVELS:
        nested = [value for value in values if isinstance(value, dict | list)]
        values = [
            member
            for value in nested
            for member in (value.values() if isinstance(value, dict) else value)
        ]
        level += bool(nested)
    return level
