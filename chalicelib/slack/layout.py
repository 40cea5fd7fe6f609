"""The parts of a message: Block Kit's blocks, built with the models of Slack's SDK.

The models raise `SlackObjectFormationError` for a block beyond Block Kit's limits, such as 3,000
characters per text. https://docs.slack.dev/reference/block-kit/blocks

Import this module only where a message is created, because it imports the SDK's models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)

from chalicelib.slack import mrkdwn

MOST_BLOCKS, MOST_HEADER, MOST_FALLBACK = 50, 150, 300


@dataclass(frozen=True)
class Message:
    """A message. Notifications and screen readers show its `text`."""

    text: str
    blocks: list[dict[str, Any]]


def message(text: str, blocks: Sequence[Block | None]) -> Message:
    """Raises `SlackObjectFormationError` for a block beyond its limits."""
    documents = [block.to_dict() for block in blocks if block]
    return Message(mrkdwn.escaped(text.strip(), MOST_FALLBACK) or "Done.", documents[:MOST_BLOCKS])


def header(text: str) -> Block:
    # Slack reads no mentions or links in plain text, and it needs no escaping.
    return HeaderBlock(text=PlainTextObject(text=text[:MOST_HEADER], emoji=False))


def section(text: str) -> Block | None:
    """A paragraph; None for a blank text, because Slack rejects it."""
    if not text.strip():
        return None
    # verbatim: Slack creates links and mentions only from marked text.
    return SectionBlock(text=MarkdownTextObject(text=text, verbatim=True), expand=True)


def small(text: str) -> Block:
    return ContextBlock(elements=[MarkdownTextObject(text=text, verbatim=True)])


def buttons(*buttons: ButtonElement) -> Block:
    return ActionsBlock(elements=list(buttons))


def button(text: str, action: str, value: str, style: str | None = None) -> ButtonElement:
    return ButtonElement(text=text, action_id=action, value=value, style=style)


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def time(text: str) -> datetime:
    return datetime.fromisoformat(text)
