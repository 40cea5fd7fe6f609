"""Which step does what: the table between the state machine's names and the resource modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.platform.clock import now
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
    image,
    readiness,
    smoke_test,
    step,
    teardown,
    traffic,
)
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
    """A rollout may take the scaling away again: then the receipt for it is written here."""
    made = scaling.ensure(deployment)
    if made:
        return Outcome(resources=made)

    def change(record: Deployment) -> None:
        record.keep_only(scaling.KIND, set(), now())

    return Outcome(message="no scaling asked for", change=change)


NETWORK: dict[str, Work] = {
    "create_security_groups": _ensures(security_groups.ensure),
    "delete_security_groups": _deletes(security_groups.delete),
}
LOAD_BALANCING: dict[str, Work] = {
    "create_load_balancer": _ensures(load_balancer.ensure),
    "create_target_group": _ensures(target_group.ensure),
    "create_listener": traffic.create_listener,
    "route_traffic": traffic.route_traffic,
    "create_dns_record": domain_binding.bind,
    "delete_dns_record": domain_binding.unbind,
    "delete_load_balancer": _deletes(load_balancer.delete),
    "delete_target_group": _deletes(target_group.delete),
}
CLUSTER: dict[str, Work] = {
    "create_cluster": _ensures(cluster.ensure),
    "create_log_group": _ensures(log_group.ensure),
    "register_task_definition": _ensures(task_definition.ensure),
    "delete_task_definitions": _deletes(task_definition.delete),
    "delete_cluster": _deletes(cluster.delete),
    "delete_log_group": _deletes(log_group.delete),
}
SERVICE: dict[str, Work] = {
    "create_service": _ensures(service.ensure),
    "apply_scaling": _apply_scaling,
    "delete_scaling": _deletes(scaling.delete),
    "delete_service": _deletes(service.delete),
    "drain_tasks": teardown.drain_tasks,
}
VERIFICATION: dict[str, Work] = {
    "resolve_image": image.resolve,
    "preflight": preflight.check,
    "await_ready": readiness.await_ready,
    "smoke_test": smoke_test.run,
    "verify_teardown": teardown.verify,
}


def run(table: dict[str, Work], event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Runs the step that the event names, of those that this function may run."""
    return step.run(event, context.aws_request_id, table[event["step"]])
