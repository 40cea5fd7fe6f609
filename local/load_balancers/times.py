"""How AWS's times become local ones."""

from __future__ import annotations

from dataclasses import dataclass

# A healthy target is checked at most this often, so that an idle stack needs nearly no CPU time.
HEALTHY_INTERVAL_MIN = 2.0
# A new or failing target is checked at most this often.
INTERVAL_MIN = 0.25
# A busy machine with two cores can need this long to answer a health check.
CHECK_TIMEOUT_MIN = 2.0


@dataclass(frozen=True)
class Times:
    """Scales what Slipway's workflow waits for, and leaves what a request may take.

    The intervals of health checks, the deregistration delay, slow start and the propagation of
    changes are scaled. The idle timeout, the connection timeout (10 s) and the lifetime of cookies
    are not: a model that answers in 20 s on AWS must also do so locally. So a target with requests
    in progress also drains for as long as on AWS.

    Attributes:
        scale: the factor, e.g. 0.1; 1 leaves all times as they are on AWS.
    """

    scale: float

    def scaled(self, seconds: float) -> float:
        return seconds * self.scale

    def interval(self, seconds: float, healthy: bool) -> float:
        """Seconds between two health checks. The minimum never exceeds AWS's own interval."""
        least = HEALTHY_INTERVAL_MIN if healthy else INTERVAL_MIN
        return min(seconds, max(seconds * self.scale, least))

    def check_timeout(self, seconds: float) -> float:
        """Seconds within which a target must answer a health check."""
        return min(seconds, max(seconds * self.scale, CHECK_TIMEOUT_MIN))
