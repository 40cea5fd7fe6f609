"""Sends EventBridge's events about stopped tasks to the functions that rules name.

On AWS, ECS publishes them. MiniStack does not, and lets nobody else publish events of `aws.ecs`. So
this module asks MiniStack which rules match, and invokes their Lambda functions.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html
"""

from __future__ import annotations

import json
import logging
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from local.emulator import ACCOUNT_ID, REGION
from local.gateway.direct import Direct
from local.gateway.ecs.tasks import Task
from local.gateway.relay import Forward
from local.gateway.wire import AwsError

ENABLED = "ENABLED"
TIMES = ("createdAt", "startedAt", "stoppingAt", "stoppedAt", "executionStoppedAt")
log = logging.getLogger("gateway")


def event_of(task: Task) -> dict[str, Any]:
    """Return the event about the state of a task, which is described as the API does it."""
    detail = dict(task)
    for name in TIMES:
        if isinstance(detail.get(name), (int, float)):
            detail[name] = _text(detail[name])
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": ACCOUNT_ID,
        "time": _text(datetime.now(UTC).timestamp()),
        "region": REGION,
        "resources": [task["taskArn"]],
        "detail": detail,
    }


def _text(moment: float) -> str:
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


class Events:
    """Delivers events to Lambda functions."""

    def __init__(self, direct: Direct) -> None:
        self._direct = direct

    async def announce(self, task: Task, forward: Forward) -> None:
        """Invoke the functions of every enabled rule that matches the event about a task."""
        event = event_of(task)
        try:
            for rule in (await self._ask("ListRules", {}, forward)).get("Rules", ()):
                if rule.get("State") == ENABLED and await self._matches(rule, event, forward):
                    await self._send(rule, event, forward)
        except AwsError as error:
            log.warning("The event about %s was not delivered: %s", task["taskArn"], error)

    async def _matches(self, rule: dict[str, Any], event: Any, forward: Forward) -> bool:
        if "EventPattern" not in rule:
            return False
        params = {"EventPattern": rule["EventPattern"], "Event": json.dumps(event)}
        return bool((await self._ask("TestEventPattern", params, forward))["Result"])

    async def _send(self, rule: dict[str, Any], event: Any, forward: Forward) -> None:
        targets = await self._ask("ListTargetsByRule", {"Rule": rule["Name"]}, forward)
        for target in targets["Targets"]:
            path = f"/2015-03-31/functions/{quote(target['Arn'], safe='')}/invocations"
            headers = {"X-Amz-Invocation-Type": "Event"}
            answered = await self._direct.post(forward, "lambda", path, headers, event)
            if answered.failed:
                log.warning("%s was not invoked: %s", target["Arn"], answered.body)

    async def _ask(self, operation: str, params: Any, forward: Forward) -> dict[str, Any]:
        return await self._direct.ask(forward, "events", f"AWSEvents.{operation}", params)
