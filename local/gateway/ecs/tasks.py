"""A task of the local stack as AWS describes it: MiniStack's record with the agent's report.

Statuses and stop codes:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from local.gateway.ecs.reports import RUNNING, STOPPED, Report

Task = dict[str, Any]
# MiniStack's reasons to stop a task that newer tasks replace. It stops the task at once, but ECS
# waits until the new tasks are healthy.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html
REPLACED = ("Task definition updated", "Deployment completed", "Deployment capacity limit")
BY_THE_SERVICE = (*REPLACED, "Service scaling down", "Service deleted")
EXITED = "Essential container in task exited"
UNHEALTHY = "Task failed ELB health checks"
NOT_STARTED = re.compile(r"CannotPull|CannotStart|CannotCreate|ResourceInitializationError")
STOP_FIELDS = ("stoppedReason", "stopCode", "stoppedAt", "stoppingAt", "executionStoppedAt")


def is_kept(task: Task, report: Report | None) -> bool:
    """Whether MiniStack has stopped the task, but it runs until newer tasks serve."""
    return (
        report is not None
        and report.status == RUNNING
        and task["lastStatus"] == STOPPED
        and task.get("stoppedReason") in REPLACED
    )


def seen_by_aws(task: Task, report: Report | None) -> Task:
    """Return the task as AWS would describe it now."""
    shown = _with_address(task, report) if report and report.address else {**task}
    if task["lastStatus"] != STOPPED:
        return _not_stopped(shown, report)
    if is_kept(task, report):
        return _running(shown)
    shown |= _why(task)
    _set_end(shown, report)
    if report and report.status != STOPPED:
        # The agent has not noticed the stop yet, or the process has not ended.
        shown["lastStatus"] = "DEACTIVATING" if report.status == RUNNING else report.status
        for name in ("stoppedAt", "executionStoppedAt"):
            shown.pop(name, None)
    return shown


def _not_stopped(shown: Task, report: Report | None) -> Task:
    if report is None:  # the process has not started
        shown["lastStatus"] = "PENDING"
        shown.pop("startedAt", None)
        return _with_containers(shown, lastStatus="PENDING")
    if report.status == RUNNING:
        shown["startedAt"] = report.started_at
        return _running(shown)
    shown["desiredStatus"] = STOPPED
    # STOPPED comes with the reason, which MiniStack gets at the end.
    shown["lastStatus"] = "DEPROVISIONING" if report.status == STOPPED else report.status
    return shown


def _running(shown: Task) -> Task:
    shown["lastStatus"] = shown["desiredStatus"] = RUNNING
    for name in STOP_FIELDS:
        shown.pop(name, None)
    shown = _with_containers(shown, lastStatus=RUNNING)
    for container in shown["containers"]:
        container.pop("exitCode", None)
    return shown


def _why(task: Task) -> Task:
    reason = task.get("stoppedReason", "")
    if reason == EXITED:
        return {"stopCode": "EssentialContainerExited"}
    if NOT_STARTED.match(reason):
        return {"stopCode": "TaskFailedToStart"}
    if reason in BY_THE_SERVICE:
        deployment = f"ecs-svc/{task['taskDefinitionArn'].rpartition(':')[2]}"
        words = f"Scaling activity initiated by (deployment {deployment})"
        return {"stopCode": "ServiceSchedulerInitiated", "stoppedReason": words}
    if reason.startswith(UNHEALTHY):
        return {"stopCode": "ServiceSchedulerInitiated"}
    return {}


def _set_end(shown: Task, report: Report | None) -> None:
    if report is None or report.started_at is None:
        shown.pop("startedAt", None)
    else:
        shown["startedAt"] = report.started_at
    if report and report.stopped_at is not None:
        shown["stoppedAt"] = shown["executionStoppedAt"] = report.stopped_at
    runs = report is not None and report.status != STOPPED
    for container in _with_containers(shown, lastStatus=RUNNING if runs else STOPPED)["containers"]:
        container.pop("exitCode", None)
        if report and report.exit_code is not None:
            container["exitCode"] = report.exit_code
        if report and report.container_reason:
            container["reason"] = report.container_reason
        elif shown.get("stopCode") == "TaskFailedToStart":
            container["reason"] = shown["stoppedReason"]


def _with_containers(shown: Task, **changes: Any) -> Task:
    """Give the task its own copies of its containers, with changes."""
    shown["containers"] = [{**container, **changes} for container in shown.get("containers", ())]
    return shown


def _with_address(task: Task, report: Report) -> Task:
    """Show the process's address as that of the task's network interface.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-task-networking.html
    """
    digest = hashlib.sha256(task["taskArn"].encode()).hexdigest()
    attachment = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
    details = {"networkInterfaceId": f"eni-{digest[:17]}", "privateIPv4Address": report.address}
    described = {
        "id": attachment,
        "type": "ElasticNetworkInterface",
        "status": "DELETED" if report.status == STOPPED else "ATTACHED",
        "details": [{"name": name, "value": value} for name, value in details.items()],
    }
    interface = {"attachmentId": attachment, "privateIpv4Address": report.address}
    shown = {**task, "attachments": [*task.get("attachments", ()), described]}
    return _with_containers(shown, networkInterfaces=[interface])
