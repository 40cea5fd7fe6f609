"""Reads the health of a task's targets from the load balancer, as the scheduler of ECS does."""

import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

# Seconds between two reads: while a task is not healthy yet or drains, and while all are healthy.
WATCH_SECONDS, STEADY_SECONDS = 0.25, 2.0


class TargetHealth:
    """The state of every target of the target groups that tasks use. One thread uses it."""

    def __init__(self, elbv2: Any) -> None:
        """Args: elbv2: a boto3 client of the gateway."""
        self._elbv2 = elbv2
        self._states: dict[str, dict[str, str]] = {}
        self._due: dict[str, float] = {}

    def states(self, group: str) -> dict[str, str]:
        """Return target ID -> state, as read at most `STEADY_SECONDS` ago.

        Args:
            group: a target group's ARN; if it is gone, it has no targets.
        """
        now = time.monotonic()
        if now >= self._due.get(group, 0.0):
            self._states[group] = self._read(group)
            is_steady = set(self._states[group].values()) <= {"healthy"}
            self._due[group] = now + (STEADY_SECONDS if is_steady else WATCH_SECONDS)
        return self._states[group]

    def expect_change(self, group: str) -> None:
        """Read a target group at the next occasion: its targets have changed."""
        self._due.pop(group, None)

    def forget(self, groups: set[str]) -> None:
        """Forget all target groups but these."""
        for group in self._states.keys() - groups:
            del self._states[group]
            self._due.pop(group, None)

    def _read(self, group: str) -> dict[str, str]:
        try:
            answer = self._elbv2.describe_target_health(TargetGroupArn=group)
        except self._elbv2.exceptions.TargetGroupNotFoundException:
            return {}
        except (ClientError, BotoCoreError):
            return self._states.get(group, {})
        found = answer["TargetHealthDescriptions"]
        return {each["Target"]["Id"]: each["TargetHealth"]["State"] for each in found}
