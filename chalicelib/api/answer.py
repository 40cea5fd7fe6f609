"""What a handler answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """Status, body (None for no body) and headers.

    `is_final` False: an Idempotency-Key does not keep the answer, although its status is 2xx.
    """

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    is_final: bool = True
