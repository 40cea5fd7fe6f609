"""Runs the health checks of one task, with the settings of its target groups."""

import http.client
import time
from dataclasses import dataclass

from local.addresses import Address

PROBE_SECONDS = 2.0
# Seconds until the next check: after a refused connection, and at least after a wrong response.
REFUSED_SECONDS, REPEAT_SECONDS = 0.05, 0.25
# Even if the scaled times are short, a busy machine needs this time to load a model, and to look at
# a target that does not pass before its task is stopped.
GRACE_SECONDS_MIN = 10.0


@dataclass(frozen=True)
class TargetGroup:
    """A target group that the task belongs to, with its health check.

    Attributes:
        matcher: the statuses that count as healthy, e.g. "200" or "200-399,404".
        interval: seconds between two checks.
        threshold: failed checks in a row that make a target unhealthy.
    """

    arn: str
    path: str
    matcher: str
    interval: float
    threshold: int


class HealthChecks:
    """The checks of a new task until all of its target groups report it as healthy.

    A new target is healthy after one passed check, whatever the threshold. ECS stops a task that
    is unhealthy after the service's grace period.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/load-balancer-healthcheck.html

    Attributes:
        result: the result of the latest check: a status such as "404", "refused" or "timeout".
        failed_in: the ARN of the target group for which ECS must stop the task, or None.
    """

    def __init__(
        self, address: Address, groups: tuple[TargetGroup, ...], grace: float, scale: float
    ) -> None:
        """Args: grace: the service's grace period in seconds; scale: the factor on all times."""
        self.result = ""
        self.failed_in: str | None = None
        self._address, self._groups, self._scale = address, groups, scale
        until_unhealthy = [group.interval * group.threshold for group in groups]
        waits = max([grace, *until_unhealthy]) * scale
        self._deadline = time.monotonic() + max(waits, GRACE_SECONDS_MIN)
        self._due = 0.0

    def passed(self) -> bool:
        """Run the checks if they are due; return whether all of them passed now."""
        if time.monotonic() < self._due:
            return False
        for group in self._groups:
            self.result = probe(self._address, group.path)
            if not (self.result.isdigit() and matches(int(self.result), group.matcher)):
                now = time.monotonic()
                repeat = max(group.interval * self._scale, REPEAT_SECONDS)
                self._due = now + (REFUSED_SECONDS if self.result == "refused" else repeat)
                self.failed_in = group.arn if now > self._deadline else None
                return False
        return True


def probe(address: Address, path: str) -> str:
    """Return the status of the response, "refused" or "timeout"."""
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
    """Return whether `status` matches "200", "200,202" or "200-299", the syntax of the ELB API."""
    ranges = (part.partition("-") for part in matcher.split(","))
    return any(int(low) <= status <= int(high or low) for low, _, high in ranges)
