"""What the URL leads to: the tasks, or while the deployment is paused the answer that it is.

The answer stands before the tasks go, and goes when they are healthy again, so that a caller never
meets the load balancer's own 502 or 503.
"""

from __future__ import annotations

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.operation import StepStatus
from chalicelib.platform.clock import now
from chalicelib.resources import listener, pause_rule
from chalicelib.workflow.step import Outcome


def create_listener(deployment: Deployment) -> Outcome:
    """The listeners, and where it is to be paused the rule before the tasks: the step of the
    service, which takes the tasks away, comes after this one."""
    made = listener.ensure(deployment)
    # The one on 443 goes when HTTPS is turned off, and is told so.
    names = {resource.name for resource in made}

    def change(record: Deployment) -> None:
        record.keep_only(listener.KIND, names, now())

    if deployment.paused:
        made = [*made, pause_rule.ensure(deployment)]
    return Outcome(resources=made, change=change)


def route_traffic(deployment: Deployment) -> Outcome:
    """Lets callers through to the tasks, which are healthy by now."""
    if deployment.paused:
        return Outcome(message="paused: the listener answers itself", status=StepStatus.SKIPPED)
    pause_rule.delete(deployment)

    def change(record: Deployment) -> None:
        record.keep_only(pause_rule.KIND, set(), now())

    return Outcome(change=change)
