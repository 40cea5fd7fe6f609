"""The health of one target: what its checks found, as DescribeTargetHealth reports it.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from local.load_balancers.configuration import HealthCheck


@dataclass(frozen=True)
class Health:
    """A state with its reason code and AWS's description; a healthy target has neither."""

    state: str
    reason: str = ""
    description: str = ""

    def answer(self) -> dict[str, Any]:
        """The `TargetHealth` of a `TargetHealthDescription`."""
        values = {"State": self.state, "Reason": self.reason, "Description": self.description}
        return {key: value for key, value in values.items() if value}


# The descriptions are those of the table "Health check reason codes".
HEALTHY = Health("healthy")
REGISTERING = Health("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
CHECKING = Health("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
TIMED_OUT = Health("unhealthy", "Target.Timeout", "Request timed out")
# Refused, reset, or not HTTP/1.1.
FAILED = Health("unhealthy", "Target.FailedHealthChecks", "Health checks failed")
INTERNAL_ERROR = Health(
    "unhealthy", "Elb.InternalError", "Health checks failed due to an internal error"
)
DRAINING = Health(
    "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"
)
NOT_IN_USE = Health(
    "unused",
    "Target.NotInUse",
    "Target group is not configured to receive traffic from the load balancer",
)
NOT_REGISTERED = Health(
    "unused", "Target.NotRegistered", "Target is not registered to the target group"
)
DISABLED = Health("unavailable", "Target.HealthCheckDisabled", "Health checks are disabled")


def mismatch(status: int) -> Health:
    """The result of a check that was answered with an unexpected status."""
    return Health(
        "unhealthy",
        "Target.ResponseCodeMismatch",
        f"Health checks failed with these codes: [{status}]",
    )


class Checked:
    """Counts the results of the health checks of one target, and derives its health."""

    def __init__(self) -> None:
        self.health = REGISTERING
        self._passed = self._failed = 0

    def begin(self) -> None:
        """The first check starts."""
        if self.health == REGISTERING:
            self.health = CHECKING

    def record(self, result: Health, check: HealthCheck) -> None:
        """Count one result: `HEALTHY`, or why the check failed.

        A new target is healthy after one passed check, and unhealthy after the unhealthy
        threshold. An unhealthy one needs the healthy threshold.
        """
        if result == HEALTHY:
            self._passed, self._failed = self._passed + 1, 0
            if self.health.state == "initial" or self._passed >= check.healthy_threshold:
                self.health = HEALTHY
            return
        self._passed, self._failed = 0, self._failed + 1
        if self.health.state == "unhealthy" or self._failed >= check.unhealthy_threshold:
            self.health = result
