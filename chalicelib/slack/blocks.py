"""The messages to Slack, as Block Kit: of an operation, and the answers to commands.

Import it where a message is made: the models of Slack's SDK come with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slack_sdk.models.blocks import Block

from chalicelib.slack import layout, mrkdwn, progress
from chalicelib.slack.layout import Message
from chalicelib.slack.operation_message import (
    RETRY,
    content,
    context,
    counted,
    failure,
    leftovers,
    operation,
    price,
    title,
    way_on,
)

if TYPE_CHECKING:
    from chalicelib.chat.commands import Reply

# Buttons: their action_id; the value is the deployment's id.
DELETE, CANCEL = "delete", "cancel"
LISTED, LISTED_A_BLOCK = 100, 5
STATUS_MARKS = {
    "ACTIVE": "✓",
    "PAUSED": "‖",
    "FAILED": "✗",
    "DELETE_FAILED": "✗",
    "DELETED": "–",  # noqa: RUF001
}


def expiring(deployment: dict[str, Any]) -> Message:
    """An hour before a deployment is torn down by itself: until when, and how to keep it."""
    name = deployment["name"]
    at = mrkdwn.moment(layout.time(deployment["expires_at"]))
    url = f" {mrkdwn.link(deployment['url'])}" if deployment["url"] else ""
    return layout.message(
        f"{name} expires soon",
        [
            layout.header(f"{name} expires soon"),
            layout.section(f"It is torn down by itself {at}.{url}"),
            layout.section(f"To keep it for longer: {mrkdwn.code(f'/slipway extend {name} 8h')}"),
            context(deployment),
        ],
    )


def confirm_delete(deployment: dict[str, Any]) -> Message:
    """Asks whether to delete: what goes with it, and the buttons `delete` and `cancel`."""
    name, cost = deployment["name"], deployment["cost"]
    url = f"{mrkdwn.link(deployment['url'])} answers no more then. " if deployment["url"] else ""
    so_far = f"${cost['accrued_usd']:.2f} so far."
    rate = cost["usd_per_hour"]
    usd = f"It costs ${rate:.4f} an hour, {so_far}" if rate else f"It has cost {so_far}"
    return layout.message(
        f"Delete {name}?",
        [
            layout.section(f"*Delete {mrkdwn.line(name, 60)}?* {url}{usd}"),
            layout.buttons(
                layout.button("Delete", DELETE, deployment["id"], "danger"),
                layout.button("Cancel", CANCEL, deployment["id"]),
            ),
            context(deployment),
        ],
    )


def reply(reply: Reply) -> Message:
    """The answer to a command that began no operation, or was refused."""
    if reply.refused:
        return _told(reply.text)
    if reply.lines is not None:
        lines = [f"{each['at'][11:19]} {each['message']}" for each in reply.lines]
        if not lines:
            return _told(reply.text)
        named = f"Logs of {reply.deployment['name']}" if reply.deployment else "Logs"
        shown = layout.section(mrkdwn.newest_lines(lines))
        return layout.message(named, [layout.section(f"*{mrkdwn.line(named, 80)}*"), shown])
    if reply.deployments:
        return _list(reply.deployments)
    if reply.verb == "status" and reply.deployment:
        return _status(reply.deployment)
    return _told(reply.text)


def _told(text: str) -> Message:
    pieces = mrkdwn.pieces(text.strip()) or ["Done."]
    return layout.message(text, [layout.section(each) for each in pieces])


def _list(deployments: Sequence[dict[str, Any]]) -> Message:
    lines = [_line(each) for each in deployments[:LISTED]]
    sections: list[Block | None] = [
        layout.section("\n".join(lines[n : n + LISTED_A_BLOCK]))
        for n in range(0, len(lines), LISTED_A_BLOCK)
    ]
    left = len(deployments) - LISTED
    more = layout.small(f"… and {left} more") if left > 0 else None
    return layout.message(layout.count(len(deployments), "deployment"), [*sections, more])


def _status(deployment: dict[str, Any]) -> Message:
    under_way = deployment["operation"]
    percent = under_way["percent"]
    running: list[Block | None] = []
    if under_way["status"] == "running":
        told = f"{progress.bar(percent)}  *{percent} %*{counted(deployment)}"
        running = [
            layout.section(f"{told}  {mrkdwn.line(title(deployment))}"),
            layout.section(progress.steps(under_way["steps"])),
        ]
    text = f"{deployment['name']} is {deployment['status']}"
    shown = [
        layout.section(_line(deployment)),
        *running,
        *failure(deployment),
        leftovers(deployment),
        way_on(deployment),
    ]
    return layout.message(text, [*shown, context(deployment)])


def _line(deployment: dict[str, Any]) -> str:
    mark = STATUS_MARKS.get(deployment["status"], "▸")
    url = mrkdwn.link(deployment["url"]) if deployment["url"] else ""
    told = [
        f"{mark} *{mrkdwn.line(deployment['name'], 60)}*",
        mrkdwn.code(deployment["status"]),
        url if len(url) < 350 else "",
        price(deployment),
    ]
    return "  ".join(each for each in told if each)


__all__ = [
    "CANCEL",
    "DELETE",
    "RETRY",
    "Message",
    "confirm_delete",
    "content",
    "expiring",
    "operation",
    "reply",
]
