"""A service of the local stack as AWS would describe it, from the state of its real tasks.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Service.html
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
"""

from __future__ import annotations

from typing import Any

from local.gateway.ecs.tasks import UNHEALTHY, Task

FAILED_BY_ITSELF = ("EssentialContainerExited", "TaskFailedToStart")
BREAKER = "ECS deployment circuit breaker: tasks failed to start."
DEFAULT_THRESHOLD = 3


def service_seen_by_aws(service: dict[str, Any], tasks: list[Task]) -> dict[str, Any]:
    """Args: service: as MiniStack describes it; tasks: all its tasks, as AWS describes them."""
    live = [task for task in tasks if task["desiredStatus"] == "RUNNING"]
    shown = {**service, **_counts(live)}
    running = any(task["lastStatus"] != "STOPPED" for task in tasks)
    if service["status"] == "INACTIVE" and running:
        shown["status"] = "DRAINING"
    shown["deployments"] = _deployments(service, tasks, live)
    shown["events"] = _events(shown, tasks)
    return shown


def _counts(tasks: list[Task]) -> dict[str, int]:
    statuses = [task["lastStatus"] for task in tasks]
    return {"runningCount": statuses.count("RUNNING"), "pendingCount": statuses.count("PENDING")}


def _deployments(
    service: dict[str, Any], tasks: list[Task], live: list[Task]
) -> list[dict[str, Any]]:
    by_definition = {d["taskDefinition"]: d for d in reversed(service.get("deployments", []))}
    primary = next((d for d in by_definition.values() if d["status"] == "PRIMARY"), None)
    if primary is None:
        return []
    others = {task["taskDefinitionArn"] for task in live} - {primary["taskDefinition"]}
    before = [
        {
            **by_definition.get(definition, {"id": f"ecs-svc/{definition.rpartition(':')[2]}"}),
            "status": "ACTIVE",
            "taskDefinition": definition,
            **_counts([task for task in live if task["taskDefinitionArn"] == definition]),
        }
        for definition in sorted(others)
    ]
    own = [task for task in tasks if task["taskDefinitionArn"] == primary["taskDefinition"]]
    counts = _counts([task for task in own if task in live])
    failed = len([task for task in own if _failed_by_itself(task)])
    rollout = _rollout(service, failed, counts["runningCount"], bool(before))
    return [{**primary, **counts, "failedTasks": failed, **rollout}, *before]


def _failed_by_itself(task: Task) -> bool:
    unhealthy = task.get("stoppedReason", "").startswith(UNHEALTHY)
    return task["lastStatus"] == "STOPPED" and (
        task.get("stopCode") in FAILED_BY_ITSELF or unhealthy
    )


def _rollout(
    service: dict[str, Any], failed: int, running: int, has_before: bool
) -> dict[str, str]:
    breaker = service.get("deploymentConfiguration", {}).get("deploymentCircuitBreaker", {})
    configured = breaker.get("thresholdConfiguration", {}).get("value", DEFAULT_THRESHOLD)
    if breaker.get("enable") and failed >= configured:
        return {"rolloutState": "FAILED", "rolloutStateReason": BREAKER}
    if running == service["desiredCount"] and not has_before:
        return {"rolloutState": "COMPLETED", "rolloutStateReason": "ECS deployment completed."}
    return {"rolloutState": "IN_PROGRESS", "rolloutStateReason": "ECS deployment in progress."}


def _events(service: dict[str, Any], tasks: list[Task]) -> list[dict[str, Any]]:
    """Newest first, as AWS lists them."""
    name, events = service["serviceName"], []
    for task in tasks:
        task_id = task["taskArn"].rsplit("/", 1)[-1]
        events.append((task["createdAt"], f"has started 1 tasks: (task {task_id})."))
        if task["lastStatus"] == "STOPPED" and _failed_by_itself(task):
            for words in _end_of(task, task_id):
                events.append((task["stoppedAt"], words))
    primary: dict[str, Any] = next(iter(service["deployments"]), {})
    newest = max((moment for moment, _ in events), default=None)
    if newest and primary.get("rolloutState") == "FAILED":
        words = f"(deployment {primary['id']}) deployment failed: tasks failed to start."
        events.append((newest, words))
    if newest and primary.get("rolloutState") == "COMPLETED":
        events.append((newest, "has reached a steady state."))
    ordered = sorted(enumerate(events), key=lambda item: (item[1][0], item[0]), reverse=True)
    return [
        {"id": f"{number}", "createdAt": moment, "message": f"(service {name}) {words}"}
        for number, (moment, words) in ordered
    ]


def _end_of(task: Task, task_id: str) -> list[str]:
    if not task.get("stoppedReason", "").startswith(UNHEALTHY):
        return [f"has stopped 1 running tasks: (task {task_id})."]
    group = task["stoppedReason"].partition("(")[2].rstrip(")")
    return [
        f"(task {task_id}) failed ELB health checks in ({group}).",
        f"has stopped 1 running tasks: (task {task_id}).",
    ]
