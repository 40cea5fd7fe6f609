"""Which rows apply to the reason of a stopped task.

The first error name decides: Fargate writes `CannotStartContainerError:
ResourceInitializationError: ...` for a container that cannot start. Then the first row under that
name counts.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
"""

from __future__ import annotations

import re

from chalicelib.workflow.diagnosis.known_texts import (
    initialization_errors,
    known_text,
    pull_errors,
    service_events,
    start_errors,
)
from chalicelib.workflow.diagnosis.known_texts.known_text import KnownText

_START = (*start_errors.TEXTS, *initialization_errors.LOGS)
BY_NAME: dict[str, tuple[KnownText, ...]] = {
    "CannotPullContainerError": pull_errors.TEXTS,
    "CannotPullECRContainerError": pull_errors.TEXTS,
    "CannotPullImageManifestError": pull_errors.TEXTS,
    "ResourceInitializationError": (*initialization_errors.TEXTS, *start_errors.TEXTS),
    "CannotStartContainerError": _START,
    "CannotCreateContainerError": _START,
    "ContainerRuntimeError": _START,
    "ContainerRuntimeTimeoutError": _START,
    "DockerTimeoutError": _START,
}
_KNOWN = {name.lower(): name for name in (*BY_NAME, "OutOfMemoryError", "OutOfMemory")}
# `TaskFailedToStart:` is in front of other names. It is not a name that decides.
_NAME = re.compile(rf"\b((?i:{'|'.join(_KNOWN)})|[A-Z][A-Za-z]+(?:Error|Exception))\b")
START_ERRORS = {name for name, rows in BY_NAME.items() if rows is _START}


def first_name(reason: str) -> str:
    """The first error name in `reason`, which is in the form of `known_text.plain`; else ""."""
    found = _NAME.search(reason)
    return _KNOWN.get(found[1].lower(), found[1]) if found else ""


def find(reason: str) -> KnownText | None:
    """The row for a reason in the form of `known_text.plain`."""
    rows = BY_NAME.get(first_name(reason), ())
    return known_text.find(reason, rows or service_events.TEXTS)
