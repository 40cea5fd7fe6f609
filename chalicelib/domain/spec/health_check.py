"""The field `health_check` of a spec."""

from __future__ import annotations

import re

from pydantic import Field, ValidationInfo, field_validator

from chalicelib.domain.spec import faults
from chalicelib.domain.spec.http_path import HttpPath
from chalicelib.domain.spec.strict import Strict

STATUS_LIST = re.compile(r"[2-4]\d\d(-[2-4]\d\d)?(,[2-4]\d\d(-[2-4]\d\d)?)*", re.ASCII)


class HealthCheck(Strict):
    """How the load balancer checks that a task is healthy. Times are in seconds."""

    path: HttpPath = "/"
    status: str = "200-399"
    interval: int = Field(5, ge=5, le=300)
    timeout: int = Field(4, ge=2, le=120, validate_default=True)
    grace: int = Field(60, ge=0, le=1800)

    @field_validator("status")
    @classmethod
    def _status(cls, value: str) -> str:
        ranges = (part.split("-") for part in value.split(","))
        if not STATUS_LIST.fullmatch(value) or any(r != sorted(r) for r in ranges):
            raise ValueError(
                f"must be HTTP codes from 200 to 499, not {faults.shown(value)}. "
                "Examples: 200 or 200,204 or 200-399"
            )
        return value

    @field_validator("timeout")
    @classmethod
    def _timeout(cls, value: int, info: ValidationInfo) -> int:
        interval = info.data.get("interval")
        if interval is not None and value >= interval:
            raise ValueError(f"must be less than `interval` ({interval}), not {value}")
        return value
