"""A path in a spec, for a request to a task or to the load balancer."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from chalicelib.domain.spec import faults

PATH = re.compile(r"/(?!/)[\x21-\x7e]{0,1023}|/")


def _http_path(value: str) -> str:
    if not PATH.fullmatch(value):
        raise ValueError(
            f"must be a path such as /health, not {faults.shown(value)}: start with one slash, "
            "do not use spaces, and leave out the host"
        )
    return value


HttpPath = Annotated[str, AfterValidator(_http_path)]
