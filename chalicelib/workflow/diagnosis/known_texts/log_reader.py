"""Find the signs of `log_signs` in the lines of a log."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from chalicelib.workflow.diagnosis.known_texts.log_signs import SIGNS, Kind


@dataclass(frozen=True)
class Seen:
    """A sign in a log. `name` is its group 1, or ""."""

    kind: Kind
    name: str = ""


_PATTERNS = tuple((sign.kind, re.compile(sign.pattern)) for sign in SIGNS)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_LEVEL = r"(?:DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL)"
# What a logger writes before the text: times, [brackets], levels, and `LEVEL:name:`.
_PREFIX = re.compile(
    rf"\s*(?:\[[^\]]{{0,80}}\]|\d[\d:.,TZ/+-]{{3,40}}|{_LEVEL}:[\w.]+:|{_LEVEL}\b:?"
    r"|- [\w.]+ -|[-|])\s*"
)
_EXCEPTION = re.compile(r"[\w.]*(?:Error|Exception)\b(?:: .*)?")


def texts_of(line: str) -> list[str]:
    """The line as it is, and what remains of it without the logger's prefix or JSON."""
    line = _ANSI.sub("", line).strip()
    return [text for each in _in_json(line) for text in _without_prefix(each)]


def _without_prefix(line: str) -> list[str]:
    texts = [line]
    while found := _PREFIX.match(texts[-1]):
        texts.append(texts[-1][found.end() :])
    return texts


def _in_json(line: str) -> list[str]:
    """The texts in a line of JSON; the line itself if it is not JSON."""
    try:
        entry = json.loads(line) if line.startswith("{") else None
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        return [line]
    values = [entry.get(key) for key in ("message", "msg", "event", "exc_info", "exception")]
    return [value.strip().rpartition("\n")[2] for value in values if isinstance(value, str)]


def last_sign(lines: list[str]) -> Seen | None:
    """The last sign in a log, oldest line first; None if no line is a sign.

    An exception is a sign only if no other exception follows, because programs also log
    exceptions that they handle.
    """
    seen, is_last_exception = None, True
    for line in reversed(lines):
        found = _sign(line)
        is_exception = any(_EXCEPTION.fullmatch(text) for text in texts_of(line))
        if found and (is_last_exception or not is_exception):
            seen = found
            break
        is_last_exception = is_last_exception and not is_exception
    if seen and seen.kind is Kind.MEMORY and _timed_out(lines):
        return Seen(Kind.SLOW_WORKER)
    return seen


def _sign(line: str) -> Seen | None:
    for text in texts_of(line):
        for kind, pattern in _PATTERNS:
            if match := pattern.fullmatch(text):
                names = [name for name in match.groups() if name]
                return Seen(kind, names[0] if names else "")
    return None


def _timed_out(lines: list[str]) -> bool:
    """Whether gunicorn itself killed its last worker, because the worker was too slow.

    Gunicorn then writes `Perhaps out of memory?` too.
    """
    timeouts = {pid for line in lines for pid in re.findall(r"WORKER TIMEOUT \(pid:(\d+)\)", line)}
    killed = [pid for line in lines for pid in re.findall(r"\(pid:(\d+)\) was sent SIGKILL!", line)]
    return bool(killed) and killed[-1] in timeouts
