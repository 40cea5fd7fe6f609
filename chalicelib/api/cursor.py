"""Opaque cursors: a position as text that a URL can carry and clients must not interpret."""

from __future__ import annotations

import base64
import binascii

from chalicelib.api.requests import invalid
from chalicelib.domain.errors import ValidationFailed

PARAMETER = "cursor"
# For the positions of the table's indexes and of events.
MOST_CHARACTERS = 256


def encode(position: str) -> str:
    """The cursor for a position."""
    return base64.urlsafe_b64encode(position.encode()).decode()


def next_of(position: str | int | None) -> str | None:
    """The `next_cursor` for the position after a page; None after the last page."""
    return encode(str(position)) if position else None


def decode(cursor: str, most: int = MOST_CHARACTERS) -> str:
    """The position in a cursor of at most `most` characters. Raises `ValidationFailed`."""
    if len(cursor) > most:
        raise foreign()
    try:
        return base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        raise foreign() from None


def foreign() -> ValidationFailed:
    """The refusal of a cursor that this endpoint did not issue."""
    return invalid(PARAMETER, "must be a `next_cursor` that this endpoint returned")
