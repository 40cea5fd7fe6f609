"""The work of each step, by the step's name in `domain/plan.py`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from chalicelib.domain import plan
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.plan import Function
from chalicelib.platform import clock
from chalicelib.resources import (
    cluster,
    load_balancer,
    log_group,
    scaling,
    security_groups,
    service,
    target_group,
    task_definition,
)
from chalicelib.workflow import (
    domain_binding,
    lifecycle,
    readiness,
    smoke_test,
    step,
    teardown,
    traffic,
)
from chalicelib.workflow.image import image
from chalicelib.workflow.preflight import preflight
from chalicelib.workflow.step import Outcome, Work


def _ensures(ensure: Callable[[Deployment], Any]) -> Work:
    def work(deployment: Deployment) -> Outcome:
        made = ensure(deployment)
        return Outcome(resources=made if isinstance(made, list) else [made])

    return work


def _deletes(delete: Callable[[str], None]) -> Work:
    def work(deployment: Deployment) -> Outcome:
        delete(deployment.id)
        return Outcome()

    return work


def _apply_scaling(deployment: Deployment) -> Outcome:
    """Creates or updates the scaling. If a rollout removed it, the receipt is written here."""
    made = scaling.ensure(deployment)
    if made:
        return Outcome(resources=made)

    def change(record: Deployment) -> None:
        record.keep_only(scaling.KIND, set(), clock.now())

    reason = "the deployment is paused" if deployment.paused else "the spec has no `scaling`"
    return Outcome(message=reason, change=change)


WORK: dict[str, Work] = {
    "resolve_image": functools.partial(image.resolve, may_import=True),
    "preflight": preflight.check,
    "create_security_groups": _ensures(security_groups.ensure),
    "create_load_balancer": _ensures(load_balancer.ensure),
    "create_target_group": _ensures(target_group.ensure),
    "create_listener": traffic.create_listener,
    "create_cluster": _ensures(cluster.ensure),
    "create_log_group": _ensures(log_group.ensure),
    "register_task_definition": _ensures(task_definition.ensure),
    "create_service": _ensures(service.ensure),
    "await_ready": readiness.await_ready,
    "route_traffic": traffic.route_traffic,
    "smoke_test": smoke_test.run,
    "apply_scaling": _apply_scaling,
    "create_dns_record": domain_binding.bind,
    "finish": lifecycle.finish,
    "delete_scaling": _deletes(scaling.delete),
    "delete_service": _deletes(teardown.delete_service),
    "delete_dns_record": domain_binding.unbind,
    "delete_load_balancer": _deletes(load_balancer.delete),
    "delete_target_group": _deletes(target_group.delete),
    "drain_tasks": teardown.drain_tasks,
    "delete_security_groups": _deletes(security_groups.delete),
    "delete_task_definitions": _deletes(task_definition.delete),
    "delete_cluster": _deletes(cluster.delete),
    "delete_log_group": teardown.delete_log_group,
    "verify_teardown": teardown.verify,
    "finish_teardown": lifecycle.finish_teardown,
}


def run(function: Function, event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Runs the step that the event names.

    Raises:
        KeyError: the step does not exist, or another function runs it.
    """
    name = event["step"]
    if plan.STEPS[name].function is not function:
        raise KeyError(f"{name} is a step of {plan.STEPS[name].function}, not of {function}")
    return step.run(event, context.aws_request_id, WORK[name])
