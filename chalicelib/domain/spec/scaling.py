"""The rules for `scaling`: the bounds, the metric and its target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from chalicelib.domain.spec.strict import Strict

Metric = Literal["requests_per_target", "cpu"]
# The range of `target` for each metric. CPU is a percentage. No Fargate task answers more than a
# million requests per minute, whatever its size.
BOUNDS: dict[str, tuple[int, int]] = {"requests_per_target": (1, 1_000_000), "cpu": (1, 100)}
UNITS = {"requests_per_target": "requests per task per minute", "cpu": "percent of the tasks' CPU"}


def refuse_above_limit(tasks: int, info: ValidationInfo) -> None:
    """Raises `ValueError` if the stack does not allow so many tasks for one deployment."""
    most = (info.context or {}).get("max_tasks")
    if most is not None and tasks > most:
        raise ValueError(f"must be at most {most}, the task limit of one deployment, not {tasks}")


class Scaling(Strict):
    """AWS keeps the metric near `target` by running `min` to `max` tasks.

    `requests_per_target`: requests per task per minute, counted by the load balancer
    (`ALBRequestCountPerTarget`). `cpu`: the average CPU utilization of the service in percent
    (`ECSServiceAverageCPUUtilization`).
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/target-tracking-create-policy.html
    """

    min: int = Field(ge=1)
    max: int = Field(ge=1)
    metric: Metric
    target: int

    @field_validator("max")
    @classmethod
    def _max(cls, value: int, info: ValidationInfo) -> int:
        refuse_above_limit(value, info)
        least = info.data.get("min")
        if least is not None and value < least:
            raise ValueError(f"must be at least `min` ({least}), not {value}")
        return value

    @field_validator("target")
    @classmethod
    def _target(cls, value: int, info: ValidationInfo) -> int:
        metric = info.data.get("metric")
        if metric is not None:
            least, most = BOUNDS[metric]
            if not least <= value <= most:
                raise ValueError(f"must be {least} to {most} {UNITS[metric]}, not {value}")
        return value

    def hold(self, count: int) -> int:
        """The number of tasks within the bounds that is closest to `count`."""
        return max(self.min, min(count, self.max))


def without_count(body: dict[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """`body` without `count` if the caller `sent` a `scaling` instead."""
    replaced = sent.get("scaling") is not None and "count" not in sent
    return {**body, "count": None} if replaced else body


def conflict(body: Mapping[str, Any], sent: Mapping[str, Any]) -> str | None:
    """The fault of a `count` that conflicts with `scaling`, or None.

    `body` is what the caller `sent`; for a PATCH, merged into the current spec.
    """
    if sent.get("count") is None or body.get("scaling") is None:
        return None
    if "scaling" in sent:
        return "cannot be combined with scaling: send only one of the two"
    return 'cannot be set while scaling is on: change scaling, or also send "scaling": null'
