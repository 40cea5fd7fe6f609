"""The steps of the workflow, each defined once.

The state machine, the functions' steps, the steps of an operation, Slack's groups and the kinds of
resources in a teardown are derived from this list.

The order is the order in which a client sees the steps. The steps of one path run one after
another in this order. Steps with a `branch` are the exception: each branch is a sequence of its
own, and all branches of a path run in parallel, from the place where the first of them is listed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Function(StrEnum):
    """The Lambda function that runs a step, by its name in app.py."""

    NETWORK = "network"
    LOAD_BALANCING = "load_balancing"
    CLUSTER = "cluster"
    SERVICE = "service"
    VERIFICATION = "verification"
    LIFECYCLE = "lifecycle"


class Group(StrEnum):
    """The title under which Slack shows a step."""

    CHECKS = "Image and checks"
    LOAD_BALANCER = "Load balancer"
    SERVICE = "Service"
    FIRST_RESPONSE = "First response"
    FINISH = "Finish"
    REMOVE_SERVICE = "Remove service"
    REMOVE_LOAD_BALANCER = "Remove load balancer"
    REMOVE_OTHERS = "Remove other resources"
    VERIFICATION = "Verification"


class Polling(StrEnum):
    """How often the state machine calls a step that is not done; the intervals are in
    `statemachine/definition.py`."""

    STANDARD = "standard"
    # The step waits for a load balancer that AWS provisions.
    PROVISIONING = "provisioning"
    # The step waits for a change of a DNS record to reach every name server.
    DNS = "dns"
    # The step waits for network interfaces, which AWS may take long to release.
    SLOW = "slow"
    # More expensive resources are deleted after this step, so throttling must not hold it long.
    BRIEF = "brief"


class PlannedStep(NamedTuple):
    """One step.

    Attributes:
        branch: the branch that the step is in; empty if the step runs on its own.
        needs: steps of the teardown without which this one could only wait in vain. If one of them
            failed, the step is skipped.
        deletes: the kind of the resources that the step deletes.
        decisive: whether a failure of the step ends the path. A teardown continues after a step
            that is not decisive, to delete the other resources, because they cost money.
    """

    name: str
    function: Function
    group: Group
    branch: str = ""
    needs: tuple[str, ...] = ()
    polling: Polling = Polling.STANDARD
    deletes: str = ""
    decisive: bool = True


CONVERGE = (
    PlannedStep("resolve_image", Function.VERIFICATION, Group.CHECKS),
    PlannedStep("preflight", Function.VERIFICATION, Group.CHECKS),
    PlannedStep(
        "create_security_groups", Function.NETWORK, Group.LOAD_BALANCER, branch="load_balancer"
    ),
    PlannedStep(
        "create_load_balancer", Function.LOAD_BALANCING, Group.LOAD_BALANCER, branch="load_balancer"
    ),
    PlannedStep(
        "create_target_group", Function.LOAD_BALANCING, Group.LOAD_BALANCER, branch="load_balancer"
    ),
    PlannedStep(
        "create_listener", Function.LOAD_BALANCING, Group.LOAD_BALANCER, branch="load_balancer"
    ),
    PlannedStep("create_cluster", Function.CLUSTER, Group.SERVICE, branch="cluster"),
    PlannedStep("create_log_group", Function.CLUSTER, Group.SERVICE, branch="task_definition"),
    PlannedStep(
        "register_task_definition", Function.CLUSTER, Group.SERVICE, branch="task_definition"
    ),
    PlannedStep("create_service", Function.SERVICE, Group.SERVICE),
    PlannedStep(
        "await_ready", Function.VERIFICATION, Group.FIRST_RESPONSE, polling=Polling.PROVISIONING
    ),
    PlannedStep("route_traffic", Function.LOAD_BALANCING, Group.FIRST_RESPONSE),
    PlannedStep("smoke_test", Function.VERIFICATION, Group.FIRST_RESPONSE),
    PlannedStep("apply_scaling", Function.SERVICE, Group.FINISH),
    PlannedStep("create_dns_record", Function.LOAD_BALANCING, Group.FINISH, polling=Polling.DNS),
    PlannedStep("finish", Function.LIFECYCLE, Group.FINISH),
)
DESTROY = (
    PlannedStep(
        "delete_scaling",
        Function.SERVICE,
        Group.REMOVE_SERVICE,
        polling=Polling.BRIEF,
        deletes="scalable_target",
        decisive=False,
    ),
    PlannedStep(
        "delete_service",
        Function.SERVICE,
        Group.REMOVE_SERVICE,
        deletes="service",
        decisive=False,
    ),
    PlannedStep(
        "delete_dns_record",
        Function.LOAD_BALANCING,
        Group.REMOVE_LOAD_BALANCER,
        branch="load_balancer",
        polling=Polling.BRIEF,
        deletes="dns_record",
        decisive=False,
    ),
    PlannedStep(
        "delete_load_balancer",
        Function.LOAD_BALANCING,
        Group.REMOVE_LOAD_BALANCER,
        branch="load_balancer",
        deletes="load_balancer",
        decisive=False,
    ),
    PlannedStep(
        "delete_target_group",
        Function.LOAD_BALANCING,
        Group.REMOVE_LOAD_BALANCER,
        branch="load_balancer",
        needs=("delete_load_balancer",),
        deletes="target_group",
        decisive=False,
    ),
    PlannedStep(
        "drain_tasks",
        Function.SERVICE,
        Group.REMOVE_SERVICE,
        branch="cluster",
        needs=("delete_service",),
        decisive=False,
    ),
    PlannedStep(
        "delete_security_groups",
        Function.NETWORK,
        Group.REMOVE_OTHERS,
        needs=("delete_load_balancer", "delete_service", "drain_tasks"),
        polling=Polling.SLOW,
        deletes="security_group",
        decisive=False,
    ),
    PlannedStep(
        "delete_task_definitions",
        Function.CLUSTER,
        Group.REMOVE_OTHERS,
        branch="task_definition",
        deletes="task_definition",
        decisive=False,
    ),
    PlannedStep(
        "delete_cluster",
        Function.CLUSTER,
        Group.REMOVE_OTHERS,
        branch="cluster",
        needs=("delete_service", "drain_tasks"),
        deletes="cluster",
        decisive=False,
    ),
    PlannedStep(
        "delete_log_group",
        Function.CLUSTER,
        Group.REMOVE_OTHERS,
        branch="cluster",
        deletes="log_group",
        decisive=False,
    ),
    PlannedStep("verify_teardown", Function.VERIFICATION, Group.VERIFICATION, polling=Polling.SLOW),
    PlannedStep("finish_teardown", Function.LIFECYCLE, Group.VERIFICATION),
)
STEPS = {step.name: step for step in (*CONVERGE, *DESTROY)}
