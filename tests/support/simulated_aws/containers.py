"""How the tasks of an image behave.

The texts of stopped tasks:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.support.simulated_aws.targets import Met

# ECS's names of architectures, and the registry's names.
PLATFORMS = {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}
LIMIT = "You've reached the limit on the number of vCPUs you can run concurrently"
CAPACITY = (
    "Capacity is unavailable at this time. Please try again later or in a different "
    "availability zone"
)
ASM = (
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource "
    "retrieval failed: unable to retrieve secret from asm: service call has been retried 1 "
    "time(s): failed to fetch secret {arn} from secrets manager: ResourceNotFoundException: "
    "Secrets Manager can't find the specified secret."
)


@dataclass(frozen=True)
class Behaviour:
    """How one image behaves. By default it starts, serves on its assigned port, and exits cleanly.

    Attributes:
        not_placed: why the scheduler cannot place a task. There is a service event but no task.
        not_started: the stopped reason of a task that never runs; `{image}` is filled in.
        platforms: the architectures that the image was built for; None means all.
        exits_after, exit_code, container_reason: how the container ends, in seconds from RUNNING.
        logs: lines that the container writes when it starts.
        ready_after: seconds from RUNNING to the first response.
        hangs_after: seconds from RUNNING to its last response; None if it never hangs.
        listens_on: its port; None means the port in the task definition.
        status: the response status, or "timeout" for no response; `paths` overrides it by path.
        ignores_sigterm: the task is killed after the stop timeout.
    """

    not_placed: str = ""
    not_started: str = ""
    platforms: tuple[str, ...] | None = None
    exits_after: float | None = None
    exit_code: int = 0
    container_reason: str = ""
    logs: tuple[str, ...] = ()
    ready_after: float = 0.0
    hangs_after: float | None = None
    listens_on: int | None = None
    status: Met = 200
    paths: dict[str, Met] = field(default_factory=dict)
    ignores_sigterm: bool = False

    def answer(self, running_for: float, own_port: int, port: int, path: str) -> Met:
        """The result of a request to `port`, `running_for` seconds after RUNNING."""
        if port != (self.listens_on or own_port) or running_for < self.ready_after:
            return "refused"
        if self.hangs_after is not None and running_for >= self.hangs_after:
            return "timeout"
        return self.paths.get(path.partition("?")[0], self.status)


def serves() -> Behaviour:
    """The image works: it responds with 200 on every path."""
    return Behaviour()


def exits(after: float = 1.0, code: int = 1, logs: tuple[str, ...] = ()) -> Behaviour:
    """The process exits by itself."""
    return Behaviour(exits_after=after, exit_code=code, logs=logs)


def out_of_memory(after: float = 5.0) -> Behaviour:
    """The kernel kills the process.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/resolve-stopped-errors.html
    """
    reason = "OutOfMemoryError: Container killed due to memory usage"
    return Behaviour(exits_after=after, exit_code=137, container_reason=reason)


def missing_image() -> Behaviour:
    """The image was deleted from the registry before the pull.

    https://github.com/aws/containers-roadmap/issues/2687
    """
    return Behaviour(
        not_started="CannotPullContainerError: pull image manifest has been retried 1 time(s): "
        "failed to resolve ref {image}: {image}: not found"
    )


def pull_denied() -> Behaviour:
    """The execution role is not allowed to pull the image.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_cannot_pull_image.html
    """
    return Behaviour(
        not_started="CannotPullContainerError: pull image manifest has been retried 1 time(s): "
        "failed to resolve ref {image}: pull access denied, repository does not exist or may "
        "require authorization: server message: insufficient_scope: authorization failed"
    )


def built_for(*architectures: str) -> Behaviour:
    """An image for the given architectures. A pull on any other finds no manifest.

    https://github.com/aviswerdlow/relay/issues/71
    """
    return Behaviour(platforms=architectures)


def exec_format_error() -> Behaviour:
    """A single manifest of the wrong architecture: the pull succeeds, but the image cannot run.

    https://www.repost.aws/knowledge-center/ecs-task-exec-format-error
    """
    lines = ("exec /usr/local/bin/python: exec format error",)
    return Behaviour(exits_after=0.5, exit_code=1, logs=lines)


def listens_on(port: int) -> Behaviour:
    """The process ignores its assigned port and listens on `port`."""
    return Behaviour(listens_on=port)


def hangs(after: float = 0.0) -> Behaviour:
    """The process accepts connections but does not respond: Target.Timeout."""
    return Behaviour(hangs_after=after)


def answers(status: int, **paths: int) -> Behaviour:
    """Responds with `status`. `paths`, without their slash, can have another status."""
    return Behaviour(status=status, paths={f"/{path}": code for path, code in paths.items()})


def slow_start(seconds: float) -> Behaviour:
    """A model that takes `seconds` to load."""
    return Behaviour(ready_after=seconds)


def no_route_to_registry() -> Behaviour:
    """The task has no public IP address and no NAT gateway.

    https://github.com/doctorray117/minecraft-ondemand/issues/74
    """
    return Behaviour(
        not_started="ResourceInitializationError: unable to pull secrets or registry auth: "
        "execution resource retrieval failed: unable to retrieve ecr registry auth: service call "
        'has been retried 3 time(s): RequestError: send request failed caused by: Post "'
        'https://api.ecr.us-east-1.amazonaws.com/": dial tcp 52.46.146.82:443: i/o timeout. '
        "Please check your task network configuration."
    )


def program_missing() -> Behaviour:
    """`command` names a program that the image does not have. Fargate 1.4 adds a second name.

    https://github.com/opencontainers/runc/blob/main/libcontainer/init_linux.go
    """
    return Behaviour(
        not_started="CannotStartContainerError: ResourceInitializationError: failed to create new "
        "container runtime task: failed to create shim task: OCI runtime create failed: runc "
        'create failed: unable to start container process: exec: "serve": executable file not '
        "found in $PATH: unknown"
    )


def damaged_image() -> Behaviour:
    """The image's config does not match its layers.

    https://github.com/containerd/containerd/blob/main/client/image.go
    """
    return Behaviour(
        not_started="CannotPullContainerError: ref pull has been retried 1 time(s): failed to "
        "unpack image on snapshotter overlayfs: mismatched image rootfs and manifest layers"
    )


def logs_denied() -> Behaviour:
    """The execution role is not allowed to create log streams.

    https://repost.aws/knowledge-center/ecs-resource-initialization-error
    """
    return Behaviour(
        not_started="ResourceInitializationError: failed to validate logger args: create stream "
        "has been retried 1 times: failed to create Cloudwatch log stream: AccessDeniedException: "
        "User: arn:aws:sts::123456789012:assumed-role/slipway-execution/0a1b is not authorized to "
        "perform: logs:CreateLogStream on resource: arn:aws:logs:us-east-1:123456789012:log-group:x"
    )


def log_group_missing() -> Behaviour:
    """Someone deleted the log group after Slipway created it.

    https://repost.aws/knowledge-center/ecs-resource-initialization-error
    """
    return Behaviour(
        not_started="ResourceInitializationError: failed to validate logger args: create stream "
        "has been retried 1 times: failed to create Cloudwatch log stream: "
        "ResourceNotFoundException: The specified log group does not exist."
    )


def task_limit() -> Behaviour:
    """A new account may run few tasks, so there is no task.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
    """
    limit = "You've reached the limit on the number of tasks you can run concurrently"
    return Behaviour(not_placed=limit)


def no_capacity() -> Behaviour:
    """Fargate has no capacity in the zone, so there is no task.

    https://repost.aws/knowledge-center/ecs-fargate-runtask-capacity
    """
    return Behaviour(not_placed=CAPACITY)


def vcpu_limit() -> Behaviour:
    """The account's vCPU quota is used up, so there is no task.

    https://www.flightcontrol.dev/docs/troubleshooting/concurrent-cpu-limit
    """
    return Behaviour(not_placed=LIMIT)


class Containers:
    """The behaviour of the tasks of a task definition.

    Attributes:
        everywhere: a change to every behaviour, for causes outside the image.
        missing_secrets: ARNs that task definitions use but that do not exist.
        vcpus: how many vCPUs may run at once; None means no limit.
    """

    def __init__(self) -> None:
        self._behaviours: dict[str, Behaviour] = {}
        self.everywhere: Callable[[Behaviour], Behaviour] = lambda behaviour: behaviour
        self.missing_secrets: set[str] = set()
        self.vcpus: float | None = None

    def set(self, image: str, behaviour: Behaviour) -> None:
        """Set the behaviour of tasks of `image` that start from now on.

        `image` is a digest, or a reference as in the task definition.
        """
        self._behaviours[image] = behaviour

    def of(self, definition: dict[str, Any]) -> Behaviour:
        """The behaviour of a task that starts now from `definition` (as ECS describes it)."""
        container = definition["containerDefinitions"][0]
        image = container["image"]
        known = self._behaviours
        behaviour = known.get(image) or known.get(image.rpartition("@")[2]) or serves()
        behaviour = self.everywhere(behaviour)
        gone = [
            secret["valueFrom"]
            for secret in container.get("secrets", [])
            if secret["valueFrom"] in self.missing_secrets
        ]
        if gone:
            # https://github.com/aws-samples/dataops-platform-airflow-dbt/issues/12
            return replace(behaviour, not_started=ASM.format(arn=gone[0]))
        architecture = (definition.get("runtimePlatform") or {}).get("cpuArchitecture", "X86_64")
        if behaviour.platforms is not None and architecture not in behaviour.platforms:
            return replace(
                behaviour,
                not_started="CannotPullContainerError: pull image manifest has been retried 7 "
                "time(s): image Manifest does not contain descriptor matching platform "
                f"'{PLATFORMS[architecture]}'",
            )
        return replace(behaviour, not_started=behaviour.not_started.replace("{image}", image))
