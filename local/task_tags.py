"""Keeps in a task's tags what the agent knows and the ECS API cannot set."""

import contextlib
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

# The same value as in chalicelib/domain/naming.py; the agent shares nothing else with Slipway.
TAG_ADDRESS = "slipway:address"
# RUNNING from the start of the process, STOPPING after SIGTERM, STOPPED after its exit.
TAG_STATE = "local:state"
# The result of the latest health check: a status such as "404", "refused" or "timeout".
TAG_HEALTH_CHECK = "local:health-check"
TAG_EXIT_CODE = "local:exit-code"


class TaskTags:
    """The tags of one task."""

    def __init__(self, ecs: Any, arn: str) -> None:
        self._ecs, self._arn = ecs, arn

    def set(self, **values: str) -> None:
        """Set tags; if ECS has already removed the task, do nothing.

        Args:
            values: the values by the constants above, without TAG_ and in lower case.
        """
        names = {
            "address": TAG_ADDRESS,
            "state": TAG_STATE,
            "health_check": TAG_HEALTH_CHECK,
            "exit_code": TAG_EXIT_CODE,
        }
        tags = [{"key": names[name], "value": value} for name, value in values.items()]
        with contextlib.suppress(ClientError, BotoCoreError):
            self._ecs.tag_resource(resourceArn=self._arn, tags=tags)
