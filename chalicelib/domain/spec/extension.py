"""The body of an extend request."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from chalicelib.domain.spec import faults, time_to_live
from chalicelib.domain.spec.strict import Strict


class Extension(Strict):
    """The body of `POST /deployments/{deployment}/extend`."""

    ttl: str

    @field_validator("ttl")
    @classmethod
    def _ttl(cls, value: str) -> str:
        time_to_live.parse(value)
        return value


def parse(body: Any) -> str:
    """The `ttl` in the body of an extend request. Raises `ValidationFailed`."""
    return faults.validated(Extension, body).ttl
