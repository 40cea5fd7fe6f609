"""Reports to ECS what a task's process does, as the agents of ECS do."""

import contextlib
from typing import Any

from local.addresses import Address
from local.emulator import CALL_FAILED


class TaskReports:
    """The reports about one task, with ECS's call for its own agents.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_SubmitTaskStateChange.html
    """

    def __init__(self, ecs: Any, cluster: str, arn: str, container: str) -> None:
        """Args: ecs: a boto3 client of the gateway; container: the name of the container."""
        self._ecs, self._cluster, self._arn, self._container = ecs, cluster, arn, container

    def running(self, address: Address) -> None:
        """Report that the process has started."""
        binding = {"bindIP": address.target_id, "containerPort": address.port, "protocol": "tcp"}
        self._submit("RUNNING", networkBindings=[binding])

    def stopping(self, status: str) -> None:
        """Report a step of the stop: "DEACTIVATING" or "STOPPING"."""
        self._submit(status)

    def stopped(self, exit_code: int, reason: str) -> None:
        """Report the end of the process. Args: reason: the container's own reason, or ""."""
        self._submit("STOPPED", exitCode=exit_code, **({"reason": reason} if reason else {}))

    def _submit(self, status: str, **container: Any) -> None:
        # During a teardown the cluster may be deleted before its tasks.
        with contextlib.suppress(*CALL_FAILED):
            self._ecs.submit_task_state_change(
                cluster=self._cluster,
                task=self._arn,
                status=status,
                containers=[{"containerName": self._container, **container}],
            )
