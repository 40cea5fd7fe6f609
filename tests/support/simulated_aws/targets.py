"""The targets of target groups, and their health checks.

States, reasons and their texts:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.support.simulated_aws.timeline import Timeline
from tests.support.simulated_aws.times import REGISTRATION, Times

# The result of one health check: an HTTP status, no connection, or no response in time.
Met = int | Literal["refused", "timeout"]
# (address, port, path) -> the result of a request now. It must return immediately.
Probe = Callable[[str, int, str], Met]
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
DEFAULT_DEREGISTRATION_DELAY = 300.0
DELAY = "deregistration_delay.timeout_seconds"
IN_USE_NOT = "Target group is not configured to receive traffic from the load balancer"


@dataclass
class Health:
    """State, reason and description as DescribeTargetHealth shows them."""

    state: str
    reason: str = ""
    description: str = ""

    def described(self) -> dict[str, str]:
        described = {"State": self.state, "Reason": self.reason, "Description": self.description}
        return {key: value for key, value in described.items() if value}


REGISTERING = Health("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
FIRST_CHECKS = Health("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
DRAINING = Health(
    "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"
)
UNUSED = Health("unused", "Target.NotInUse", IN_USE_NOT)
NOT_REGISTERED = Health("unused", "Target.NotRegistered", "Target is not registered")


@dataclass
class Target:
    """One registered address; `passed` and `failed` count checks in a row."""

    address: str
    port: int
    health: Health
    passed: int = 0
    failed: int = 0
    checking: bool = False
    gone: bool = False


@dataclass
class Group:
    """A target group: its settings as DescribeTargetGroups shows them, and its targets."""

    arn: str
    settings: dict[str, Any]
    delay: float = DEFAULT_DEREGISTRATION_DELAY
    targets: dict[tuple[str, int], Target] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return int(self.settings.get("Port", 80))


class Targets:
    """All targets. Each is checked every interval while its group's load balancer is active.

    Attributes:
        used: whether a listener or rule forwards to a group.
        serving: whether, in addition, the load balancer is active.
        on_change: called with the group and the target whose state changed.
    """

    def __init__(
        self,
        timeline: Timeline,
        times: Times,
        probe: Probe,
        used: Callable[[str], bool],
        serving: Callable[[str], bool],
    ) -> None:
        self._timeline, self._times, self._probe = timeline, times, probe
        self.used, self.serving = used, serving
        self.groups: dict[str, Group] = {}
        self.on_change: Callable[[Group, Target], None] = lambda group, target: None

    def register(self, group: Group, address: str, port: int) -> None:
        """Register a new target, or a draining target again."""
        previous = group.targets.get((address, port))
        if previous and previous.health.state != "draining":
            return
        target = Target(address, port, REGISTERING)
        if previous:
            previous.gone = True
        group.targets[(address, port)] = target
        if self.serving(group.arn):
            self._begin(group, target)

    def begin_all(self, group: Group) -> None:
        """Start the checks: the load balancer became active, or a listener uses the group."""
        for target in group.targets.values():
            if not target.checking and target.health.state != "draining":
                self._begin(group, target)

    def _begin(self, group: Group, target: Target) -> None:
        target.checking, target.health = True, REGISTERING
        self._timeline.after(self._times.draw(REGISTRATION), lambda: self._first(group, target))

    def _first(self, group: Group, target: Target) -> None:
        if not target.gone and target.health is REGISTERING:
            target.health = FIRST_CHECKS
            # The nodes check at different times of the interval.
            self._timeline.after(
                self._times.between(0, self._interval(group)), lambda: self._check(group, target)
            )

    def deregister(
        self, group: Group, address: str, port: int, then: Callable[[], None] = lambda: None
    ) -> None:
        """Start to drain the target. `then` is called when it is deregistered."""
        target = group.targets.get((address, port))
        if target is None or target.gone:
            then()
            return
        was_in, target.health = target.health.state, DRAINING
        # A target that never received requests has nothing to drain.
        delay = group.delay if was_in == "healthy" and self.serving(group.arn) else 0.0
        self._timeline.after(delay, lambda: self._leave(group, target, then))

    def _leave(self, group: Group, target: Target, then: Callable[[], None]) -> None:
        target.gone = True
        if group.targets.get((target.address, target.port)) is target:
            del group.targets[(target.address, target.port)]
        then()

    def _check(self, group: Group, target: Target) -> None:
        if target.gone or target.health is DRAINING or group.arn not in self.groups:
            return
        if not self.serving(group.arn):
            target.checking = False
            return
        settings = group.settings
        outcome = self._probe(target.address, target.port, settings.get("HealthCheckPath", "/"))
        fault = fault_of(outcome, settings.get("Matcher", {}).get("HttpCode", "200"))
        before = target.health.state
        self._count(settings, target, fault)
        self._timeline.after(self._interval(group), lambda: self._check(group, target))
        if target.health.state != before:
            self.on_change(group, target)

    @staticmethod
    def _count(settings: dict[str, Any], target: Target, fault: Health | None) -> None:
        if fault is None:
            target.passed, target.failed = target.passed + 1, 0
            # A new target is healthy after one passed check, for any threshold. An unhealthy target
            # needs as many as the threshold.
            first = target.health.state == "initial"
            if first or target.passed >= settings.get("HealthyThresholdCount", 5):
                target.health = Health("healthy")
            return
        target.passed, target.failed = 0, target.failed + 1
        if target.failed >= settings.get("UnhealthyThresholdCount", 2):
            target.health = fault

    @staticmethod
    def _interval(group: Group) -> float:
        return float(group.settings.get("HealthCheckIntervalSeconds", 30))

    def health(self, group: Group, target: Target) -> Health:
        """The health that AWS reports for a target now."""
        if not self.used(group.arn) and target.health is not DRAINING:
            return UNUSED
        return target.health


def fault_of(outcome: Met, matcher: str) -> Health | None:
    """Why a check's result is a failure, or None. `matcher` is, for example, "200-299,302"."""
    if outcome == "timeout":
        return Health("unhealthy", "Target.Timeout", "Request timed out")
    if outcome == "refused":
        return Health("unhealthy", "Target.FailedHealthChecks", "Health checks failed")
    for part in matcher.split(","):
        first, _, last = part.partition("-")
        if int(first) <= int(outcome) <= int(last or first):
            return None
    words = f"Health checks failed with these codes: [{outcome}]"
    return Health("unhealthy", "Target.ResponseCodeMismatch", words)
