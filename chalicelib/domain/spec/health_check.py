"""The field `health_check` of a spec."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from chalicelib.domain.spec import status_codes
from chalicelib.domain.spec.http_path import HttpPath
from chalicelib.domain.spec.strict import Strict

# The checks that an unhealthy target must pass. A new target needs only one.
HEALTHY_THRESHOLD = 2


class HealthCheck(Strict):
    """How the load balancer checks that a task is healthy. Times are in seconds."""

    # Null until `sources.completed` replaces it.
    path: HttpPath | None = None
    status: str | None = None
    interval: int = Field(5, ge=5, le=300)
    timeout: int = Field(4, ge=2, le=120, validate_default=True)
    grace: int = Field(60, ge=0, le=1800)

    @property
    def notice_seconds(self) -> int:
        """How long the load balancer takes to report that a task has begun to answer: two checks.

        An unhealthy target must pass as many checks as its threshold:
        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
        """
        return HEALTHY_THRESHOLD * (self.interval + self.timeout)

    @field_validator("status")
    @classmethod
    def _status(cls, value: str | None) -> str | None:
        return None if value is None else status_codes.check_health(value)

    @field_validator("timeout")
    @classmethod
    def _timeout(cls, value: int, info: ValidationInfo) -> int:
        interval = info.data.get("interval")
        if interval is not None and value >= interval:
            raise ValueError(f"must be less than `interval` ({interval}), not {value}")
        return value
