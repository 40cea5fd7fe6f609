"""The progress of an operation in a message: its bar, and its steps in a few lines.

An operation lists up to 32 steps (16 forward and 16 back). The steps are shown in the groups of
`domain/plan.py`. A group that has ended or has not started is shown by one mark. In other groups
each step has a mark of its own.
"""

from __future__ import annotations

from typing import Any

from chalicelib.domain import plan
from chalicelib.domain.operation import StepStatus, split_name
from chalicelib.slack.mrkdwn import MOST_TEXT, line

MARKS = {
    StepStatus.SUCCEEDED: "✓",
    StepStatus.RUNNING: "▸",
    StepStatus.PENDING: "·",
    StepStatus.FAILED: "✗",
    StepStatus.SKIPPED: "–",  # noqa: RUF001
}
BAR = 20
MOST_MESSAGE = 120  # characters of the message of a running step
# The group of steps that only a newer version of Slipway knows.
OTHERS = "Others"
# A step's title omits these, because the group's title says what is done.
UNSAID = ("create_", "register_", "delete_", "drain_")


def bar(percent: int) -> str:
    """`████████░░░░░░░░░░░░`, as code so that all cells have the same width."""
    full = max(0, min(100, percent)) * BAR // 100
    return f"`{'█' * full}{'░' * (BAR - full)}`"


def steps(listed: list[dict[str, Any]]) -> str:
    """The steps of an operation as mrkdwn: one line for each group, in the order of the steps.

    If the text is longer than Slack allows, the messages of running steps are cut first.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for step in listed:
        name, is_rollback = split_name(step["name"])
        group = plan.STEPS[name].group if name in plan.STEPS else OTHERS
        groups.setdefault(f"Rollback: {group}" if is_rollback else group, []).append(step)
    for most in (MOST_MESSAGE, MOST_MESSAGE // 4, 0):
        text = "\n".join(_group(title, members, most) for title, members in groups.items())
        if len(text) <= MOST_TEXT:
            break
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 200].rpartition('  ')[0]} …"


def title(step_name: str) -> str:
    """A step's name for a reader: `load balancer` for `create_load_balancer`."""
    name, _ = split_name(step_name)
    for prefix in UNSAID:
        name = name.removeprefix(prefix)
    return line(name.replace("_", " "), 60)


def _group(name: str, members: list[dict[str, Any]], most: int) -> str:
    statuses = {step["status"] for step in members}
    if StepStatus.FAILED in statuses:
        status = StepStatus.FAILED
    elif statuses == {StepStatus.PENDING}:
        return f"{MARKS[StepStatus.PENDING]} {name}"
    elif statuses == {StepStatus.SKIPPED}:
        return f"{MARKS[StepStatus.SKIPPED]} {name}"
    elif statuses <= {StepStatus.SUCCEEDED, StepStatus.SKIPPED}:
        return f"{MARKS[StepStatus.SUCCEEDED]} *{name}*"
    else:
        status = StepStatus.RUNNING
    return f"{MARKS[status]} *{name}*  {'  '.join(_step(step, most) for step in members)}"


def _step(step: dict[str, Any], most: int) -> str:
    shown = f"{MARKS[step['status']]} {title(step['name'])}"
    # The message of a failed step is shown with the failure.
    if step["status"] == StepStatus.RUNNING and step["message"] and most:
        return f"{shown} _({line(step['message'].replace('_', ' '), most)})_"
    return shown
