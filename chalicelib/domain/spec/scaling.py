"""How many tasks serve where the load decides: between which bounds, and after which metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from chalicelib.domain.spec.strict import Strict

Metric = Literal["requests_per_target", "cpu"]
# What a target may be. Of CPU it is a percentage; of requests a task of Fargate's largest size does
# not answer more a minute.
BOUNDS: dict[str, tuple[int, int]] = {"requests_per_target": (1, 1_000_000), "cpu": (1, 100)}
UNITS = {"requests_per_target": "requests per task and minute", "cpu": "per cent of the tasks' CPU"}


def refuse_above_limit(tasks: int, info: ValidationInfo) -> None:
    """Raises `ValueError` for more tasks than the stack allows a deployment."""
    most = (info.context or {}).get("max_tasks")
    if most is not None and tasks > most:
        raise ValueError(f"must be at most {most}, the limit of tasks for one deployment")


class Scaling(Strict):
    """AWS keeps the metric near `target` by running `min` to `max` tasks.

    `requests_per_target`: requests that one task gets per minute, as the load balancer counts them
    (`ALBRequestCountPerTarget`). `cpu`: the service's average use of its CPU units, in per cent
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
            raise ValueError(f"must be at least min, which is {least}")
        return value

    @field_validator("target")
    @classmethod
    def _target(cls, value: int, info: ValidationInfo) -> int:
        metric = info.data.get("metric")
        if metric is not None:
            least, most = BOUNDS[metric]
            if not least <= value <= most:
                raise ValueError(f"must be {least} to {most} {UNITS[metric]}")
        return value

    def hold(self, count: int) -> int:
        """The number of tasks within the bounds that is nearest to `count`."""
        return max(self.min, min(count, self.max))


def without_count(body: dict[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """`body` without the count that a `scaling` which was `sent` replaces."""
    replaced = sent.get("scaling") is not None and "count" not in sent
    return {**body, "count": None} if replaced else body


def conflict(body: Mapping[str, Any], sent: Mapping[str, Any]) -> str | None:
    """What is wrong with `count`, for `scaling` says how many tasks there are; None if nothing.

    `body` is what was `sent`, on top of the present spec where it is a PATCH.
    """
    if sent.get("count") is None or body.get("scaling") is None:
        return None
    if "scaling" in sent:
        return "is replaced by scaling: leave out one of the two"
    return 'is replaced by scaling: change scaling instead, or send "scaling": null with it'
