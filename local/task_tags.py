"""What the agent knows of a task and ECS's API has no call to tell it: kept in the task's tags."""

import contextlib
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

# As chalicelib/domain/naming.py has it; the agent knows nothing else of the application.
TAG_ADDRESS = "slipway:address"
# RUNNING from the process's start, STOPPING when it is asked to end, STOPPED when it is gone.
TAG_STATE = "local:state"
# What its latest health check met: a status such as "404", "refused" or "timeout".
TAG_HEALTH_CHECK = "local:health-check"
TAG_EXIT_CODE = "local:exit-code"


class TaskTags:
    """The tags of one task."""

    def __init__(self, ecs: Any, arn: str) -> None:
        self._ecs, self._arn = ecs, arn

    def tell(self, **values: str) -> None:
        """Set tags; a task that ECS has forgotten meanwhile needs none.

        Args:
            values: by the names of the constants above, without TAG_ and in small letters.
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
