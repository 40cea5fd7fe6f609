"""The HTTP headers that a caller adds to a request of Slipway to a deployment."""

from __future__ import annotations

import re

from chalicelib.domain.spec import faults

MOST = 16
# https://www.rfc-editor.org/rfc/rfc9110#name-field-names
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
# Visible characters, with spaces and tabs between them.
VALUE = re.compile(r"([\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?)?")
MOST_CHARACTERS = 4096
# Slipway sets the first two. The others are hop-by-hop: they apply to one connection only.
# https://www.rfc-editor.org/rfc/rfc9110#name-connection
OWN = {
    "host",
    "content-length",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


def check(headers: dict[str, str]) -> None:
    """Raises `ValueError` that names every bad header. It shows no value: it may be a secret."""
    wrong = [f"{faults.shown(name)} {fault}" for name in headers if (fault := _fault(name))]
    wrong += [
        f"the value of {faults.shown(name)} must be at most {MOST_CHARACTERS} printable ASCII "
        "characters, without spaces at its ends"
        for name, value in headers.items()
        if len(value) > MOST_CHARACTERS or not VALUE.fullmatch(value)
    ]
    lower = [name.lower() for name in headers]
    wrong += [
        f"{faults.shown(name)} is given twice: case does not matter in a header name"
        for name in headers
        if lower.count(name.lower()) > 1
    ]
    if wrong:
        raise ValueError("; ".join(wrong))


def _fault(name: str) -> str:
    if not NAME.fullmatch(name):
        return "is not a header name: use 1 to 64 letters, digits and hyphens"
    if name.lower() in OWN:
        return "cannot be set, because Slipway or the connection sets it"
    return ""
