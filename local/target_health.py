"""Reads the health of a task's targets from the load balancer, as the scheduler of ECS does."""

import time
from typing import Any

from local.emulator import CALL_FAILED

# Seconds between two reads: while a task waits to be healthy, and otherwise.
WATCH_SECONDS, STEADY_SECONDS = 0.25, 2.0


class TargetHealth:
    """The state of every target of the target groups that tasks use. One thread uses it."""

    def __init__(self, elbv2: Any) -> None:
        """Args: elbv2: a boto3 client of the gateway."""
        self._elbv2 = elbv2
        self._states: dict[str, dict[str, str]] = {}
        self._read_at: dict[str, float] = {}

    def states(self, group: str, watched: bool) -> dict[str, str]:
        """Return target ID -> state, as read a moment ago.

        Args:
            group: a target group's ARN; if it is gone, it has no targets.
            watched: whether a task waits for its target to be healthy.
        """
        now = time.monotonic()
        age = WATCH_SECONDS if watched else STEADY_SECONDS
        if group not in self._read_at or now >= self._read_at[group] + age:
            self._states[group] = self._read(group)
            self._read_at[group] = now
        return self._states[group]

    def forget(self, groups: set[str]) -> None:
        """Forget all target groups but these."""
        for group in self._states.keys() - groups:
            del self._states[group]
            del self._read_at[group]

    def _read(self, group: str) -> dict[str, str]:
        try:
            answer = self._elbv2.describe_target_health(TargetGroupArn=group)
        except self._elbv2.exceptions.TargetGroupNotFoundException:
            return {}
        except CALL_FAILED:
            return self._states.get(group, {})
        found = answer["TargetHealthDescriptions"]
        return {each["Target"]["Id"]: each["TargetHealth"]["State"] for each in found}
