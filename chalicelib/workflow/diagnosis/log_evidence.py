"""What a sign in the log means for a deployment, in the words of a failure."""

from __future__ import annotations

from chalicelib.domain.spec.fargate import MEMORY_BY_CPU
from chalicelib.domain.spec.spec import Spec
from chalicelib.workflow.diagnosis.known_texts import listening, log_reader
from chalicelib.workflow.diagnosis.known_texts.log_reader import Seen
from chalicelib.workflow.diagnosis.known_texts.log_signs import Kind

# (what is wrong, what to do). `{name}` is what the sign names.
_WORDS = {
    Kind.SLOW_WORKER: (
        "gunicorn stopped a worker that did not respond within gunicorn's own `--timeout`",
        "Raise `--timeout` of gunicorn, for example to 300, or load the model with `--preload`. "
        "If the worker needs more memory, deploy with more `memory`.",
    ),
    Kind.HOST_REJECTED: (
        "the program rejects the Host header of the health check",
        "A health check sends the task's IP address as its Host header. Allow every host in the "
        "program (such as ALLOWED_HOSTS), or exempt `{path}` from that rule.",
    ),
    Kind.CANNOT_IMPORT: (
        "the image does not have {name}, which the program imports",
        "Add {name} to the image: to its dependencies, or with COPY if it is your own file. Then "
        "deploy again.",
    ),
    Kind.PORT_IN_USE: (
        "another program in the container already uses the port",
        "Start only one server in the container, or give each server its own port.",
    ),
    Kind.PORT_DENIED: (
        "the program is not allowed to open its port",
        "Listen on a port of 1024 or higher and set `port` to it, or run the image as root.",
    ),
}


# A program that opened its port after such a line handled the error.
_AT_START = {Kind.CANNOT_IMPORT, Kind.PORT_IN_USE, Kind.PORT_DENIED}


def certain_sign(lines: list[str], spec: Spec) -> Seen | None:
    """The last sign in the log that still holds after its last line, oldest line first."""
    seen = log_reader.last_sign(lines)
    if seen is None or seen.kind not in _AT_START:
        return seen
    opened = [n for n, line in enumerate(lines) if _opens_port(line, spec)]
    return log_reader.last_sign(lines[opened[-1] + 1 :]) if opened else seen


def _opens_port(line: str, spec: Spec) -> bool:
    return any(place.port == spec.container_port for place in listening.announced([line]))


def words(seen: Seen, spec: Spec) -> tuple[str, str]:
    """(what is wrong, what to do) for a sign other than memory and the executable's format."""
    cause, hint = _WORDS[seen.kind]
    path = spec.health_check.path
    return cause.replace("{name}", seen.name), hint.format(name=seen.name, path=path)


def more_memory(spec: Spec) -> str:
    """A hint with the next size that Fargate offers and that has at least twice the memory."""
    sizes = (
        (cpu, memory)
        for cpu, choices in MEMORY_BY_CPU.items()
        for memory in choices
        if cpu >= spec.cpu and memory >= 2 * spec.memory
    )
    cpu, memory = next(sizes, (spec.cpu, spec.memory))
    if memory == spec.memory:
        return "Make the program use less memory, because Fargate offers no larger task."
    fields = f'"memory": {memory}' if cpu == spec.cpu else f'"cpu": {cpu}, "memory": {memory}'
    return f"Deploy with more memory, for example {fields}."
