"""Sends the events of stopped ECS tasks to the functions that have a rule for them.

On AWS, ECS sends them to EventBridge. MiniStack does not, and like AWS it refuses `PutEvents` for
the source `aws.ecs`. So this reads the rules from EventBridge, lets it match them, and calls the
targets.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html
"""

import json
import logging
import threading
import uuid
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.emulator import ACCOUNT_ID, REGION, Endpoint, client

LOOK_SECONDS = 1.0
STOP_SECONDS = 3.0
log = logging.getLogger("agent")


class TaskEvents:
    """Runs in a thread of the supervisor until `stop`."""

    def __init__(self, aws: Endpoint) -> None:
        """Args: aws: the gateway, which shows tasks as ECS does."""
        self._ecs, self._events, self._lambda = (
            client(name, aws) for name in ("ecs", "events", "lambda")
        )
        self._sent: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Start to watch ECS."""
        self._thread.start()

    def stop(self) -> None:
        """Stop to watch ECS."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self.look()
            except (ClientError, BotoCoreError) as error:
                log.warning("reading stopped tasks failed: %s", error)
            except Exception:
                log.exception("watching stopped tasks failed")

    def look(self) -> None:
        """Send an event for each task that has stopped since the last look."""
        for cluster in self._ecs.list_clusters()["clusterArns"]:
            for task in self._stopped_in(cluster):
                self._send(event_of(task))
                self._sent.add(task["taskArn"])

    def _stopped_in(self, cluster: str) -> list[dict[str, Any]]:
        """The tasks of a cluster that have stopped, without those that were sent."""
        pages = self._ecs.get_paginator("list_tasks").paginate(
            cluster=cluster, desiredStatus="STOPPED"
        )
        arns = [arn for page in pages for arn in page["taskArns"] if arn not in self._sent]
        if not arns:
            return []
        described = self._ecs.describe_tasks(cluster=cluster, tasks=arns[:100])["tasks"]
        return [task for task in described if task["lastStatus"] == "STOPPED"]

    def _send(self, event: dict[str, Any]) -> None:
        """Call the targets of the rules that match the event, as EventBridge does."""
        for rule in self._events.list_rules()["Rules"]:
            pattern = rule.get("EventPattern")
            if not pattern or rule["State"] != "ENABLED":
                continue
            matched = self._events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))
            if not matched["Result"]:
                continue
            for target in self._events.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                self._lambda.invoke(
                    FunctionName=target["Arn"], InvocationType="Event", Payload=json.dumps(event)
                )


def event_of(task: dict[str, Any]) -> dict[str, Any]:
    """The event of a task that has stopped, as EventBridge delivers it. It has no tags."""
    detail = {name: value for name, value in task.items() if name != "tags"}
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": ACCOUNT_ID,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [task["taskArn"]],
        "detail": json.loads(json.dumps(detail, default=lambda moment: moment.isoformat())),
    }
