"""Why a task does not serve, in the words of a failure."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.errors import FailureCode


@dataclass(frozen=True)
class Verdict:
    """Why a task stopped or is unhealthy.

    Attributes:
        final: the next task would fail for the same reason.
        unrecognized: AWS's text if no row of the known texts matches it, else "".
    """

    code: FailureCode
    message: str
    hint: str
    final: bool = False
    unrecognized: str = ""
