"""The parts of a message: Block Kit's blocks by the models of Slack's SDK.

The models' validators raise `SlackObjectFormationError` where a block would go beyond Block Kit's
limits: 3,000 characters a text, and others. https://docs.slack.dev/reference/block-kit/blocks

The SDK's models are imported with this module: import it where a message is made.
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
    """A message: `text` is what a notification and a screen reader have of it."""

    text: str
    blocks: list[dict[str, Any]]


def message(text: str, blocks: Sequence[Block | None]) -> Message:
    """Raises `SlackObjectFormationError` where a block is beyond its limits."""
    made = [block.to_dict() for block in blocks if block]
    return Message(mrkdwn.escaped(text.strip(), MOST_FALLBACK) or "Done.", made[:MOST_BLOCKS])


def header(text: str) -> Block:
    # Plain text: nothing in it is read as a mention or a link, nor are its entities needed.
    return HeaderBlock(text=PlainTextObject(text=text[:MOST_HEADER], emoji=False))


def section(text: str) -> Block | None:
    """A paragraph; none where there is nothing to say, for Slack refuses an empty text."""
    if not text.strip():
        return None
    # verbatim: Slack makes links and mentions only of what is marked as such.
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
