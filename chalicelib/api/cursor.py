"""Opaque cursors: a position as text that a URL can carry and nobody is to read."""

from __future__ import annotations

import base64
import binascii

from chalicelib.api.requests import invalid
from chalicelib.domain.errors import ValidationFailed

PARAMETER = "cursor"


def encode(position: str) -> str:
    """The cursor for a position."""
    return base64.urlsafe_b64encode(position.encode()).decode()


def decode(cursor: str, most: int) -> str:
    """The position in a cursor of at most `most` characters. Raises `ValidationFailed`."""
    if len(cursor) > most:
        raise foreign()
    try:
        return base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        raise foreign() from None


def foreign() -> ValidationFailed:
    """The refusal of a cursor that was never given."""
    return invalid(PARAMETER, "is not one that this endpoint gave")
