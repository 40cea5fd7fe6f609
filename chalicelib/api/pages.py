"""The size of a page: a list ends early if its next entry would make the response too large."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

# A Lambda function returns at most 6 MB: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
# The rest is for what the response needs beside the entries, and for the escapes around it: API
# Gateway gets the body as a string within JSON.
MOST_BYTES = 4_000_000
# The braces, `next_cursor` and the brackets of the list.
_AROUND = 1000


def fitting(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first entries that fit in a page, at least one. Each has the size that the API sends."""
    page: list[dict[str, Any]] = []
    size = _AROUND
    for entry in entries:
        size += len(json.dumps(json.dumps(entry)))
        if page and size > MOST_BYTES:
            break
        page.append(entry)
    return page
