"""The tags of a deployment: the keys and values that AWS allows."""

from __future__ import annotations

import re

from chalicelib.domain.spec import faults

_TAG_TEXT = re.compile(r"[\w .:/=+\-@]*")


def check(tags: dict[str, str]) -> None:
    """Raises `ValueError` for a tag that AWS does not allow, or that is Slipway's own."""
    for key, text in tags.items():
        if key.lower().startswith(("aws:", "slipway:")):
            raise ValueError(
                f"{faults.shown(key)} has a reserved prefix: do not use aws: or slipway:"
            )
        if not 1 <= len(key) <= 128 or len(text) > 256:
            raise ValueError(
                f"{faults.shown(key)} is empty or too long: use 1 to 128 characters for a key "
                "and at most 256 for its value"
            )
        if not _TAG_TEXT.fullmatch(key) or not _TAG_TEXT.fullmatch(text):
            raise ValueError(
                f"{faults.shown(key)} or its value has a character that AWS does not allow: "
                "use letters, digits, spaces and . : / = + - @ _"
            )
