"""A task of the local stack as AWS would describe it.

It combines MiniStack's record with the process's state, which the local Fargate agent writes into
the task's tags. MiniStack shows a new task as RUNNING, a task that was asked to stop as STOPPED,
and always the same stop code. AWS's statuses and stop codes:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
"""

from __future__ import annotations

import re
from typing import Any

from local.fargate_agent import REPLACED
from local.task_tags import TAG_EXIT_CODE, TAG_STATE

Task = dict[str, Any]
OWN_TAGS = "local:"
EXITED = re.compile(r"(Essential container in task exited) \(exit code (\d+)\)(?:: (.*))?")
NOT_STARTED = re.compile(r"CannotPullContainerError|ResourceInitializationError|CannotStart")
BY_THE_SERVICE = (*REPLACED, "Service scaling down", "Service deleted")
STOP_FIELDS = ("stoppedReason", "stopCode", "stoppedAt", "stoppingAt", "executionStoppedAt")


def tags_of(task: Task) -> dict[str, str]:
    """The tags of a task that was described with its tags."""
    return {tag["key"]: tag["value"] for tag in task.get("tags", [])}


def seen_by_aws(task: Task) -> Task:
    """The task, described with its tags, as AWS would describe it now."""
    tags, shown = tags_of(task), {**task}
    state = tags.get(TAG_STATE)
    shown["tags"] = [tag for tag in task.get("tags", []) if not tag["key"].startswith(OWN_TAGS)]
    if task["lastStatus"] != "STOPPED":
        return _not_stopped(shown, state)
    if state == "RUNNING" and task.get("stoppedReason") in REPLACED:
        # The agent keeps the task until the new tasks serve, as ECS does.
        return _running(shown)
    shown |= _why(task)
    _set_exit(shown, task, tags)
    if state in ("RUNNING", "STOPPING"):
        shown["lastStatus"] = "DEPROVISIONING"
        shown.pop("stoppedAt", None)
    return shown


def _not_stopped(shown: Task, state: str | None) -> Task:
    if state == "RUNNING":
        return _running(shown)
    # Without a report of the agent the process has not started; otherwise it is stopping.
    shown["lastStatus"] = "DEPROVISIONING" if state else "PENDING"
    shown["desiredStatus"] = "STOPPED" if state else "RUNNING"
    if not state:
        shown.pop("startedAt", None)
    return shown


def _running(shown: Task) -> Task:
    shown["lastStatus"] = shown["desiredStatus"] = "RUNNING"
    for name in STOP_FIELDS:
        shown.pop(name, None)
    containers = shown.get("containers", [])
    shown["containers"] = [{**c, "lastStatus": "RUNNING", "exitCode": None} for c in containers]
    return shown


def _why(task: Task) -> Task:
    reason = task.get("stoppedReason", "")
    if exited := EXITED.fullmatch(reason):
        return {"stopCode": "EssentialContainerExited", "stoppedReason": exited[1]}
    if NOT_STARTED.match(reason):
        return {"stopCode": "TaskFailedToStart"}
    if reason in BY_THE_SERVICE:
        words = f"Scaling activity initiated by (service {task['group'].partition(':')[2]})"
        return {"stopCode": "ServiceSchedulerInitiated", "stoppedReason": words}
    if "failed ELB health checks" in reason:
        return {"stopCode": "ServiceSchedulerInitiated"}
    return {}


def _set_exit(shown: Task, task: Task, tags: dict[str, str]) -> None:
    exited = EXITED.fullmatch(task.get("stoppedReason", ""))
    code = exited[2] if exited else tags.get(TAG_EXIT_CODE)
    own: dict[str, Any] = {"exitCode": int(code) if code else None}
    if exited and exited[3]:
        own["reason"] = exited[3]
    shown["containers"] = [{**container, **own} for container in task.get("containers", [])]
