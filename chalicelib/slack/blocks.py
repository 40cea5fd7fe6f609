"""The messages to Slack as Block Kit: about an operation, and replies to commands.

Import this module only where a message is created, because it imports the models of Slack's SDK.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slack_sdk.models.blocks import Block

from chalicelib.domain.health import UNHEALTHY
from chalicelib.slack import layout, mrkdwn, progress
from chalicelib.slack.incident_message import health, incident
from chalicelib.slack.layout import Message
from chalicelib.slack.operation_message import (
    RETRY,
    content,
    context,
    failure,
    leftovers,
    next_steps,
    operation,
    price,
    progress_bar,
    title,
)

if TYPE_CHECKING:
    from chalicelib.chat.commands import Reply

# `action_id` of the buttons. Their value is the deployment's ID.
DELETE, CANCEL = "delete", "cancel"
# Deployments in a list, and in one block of it.
LISTED, LISTED_A_BLOCK = 100, 5
STATUS_MARKS = {
    "ACTIVE": "✓",
    "PAUSED": "‖",
    "FAILED": "✗",
    "DELETE_FAILED": "✗",
    "DELETED": "–",  # noqa: RUF001
}


def expiring(deployment: dict[str, Any]) -> Message:
    """The notice an hour before a deployment expires: when it expires, and how to keep it."""
    name = deployment["name"]
    at = mrkdwn.moment(layout.time(deployment["expires_at"]))
    url = f"\n{mrkdwn.link(deployment['url'])}" if deployment["url"] else ""
    return layout.message(
        f"{name} expires soon",
        [
            layout.header(f"{name} expires soon"),
            layout.section(f"Slipway deletes this deployment when it expires: {at}.{url}"),
            layout.section(f"To keep it longer: {mrkdwn.code(f'/slipway extend {name} 8h')}"),
            context(deployment),
        ],
    )


def confirm_delete(deployment: dict[str, Any]) -> Message:
    """The question whether to delete: the consequences, and the buttons `delete` and `cancel`."""
    name, cost = deployment["name"], deployment["cost"]
    url = f"{mrkdwn.link(deployment['url'])} will stop working. " if deployment["url"] else ""
    rate = f"${cost['usd_per_hour']:.4f} per hour, " if cost["usd_per_hour"] else ""
    usd = f"Cost: {rate}${cost['accrued_usd']:.2f} so far."
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
    """The reply to a command that started no operation, or that was refused."""
    if reply.refused:
        return _text(reply.text)
    if reply.lines:
        lines = [f"{each['at'][11:19]} {each['message']}" for each in reply.lines]
        heading = f"Logs of {reply.deployment['name']}" if reply.deployment else "Logs"
        newest = layout.section(mrkdwn.newest_lines(lines))
        return layout.message(heading, [layout.section(f"*{mrkdwn.line(heading, 80)}*"), newest])
    if reply.deployments:
        return _list(reply.deployments)
    if reply.verb == "status" and reply.deployment:
        return _status(reply.deployment)
    return _text(reply.text)


def _text(text: str) -> Message:
    pieces = mrkdwn.pieces(text.strip()) or ["Done."]
    return layout.message(text, [layout.section(each) for each in pieces])


def _list(deployments: Sequence[dict[str, Any]]) -> Message:
    lines = [_line(each) for each in deployments[:LISTED]]
    sections: list[Block | None] = [
        layout.section("\n".join(lines[n : n + LISTED_A_BLOCK]))
        for n in range(0, len(lines), LISTED_A_BLOCK)
    ]
    others = len(deployments) - LISTED
    more = layout.small(f"… and {others} more") if others > 0 else None
    return layout.message(layout.count(len(deployments), "deployment"), [*sections, more])


def _status(deployment: dict[str, Any]) -> Message:
    current = deployment["operation"]
    running: list[Block | None] = []
    if current["status"] == "running":
        running = [
            layout.section(f"{progress_bar(deployment)}  {mrkdwn.line(title(deployment))}"),
            layout.section(progress.steps(current["steps"])),
        ]
    text = f"{deployment['name']} is {deployment['status']}"
    parts = [
        layout.section(_line(deployment)),
        *health(deployment),
        *running,
        *failure(deployment),
        leftovers(deployment),
        next_steps(deployment),
    ]
    return layout.message(text, [*parts, context(deployment)])


def _line(deployment: dict[str, Any]) -> str:
    health_status = (deployment["health"] or {}).get("status", "")
    is_bad = health_status in UNHEALTHY
    mark = "✗" if is_bad else STATUS_MARKS.get(deployment["status"], "▸")
    url = mrkdwn.link(deployment["url"]) if deployment["url"] else ""
    parts = [
        f"{mark} *{mrkdwn.line(deployment['name'], 60)}*",
        mrkdwn.code(deployment["status"]),
        mrkdwn.code(health_status) if is_bad else "",
        url if len(url) < 350 else "",
        price(deployment),
    ]
    return "  ".join(part for part in parts if part)


__all__ = [
    "CANCEL",
    "DELETE",
    "RETRY",
    "Message",
    "confirm_delete",
    "content",
    "expiring",
    "incident",
    "operation",
    "reply",
]
