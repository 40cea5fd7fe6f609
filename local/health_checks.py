"""Health checks of one task, as its target groups ask for them and ECS acts on them."""

import http.client
import time
from dataclasses import dataclass

from local.addresses import Address

PROBE_SECONDS = 2.0
# How often to look again: while nothing listens yet, and at least after an answer that was wrong.
UNHEARD_SECONDS, HEARD_SECONDS = 0.05, 0.25
# On a busy machine a model needs a moment to load, however short the scaled times are.
GRACE_SECONDS_MIN = 5.0


@dataclass(frozen=True)
class TargetGroup:
    """A target group that the task belongs to, with its health check.

    Attributes:
        matcher: the statuses that AWS takes for healthy, e.g. "200" or "200-399,404".
        interval: seconds between two checks.
        threshold: failed checks in a row that make a target unhealthy.
    """

    arn: str
    path: str
    matcher: str
    interval: float
    threshold: int


class HealthChecks:
    """The checks of a new task until all of its target groups take it for healthy.

    A new target is healthy after one passed check, whatever the threshold, and ECS ends a task
    that is unhealthy when the service's grace period is over.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/load-balancer-healthcheck.html

    Attributes:
        met: what the latest check met: a status such as "404", "refused" or "timeout".
        failed_in: ARN of the target group that makes ECS end the task, None while there is none.
    """

    def __init__(
        self, address: Address, groups: tuple[TargetGroup, ...], grace: float, scale: float
    ) -> None:
        """Args: grace: of the service, in seconds; scale: the factor on this and all times here."""
        self.met = ""
        self.failed_in: str | None = None
        self._address, self._groups, self._scale = address, groups, scale
        until_unhealthy = [group.interval * group.threshold for group in groups]
        waits = max([grace, *until_unhealthy]) * scale
        self._deadline = time.monotonic() + max(waits, GRACE_SECONDS_MIN)
        self._due = 0.0

    def passed(self) -> bool:
        """Make the checks if they are due; tell whether all of them were passed now."""
        if time.monotonic() < self._due:
            return False
        for group in self._groups:
            self.met = probe(self._address, group.path)
            if not (self.met.isdigit() and matches(int(self.met), group.matcher)):
                now = time.monotonic()
                heard = max(group.interval * self._scale, HEARD_SECONDS)
                self._due = now + (UNHEARD_SECONDS if self.met == "refused" else heard)
                self.failed_in = group.arn if now > self._deadline else None
                return False
        return True


def probe(address: Address, path: str) -> str:
    """Return the status that the process answers, "refused" or "timeout"."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", path, headers={"User-Agent": "ELB-HealthChecker/2.0"})
        return str(connection.getresponse().status)
    except TimeoutError:
        return "timeout"
    except (OSError, http.client.HTTPException):
        return "refused"
    finally:
        connection.close()


def matches(status: int, matcher: str) -> bool:
    """Tell whether `status` is among "200", "200,202" or "200-299", as the ELB API writes it."""
    ranges = (part.partition("-") for part in matcher.split(","))
    return any(int(low) <= status <= int(high or low) for low, _, high in ranges)
