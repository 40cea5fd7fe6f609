"""JSON Pointers: the place of a value in a JSON document.

https://www.rfc-editor.org/rfc/rfc6901
"""

from __future__ import annotations

import re
from typing import Any

# The empty pointer, which is the whole document, is left out: it would always be found.
POINTER = re.compile(r"(/([^~/]|~0|~1)*)+", re.DOTALL)
_INDEX = re.compile(r"0|[1-9][0-9]*")


def exists(document: Any, pointer: str) -> bool:
    """Whether the document has a value at `pointer`, which matches POINTER. A null is a value."""
    value = document
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and _INDEX.fullmatch(name) and _has(value, name):
            value = value[int(name)]
        else:
            return False
    return True


def _has(values: list[Any], index: str) -> bool:
    # Python refuses to convert thousands of digits.
    return len(index) < 10 and int(index) < len(values)
