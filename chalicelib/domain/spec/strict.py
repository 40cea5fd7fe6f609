"""The base of every model of a request body."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Refuses an unknown field and a value of another type, and never converts a value."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
