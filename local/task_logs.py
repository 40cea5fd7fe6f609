"""Writes the logs of tasks to CloudWatch Logs in batches, as the awslogs driver does."""

import contextlib
import logging
import threading
import time
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

FLUSH_SECONDS = 0.2
log = logging.getLogger("agent")


class TaskLog:
    """The log stream of one task. It sends lines a few times a second, and at `flush`."""

    def __init__(self, logs: Any, container: dict[str, Any], task_id: str) -> None:
        """Open the stream that `logConfiguration` names; if there is none, drop all lines.

        Args:
            logs: a boto3 CloudWatch Logs client.
            container: a container definition.
            task_id: the last part of the task's ARN.
        """
        configuration = container.get("logConfiguration") or {}
        options = configuration.get("options") or {}
        self._logs = logs
        self._group = options.get("awslogs-group", "")
        self._stream = f"{options.get('awslogs-stream-prefix')}/{container['name']}/{task_id}"
        self._events: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._due = 0.0
        self._open = configuration.get("logDriver") == "awslogs" and self._create()

    def _create(self) -> bool:
        try:
            self._logs.create_log_stream(logGroupName=self._group, logStreamName=self._stream)
        except (ClientError, BotoCoreError) as error:
            log.warning(
                "cannot create the log stream %s in %s: %s", self._stream, self._group, error
            )
            return False
        return True

    def write(self, line: str) -> None:
        """Add one line to the next batch."""
        if self._open:
            event = {"timestamp": int(time.time() * 1000), "message": line or " "}
            with self._lock:
                self._events.append(event)

    def flush_when_due(self) -> None:
        """Send the waiting lines if `FLUSH_SECONDS` have passed since the last batch."""
        if self._events and time.monotonic() >= self._due:
            self.flush()
            self._due = time.monotonic() + FLUSH_SECONDS

    def flush(self) -> None:
        """Send the waiting lines."""
        with self._lock:
            events, self._events = self._events, []
        if events:
            # A teardown may delete the log group before the last lines arrive.
            with contextlib.suppress(ClientError, BotoCoreError):
                self._logs.put_log_events(
                    logGroupName=self._group, logStreamName=self._stream, logEvents=events
                )
