"""The field `request_timeout`: how long one request may take, and what follows for AWS.

It is None in a spec that an earlier version stored, and each function then returns what that
version set. So an upgrade changes no target group and starts no tasks by itself.
"""

from __future__ import annotations

from collections.abc import Collection

NAME = "request_timeout"
DEFAULT = 60
# AWS allows a deregistration delay of 0 to 3600 s, and an idle timeout of 1 to 4000 s.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html
MOST = 3600
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
MOST_STOP_TIMEOUT = 120
# A container needs a moment to end even if its requests are short.
LEAST_STOP_TIMEOUT = 2
EARLIER_DELAY, EARLIER_STOP_TIMEOUT = 5, 10


def default(sent: Collection[str], before: object) -> int | None:
    """The value of a spec that does not have the field.

    Args:
        sent: the fields that the request names.
        before: the spec that a PATCH changes; None for a new one. A spec without the field keeps
            that until a request names it.
    """
    return DEFAULT if before is None or NAME in sent else None


def idle_timeout(value: int | None) -> int:
    """Seconds without data after which the load balancer ends a request; AWS's default is 60."""
    return DEFAULT if value is None else value


def deregistration_delay(value: int | None) -> int:
    """Seconds that a target has for its open requests before ECS stops it."""
    return EARLIER_DELAY if value is None else value


def stop_timeout(value: int | None) -> int:
    """Seconds between SIGTERM and SIGKILL."""
    if value is None:
        return EARLIER_STOP_TIMEOUT
    return min(max(value, LEAST_STOP_TIMEOUT), MOST_STOP_TIMEOUT)
