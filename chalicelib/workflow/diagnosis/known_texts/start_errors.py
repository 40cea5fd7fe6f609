"""Texts of `CannotStartContainerError` and `CannotCreateContainerError`.

The container runtime could not start the program. ECS adds its own error names in front, such as
`CannotStartContainerError: ResourceInitializationError: ...`. AWS documents no list:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/cannot-start-container.html
The texts are those of runc and containerd.
"""

from __future__ import annotations

from chalicelib.domain.errors import FailureCode
from chalicelib.workflow.diagnosis.known_texts.known_text import DOCS, KnownText
from chalicelib.workflow.diagnosis.known_texts.pull_errors import CONTAINERD, NO_SPACE

START = DOCS + "cannot-start-container.html"
RUNC = "https://github.com/opencontainers/runc/blob/main/libcontainer/"
_CREATE = (
    "CannotStartContainerError: ResourceInitializationError: failed to create new container "
    "runtime task: failed to create shim task: OCI runtime create failed: runc create failed: "
    "unable to start container process: "
)
_EXEC = r"exec:? (<quoted>|\S+):( stat (<quoted>|\S+):)?"
_RUN_IT = "run the image with the same `command` on your own machine to reproduce it."

EXEC_FORMAT = KnownText(
    pattern=r"exec format error",
    code=FailureCode.ARCHITECTURE_MISMATCH,
    message="The image is not built for {architecture}, the deployment's CPU architecture.",
    hint="{build_for}",
    source="https://www.repost.aws/knowledge-center/ecs-task-exec-format-error",
    examples=(
        _CREATE + 'exec: "{program}": exec format error: unknown',
        "CannotStartContainerError: standard_init_linux.go:228: exec user process caused: exec "
        "format error",
    ),
    final=True,
)
# Of an image whose platform was verified.
NOT_EXECUTABLE_FORMAT = (
    "The container cannot start: the program{program} has no #! line, or is damaged (exec format "
    "error).",
    "Start the script with a line such as #!/bin/sh, or name its interpreter in `command`. The "
    "image itself is built for {architecture}.",
)
NOT_EXECUTABLE = KnownText(
    pattern=_EXEC
    + r" (permission denied|is a directory)|exec user process caused: permission denied",
    code=FailureCode.CONTAINER_CANNOT_START,
    message="The container cannot start: the program{program} is not executable.",
    hint="Run `chmod +x` on the file when you build the image, or name its interpreter in "
    "`command`.",
    source=RUNC + "init_linux.go",
    examples=(
        _CREATE + 'exec: "{program}": permission denied: unknown',
        _CREATE + 'exec: "{program}": is a directory: unknown',
        "CannotStartContainerError: Error response from daemon: OCI runtime create failed: "
        'container_linux.go:348: starting container process caused "exec: \\"{program}\\": '
        'permission denied": unknown',
    ),
    final=True,
)
NO_PROGRAM = KnownText(
    pattern=r"executable file not found in \$path|exec user process caused: no such file or "
    r"directory|" + _EXEC + r" (no such file or directory|not a directory)",
    code=FailureCode.CONTAINER_CANNOT_START,
    message="The container cannot start: the image has no program{program}.",
    hint="Set `command` to a program of the image, or fix its ENTRYPOINT. If the file "
    "exists, its "
    "#! line names an interpreter that does not, or ends with a carriage return.",
    source=RUNC + "standard_init_linux.go",
    examples=(
        _CREATE + 'exec: "{program}": executable file not found in $PATH: unknown',
        _CREATE + 'exec: "{program}": stat {program}: no such file or directory: unknown',
        "CannotStartContainerError: Error response from daemon: OCI runtime create failed: "
        'container_linux.go:349: starting container process caused "exec: \\"{program}\\": '
        'stat {program}: no such file or directory": unknown',
        "CannotStartContainerError: standard_init_linux.go:228: exec user process caused: no "
        "such file or directory",
    ),
    final=True,
)
TEXTS = (
    KnownText(
        pattern=r"chdir to cwd \(",
        code=FailureCode.CONTAINER_CANNOT_START,
        message="The container cannot start: its working directory does not exist or cannot be "
        "used.",
        hint="Create the WORKDIR of the image, and allow the image's USER to enter it.",
        source=RUNC + "init_linux.go",
        examples=(
            _CREATE + 'error during container init: chdir to cwd ("{program}") set in config.json '
            "failed: permission denied: unknown",
            "CannotStartContainerError: Error response from daemon: OCI runtime create failed: "
            'container_linux.go:380: starting container process caused: chdir to cwd ("{program}") '
            "set in config.json failed: no such file or directory: unknown",
        ),
        final=True,
    ),
    NOT_EXECUTABLE,
    NO_PROGRAM,
    EXEC_FORMAT,
    KnownText(
        pattern=r"no matching entries in (passwd|group) file|unable to find (user|group) ",
        code=FailureCode.CONTAINER_CANNOT_START,
        message="The container cannot start: the image has no user or group with the name of "
        "its USER.",
        hint="Create the user when you build the image, or set USER to a number.",
        source="https://github.com/moby/sys/blob/main/user/user.go",
        examples=(
            "CannotStartContainerError: Error response from daemon: unable to find user {name}: no "
            "matching entries in passwd file",
            "CannotStartContainerError: ResourceInitializationError: failed to create container: "
            "linux spec user: unable to find group {name}: no matching entries in group file",
        ),
        final=True,
    ),
    KnownText(
        pattern=r"no command specified|args must not be empty|process args must",
        code=FailureCode.CONTAINER_CANNOT_START,
        message="The container cannot start: the image has no ENTRYPOINT and no CMD.",
        hint="Set `command`, or add a CMD to the image.",
        source=RUNC + "configs/validate/validator.go",
        examples=(
            "CannotCreateContainerError: Error response from daemon: No command specified",
            _CREATE + "process args must not be empty: unknown",
        ),
        final=True,
    ),
    KnownText(
        pattern=r"argument list too long",
        code=FailureCode.CONTAINER_CANNOT_START,
        message="The container cannot start: `command` and `environment` together are too long "
        "for Linux.",
        hint="Move long values to a file in the image.",
        source="https://man7.org/linux/man-pages/man2/execve.2.html",
        examples=(_CREATE + 'exec: "{program}": argument list too long: unknown',),
        final=True,
    ),
    KnownText(
        pattern=r"container init was oom-killed|memory limit too low",
        code=FailureCode.OUT_OF_MEMORY,
        message="The container was killed when it started because {memory} MiB of memory are "
        "too little.",
        hint="{more_memory}",
        source=RUNC + "process_linux.go",
        examples=(_CREATE + "container init was OOM-killed (memory limit too low?): unknown",),
        final=True,
    ),
    KnownText(
        pattern=r"could not transition to (running|created); timed out after waiting",
        code=FailureCode.CONTAINER_CANNOT_START,
        message="AWS could not start the container in time.",
        hint="Retry. If it fails again, " + _RUN_IT,
        source=DOCS + "container-runtime-timeout-error.html",
        examples=(
            "ContainerRuntimeTimeoutError: Could not transition to running; timed out after "
            "waiting 1m: context deadline exceeded",
            "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s",
        ),
    ),
    KnownText(
        pattern=NO_SPACE.pattern,
        code=NO_SPACE.code,
        message=NO_SPACE.message,
        hint=NO_SPACE.hint,
        source=CONTAINERD + "core/snapshots/",
        examples=(
            "CannotCreateContainerError: failed to create snapshot: write /var/lib/containerd/x: "
            "no space left on device",
        ),
        final=True,
    ),
)
