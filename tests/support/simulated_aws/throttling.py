"""AWS's request limits: a token bucket for each group of actions, with AWS's published rates."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.support.simulated_aws.aws import Answer, Call, Clock, Rule
from tests.support.simulated_aws.weather import went_wrong

READS = ("Describe", "List", "Get")


@dataclass(frozen=True)
class Limit:
    """Actions that share a bucket: `burst` requests at once, then `rate` requests a second."""

    actions: tuple[str, ...]
    burst: float
    rate: float


# The first match applies.
LIMITS: tuple[Limit, ...] = (
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/load-balancer-limits.html
    Limit(("elbv2.CreateLoadBalancer",), burst=10, rate=0.2),
    Limit(("elbv2.Describe*",), burst=40, rate=10),
    Limit(("elbv2.*",), burst=20, rate=3),
    # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html
    Limit(
        ("ecs.CreateCluster", "ecs.DeleteCluster", "ecs.UpdateCluster*"),
        burst=20,
        rate=1,
    ),
    Limit(
        ("ecs.RegisterTaskDefinition", "ecs.DeregisterTaskDefinition", "ecs.DeleteTask*"),
        burst=20,
        rate=1,
    ),
    Limit(("ecs.CreateService", "ecs.UpdateService", "ecs.DeleteService"), burst=50, rate=5),
    # https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
    Limit(("ec2.Describe*", "ec2.Get*", "ec2.List*"), burst=100, rate=20),
    Limit(("ec2.*",), burst=50, rate=5),
    # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/throttling-api-requests.html
    Limit(("route53.*",), burst=50, rate=10),
    # https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
    Limit(("stepfunctions.DescribeExecution",), burst=300, rate=15),
)


class Throttling(Rule):
    """Refuses requests that exceed the limits.

    Attributes:
        on: off by default, so that only tests about limits are throttled.
    """

    def __init__(
        self, clock: Clock, limits: tuple[Limit, ...] = LIMITS, *, on: bool = False
    ) -> None:
        self.on = on
        self._clock, self._limits = clock, limits
        self._buckets: dict[Limit, tuple[float, float]] = {}

    def before(self, call: Call) -> Answer | None:
        limit = self._limit(call) if self.on else None
        if limit is None:
            return None
        now = self._clock.seconds()
        tokens, then = self._buckets.get(limit, (limit.burst, now))
        tokens = min(limit.burst, tokens + (now - then) * limit.rate)
        if tokens < 1:
            self._buckets[limit] = (tokens, now)
            raise went_wrong(call, "throttled")
        self._buckets[limit] = (tokens - 1, now)
        return None

    def _limit(self, call: Call) -> Limit | None:
        for limit in self._limits:
            if any(fnmatchcase(call.name, action) for action in limit.actions):
                return limit
        return None
