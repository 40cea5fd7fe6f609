"""What the URL points to: the tasks, or the pause response while the deployment is paused.

The pause response is in place before the tasks stop, and removed after they are healthy again. So a
caller never gets the load balancer's own 502 or 503.
"""

from __future__ import annotations

from datetime import timedelta

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.domain.operation import StepStatus
from chalicelib.platform import clock
from chalicelib.platform.settings import settings
from chalicelib.resources import listener, load_balancer, pause_rule, target_group
from chalicelib.workflow.step import Outcome

# The nodes of a load balancer learn a rule at different times. AWS does not document how long it
# takes.
NODES_KNOW_AFTER = timedelta(seconds=15)


def create_listener(deployment: Deployment) -> Outcome:
    """Creates the listeners, and the pause rule if the deployment is to be paused.

    The step that stops the tasks comes after this one.
    """
    created = listener.ensure(deployment)
    # If HTTPS was turned off, the listener on 443 is gone, and the record shows that.
    names = {resource.name for resource in created}

    def change(record: Deployment) -> None:
        record.keep_only(listener.KIND, names, clock.now())

    if deployment.paused:
        created = [*created, pause_rule.ensure(deployment)]
        _await_all_nodes(deployment)
    return Outcome(resources=created, change=change)


def _await_all_nodes(deployment: Deployment) -> None:
    """Raises `NotReady` until every node knows a new pause rule, because the tasks drain next.

    A node that does not know it would answer 503 without the pause response.
    """
    started = deployment.operation.step("create_listener").started_at
    if deployment.live(pause_rule.KIND) or started is None:
        return
    if clock.now() < started + NODES_KNOW_AFTER * settings().time_scale:
        raise NotReady("the nodes of the load balancer learn the pause rule")


def route_traffic(deployment: Deployment) -> Outcome:
    """Routes requests to the tasks, which are healthy by now, by deleting the pause rule.

    A shorter `request_timeout` counts from now on. Before, it would cut requests to the tasks of
    the previous version.
    """
    target_group.shorten_delay(deployment)  # first, because it waits for those tasks
    load_balancer.shorten_idle_timeout(deployment)
    if deployment.paused:
        return Outcome(
            message="paused: the listener returns the pause response", status=StepStatus.SKIPPED
        )
    pause_rule.delete(deployment)

    def change(record: Deployment) -> None:
        record.keep_only(pause_rule.KIND, set(), clock.now())

    return Outcome(change=change)
