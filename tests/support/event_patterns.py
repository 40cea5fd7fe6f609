"""EventBridge patterns: the parts that the template's rules use."""

from __future__ import annotations

from typing import Any


def matches(pattern: Any, event: Any) -> bool:
    """Whether an event matches a pattern of names, lists of values, and `prefix`.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
    """
    if isinstance(pattern, dict):
        return all(name in event and matches(part, event[name]) for name, part in pattern.items())
    return any(_accepts(value, event) for value in pattern)


def _accepts(value: Any, found: Any) -> bool:
    if isinstance(value, dict):
        assert set(value) == {"prefix"}, value
        return isinstance(found, str) and found.startswith(value["prefix"])
    return bool(value == found)
