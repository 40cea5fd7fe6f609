"""Explain why a task stopped, for a person who has never seen ECS.

The texts of ECS are rows in `known_texts`. A text that no row recognizes is quoted.
"""

from __future__ import annotations

import re
from typing import Any

from chalicelib.domain import naming
from chalicelib.domain.errors import FailureCode
from chalicelib.domain.parts import IN_EVIDENCE
from chalicelib.domain.spec.fargate import PLATFORMS
from chalicelib.domain.spec.spec import Spec
from chalicelib.workflow.diagnosis import log_evidence
from chalicelib.workflow.diagnosis.known_texts import (
    known_text,
    start_errors,
    stopped_reasons,
)
from chalicelib.workflow.diagnosis.known_texts.known_text import KnownText
from chalicelib.workflow.diagnosis.known_texts.log_signs import Kind
from chalicelib.workflow.diagnosis.unhealthy import judge_unhealthy
from chalicelib.workflow.diagnosis.verdict import Verdict

# Stop codes of tasks that Slipway stopped, or that ECS stopped as Slipway asked.
STOPPED_ON_PURPOSE = {
    "UserInitiated",
    "ServiceSchedulerInitiated",
    "SpotInterruption",
    "TerminationNotice",
}
OUT_OF_MEMORY_EXIT = 137
MOST_QUOTED = 500
# https://www.gnu.org/software/bash/manual/html_node/Exit-Status.html, and 128 + a signal's number.
EXIT_CODES = {
    126: "a command is not executable",
    127: "a command was not found",
    132: "illegal instruction",
    134: "aborted",
    136: "arithmetic error",
    139: "segmentation fault",
    143: "ended by SIGTERM",
}
_UNHEALTHY = r"failed ELB health checks|failed container health checks"
# In AWS's texts about a denied call.
_DENIED = re.compile(
    r"(?:assumed-role|role)/(?:[^\s/]+/)*?([\w+=,.@-]+)(?:/[\w+=,.@-]+)? is not authorized to "
    r"perform: ([\w-]+:\w+)"
)
_NOT_STARTED = {
    Kind.NO_PROGRAM: start_errors.NO_PROGRAM,
    Kind.NOT_EXECUTABLE: start_errors.NOT_EXECUTABLE,
}
_PROGRAM = re.compile(r'exec: \\*"([^"\\]+)')


def stopped_by_itself(task: dict[str, Any]) -> bool:
    """Whether a task stopped for its own reason, not because its service scaled or replaced it."""
    if task.get("stopCode") in ("EssentialContainerExited", "TaskFailedToStart"):
        return True
    if re.search(r"failed .* health checks|Essential container|Error", reasons_of(task)):
        return True
    return task.get("stopCode") not in STOPPED_ON_PURPOSE


def container_of(task: dict[str, Any]) -> dict[str, Any]:
    """The task's only container as ECS describes it; empty before it exists."""
    containers = task.get("containers", [])
    return next((c for c in containers if c["name"] == naming.CONTAINER_NAME), {})


def reasons_of(task: dict[str, Any]) -> str:
    """The reasons that ECS gives for a stopped task and its container, in one text."""
    return " ".join((task.get("stoppedReason", ""), container_of(task).get("reason", ""))).strip()


def has_run(task: dict[str, Any]) -> bool:
    """Whether the task's container ran."""
    return (
        container_of(task).get("exitCode") is not None
        or task.get("stopCode") == "EssentialContainerExited"
        or "Essential container in task exited" in reasons_of(task)
        or task.get("startedAt") is not None
    )


def judge(
    task: dict[str, Any],
    lines: list[str],
    spec: Spec,
    target_health: list[dict[str, Any]],
    *,
    platform_verified: bool = False,
    once: bool = False,
) -> Verdict:
    """Why `task` stopped.

    Judged by ECS's reasons, the exit code, the last log `lines`, and the target health that the
    load balancer reported earlier.

    Args:
        platform_verified: the image is known to be built for the deployment's architecture.
        once: only this task has stopped.
    """
    said = reasons_of(task)
    if verdict := judge_reason(said, spec, platform_verified=platform_verified):
        return verdict
    if re.search(_UNHEALTHY, said, re.IGNORECASE):
        return judge_unhealthy(spec, target_health, lines)
    exit_code = container_of(task).get("exitCode")
    name = stopped_reasons.first_name(known_text.plain(said))
    if name in ("OutOfMemoryError", "OutOfMemory") or exit_code == OUT_OF_MEMORY_EXIT:
        return _out_of_memory(exit_code, spec, is_certain=bool(name))
    if name or not has_run(task):
        return unrecognized(said, name)
    return _exited(exit_code, lines, spec, platform_verified, once)


def judge_reason(said: str, spec: Spec, *, platform_verified: bool = False) -> Verdict | None:
    """What the known texts say about the reason of a stopped task or a service event."""
    row = stopped_reasons.find(known_text.plain(said))
    if row is None:
        return None
    if row is start_errors.EXEC_FORMAT and platform_verified:
        return _no_interpreter(said, spec)
    return verdict_of(row, said, spec)


def verdict_of(row: KnownText, said: str, spec: Spec) -> Verdict:
    """The verdict of a row, with the names of this deployment and of AWS's text."""
    denied, program = _DENIED.search(" ".join(said.split())), _PROGRAM.search(said)
    names = {
        "image": spec.image,
        "architecture": spec.architecture,
        "build_for": _build_for(spec),
        "memory": spec.memory,
        "more_memory": log_evidence.more_memory(spec),
        "storage": spec.storage_gib,
        "more_storage": min(2 * spec.storage_gib, 200),
        "denied": f" Role {denied[1]} is not allowed to perform {denied[2]}." if denied else "",
        "program": f" {program[1]}" if program else "",
    }
    return Verdict(row.code, row.message.format(**names), row.hint.format(**names), row.final)


def unrecognized(said: str, name: str = "") -> Verdict:
    """The verdict for a text that no row recognizes: AWS's own words.

    Some error names are certain even so: the container did not start.
    """
    quoted = " ".join(said.split())[:MOST_QUOTED].rstrip(".") or "AWS gave no reason"
    hint = "Retry. If it fails again, give the deployment ID to your platform team."
    if name in stopped_reasons.START_ERRORS:
        message = f"AWS could not start the container: {quoted}."
        return Verdict(FailureCode.CONTAINER_CANNOT_START, message, hint, unrecognized=said)
    message = f"AWS could not run the task: {quoted}. Slipway does not recognize this reason."
    return Verdict(FailureCode.AWS_REFUSED, message, hint, unrecognized=said)


def _build_for(spec: Spec) -> str:
    other = next(name for name in PLATFORMS if name != spec.architecture)
    return (
        f"Build the image with `docker buildx build --platform {PLATFORMS[spec.architecture]}`, or "
        f'deploy with "architecture": "{other}".'
    )


def _no_interpreter(said: str, spec: Spec) -> Verdict:
    program = _PROGRAM.search(said)
    message, hint = start_errors.NOT_EXECUTABLE_FORMAT
    return Verdict(
        FailureCode.CONTAINER_CANNOT_START,
        message.format(program=f" {program[1]}" if program else ""),
        hint.format(architecture=spec.architecture),
        final=True,
    )


def _out_of_memory(exit_code: int | None, spec: Spec, *, is_certain: bool) -> Verdict:
    """ECS does not always name the reason. Only SIGKILL shows then, which has other causes too."""
    code = f" (exit code {exit_code})" if exit_code is not None else ""
    likely = "" if is_certain else ", most likely"
    return Verdict(
        FailureCode.OUT_OF_MEMORY,
        f"The container was killed{code}{likely} because it used more than its {spec.memory} MiB "
        "of memory.",
        log_evidence.more_memory(spec),
    )


def _exited(
    exit_code: int | None, lines: list[str], spec: Spec, platform_verified: bool, once: bool
) -> Verdict:
    """Why a container exited by itself: a certain sign in its log, or its last line."""
    exits = "exited" if once else "keeps exiting"
    code = f" with exit code {exit_code}" if exit_code is not None else ""
    if exit_code in EXIT_CODES:
        code += f" ({EXIT_CODES[exit_code]})"
    seen = log_evidence.certain_sign(lines, spec)
    if seen and seen.kind is Kind.EXEC_FORMAT:
        if platform_verified:
            return _no_interpreter("", spec)
        return verdict_of(start_errors.EXEC_FORMAT, "", spec)
    if seen and seen.kind in _NOT_STARTED:
        return verdict_of(_NOT_STARTED[seen.kind], f'exec: "{seen.name}"', spec)
    if seen and seen.kind is Kind.MEMORY:
        return Verdict(
            FailureCode.OUT_OF_MEMORY,
            f"The container exited{code} because it used up its {spec.memory} MiB of memory.",
            log_evidence.more_memory(spec),
        )
    if seen and seen.kind not in (Kind.HOST_REJECTED, Kind.SLOW_WORKER):
        cause, hint = log_evidence.words(seen, spec)
        message = f"The container {exits}{code}: {cause}."
        return Verdict(FailureCode.CONTAINER_EXITED, message, hint, final=True)
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    message = f"The container {exits}{code}."
    hint = "Run the image on your own machine to reproduce it."
    if exit_code == 0:
        hint = "Start a server that keeps running in the foreground."
    if last:
        message += f" Last log line: {last[:200].rstrip('.')}."
        hint = f"Read the last log lines {IN_EVIDENCE}. {hint}"
    return Verdict(FailureCode.CONTAINER_EXITED, message, hint)
