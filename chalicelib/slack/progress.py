"""How far an operation is, for a message: its bar, and its steps in a few lines.

An operation lists up to 32 steps (16 forward and 16 back). They are grouped by what they are about:
a group that is through, or has not begun, is one mark; of the others each step has its own.
"""

from __future__ import annotations

from typing import Any

from chalicelib.domain.operation import DELETING, ROLLBACK_PREFIX
from chalicelib.slack.mrkdwn import MOST_TEXT, line

MARKS = {
    "succeeded": "✓",
    "running": "▸",
    "pending": "·",
    "failed": "✗",
    "skipped": "–",  # noqa: RUF001
}
BAR = 20
MOST_MESSAGE = 120  # characters of what a running step waits for
GROUPS: dict[str, tuple[str, ...]] = {
    "Image and checks": ("resolve_image", "preflight"),
    "Load balancer": (
        "create_security_groups",
        "create_load_balancer",
        "create_target_group",
        "create_listener",
    ),
    "Service": (
        "create_cluster",
        "create_log_group",
        "register_task_definition",
        "create_service",
    ),
    "First answer": ("await_ready", "route_traffic", "smoke_test"),
    "Finish": ("apply_scaling", "create_dns_record", "finish"),
    "Remove service": ("delete_scaling", "delete_service", "drain_tasks"),
    "Remove address": ("delete_dns_record", "delete_load_balancer", "delete_target_group"),
    "Remove the rest": (
        "delete_security_groups",
        "delete_task_definitions",
        "delete_cluster",
        "delete_log_group",
    ),
    "Proof": ("verify_teardown", "finish_teardown"),
}
# Those that a newer version of Slipway has, and this one has not heard of.
OTHERS = "Others"
_GROUP_OF = {step: group for group, steps in GROUPS.items() for step in steps}


def bar(percent: int) -> str:
    """`████████░░░░░░░░░░░░`, as code so that its cells are of one width."""
    full = max(0, min(100, percent)) * BAR // 100
    return f"`{'█' * full}{'░' * (BAR - full)}`"


def steps(listed: list[dict[str, Any]]) -> str:
    """The steps of an operation as mrkdwn, a line a group, in the order in which they come.

    Longer than a text may be only with many steps of long messages at once: those are cut first.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for step in listed:
        name = step["name"].removeprefix(ROLLBACK_PREFIX)
        way = "Back: " if step["name"].startswith(ROLLBACK_PREFIX) else ""
        groups.setdefault(f"{way}{_GROUP_OF.get(name, OTHERS)}", []).append(step)
    for most in (MOST_MESSAGE, MOST_MESSAGE // 4, 0):
        text = "\n".join(_group(title, members, most) for title, members in groups.items())
        if len(text) <= MOST_TEXT:
            break
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 200].rpartition('  ')[0]} …"


def title(step_name: str) -> str:
    """A step's name as people read it: `load balancer` of `create_load_balancer`."""
    name = step_name.removeprefix(ROLLBACK_PREFIX)
    for prefix in ("create_", "register_", *DELETING):
        name = name.removeprefix(prefix)
    return line(name.replace("_", " "), 60)


def _group(name: str, members: list[dict[str, Any]], most: int) -> str:
    found = {step["status"] for step in members}
    if found <= {"succeeded", "skipped"}:
        status = "succeeded" if "succeeded" in found else "skipped"
    elif found == {"pending"}:
        status = "pending"
    else:
        status = "failed" if "failed" in found else "running"
        return f"{MARKS[status]} *{name}*  {'  '.join(_step(step, most) for step in members)}"
    return f"{MARKS[status]} *{name}*" if status == "succeeded" else f"{MARKS[status]} {name}"


def _step(step: dict[str, Any], most: int) -> str:
    shown = f"{MARKS[step['status']]} {title(step['name'])}"
    # Of a step that failed the message stands in the failure; one that ended well needs none.
    if step["status"] == "running" and step["message"] and most:
        return f"{shown} _({line(step['message'].replace('_', ' '), most)})_"
    return shown
