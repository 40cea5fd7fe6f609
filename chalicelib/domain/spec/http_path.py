"""A path in a spec, for a request to a task or to the load balancer."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from chalicelib.domain.spec import faults

MOST_CHARACTERS = 1024
PATH = re.compile(r"/(?!/)[\x21-\x7e]{0,1023}|/")


def _http_path(value: str) -> str:
    if len(value) > MOST_CHARACTERS:
        raise ValueError(f"must have at most {MOST_CHARACTERS} characters, not {len(value)}")
    if not value.isascii():
        raise ValueError(
            f"must be ASCII, not {faults.shown(value)}: escape other characters (%C3%A9 for é)"
        )
    if not PATH.fullmatch(value):
        raise ValueError(
            f"must be a path such as /health, not {faults.shown(value)}: start with one slash, "
            "do not use spaces, and leave out the host"
        )
    return value


HttpPath = Annotated[str, AfterValidator(_http_path)]
