"""The field `smoke_test` of a spec."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chalicelib.domain.spec.http_path import HttpPath
from chalicelib.domain.spec.strict import Strict


class SmokeTest(Strict):
    """One real request through the load balancer. It must pass before a deployment is ACTIVE."""

    path: HttpPath | None = None
    status: int = Field(200, ge=100, le=599)
    json_has: list[Annotated[str, Field(min_length=1, max_length=128)]] = Field([], max_length=32)
    max_latency_ms: int | None = Field(None, ge=1, le=25_000)
