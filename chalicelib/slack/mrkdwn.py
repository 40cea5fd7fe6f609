"""Text from outside as Slack's mrkdwn: it can neither mention, link, nor leave its block.

https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from datetime import datetime

ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# The maximum for a text object in a section. https://docs.slack.dev/reference/block-kit/blocks
MOST_TEXT = 3000
# A fence ends a code block. With zero-width spaces in it, it does not.
FENCE, BROKEN_FENCE = "```", "`\u200b`\u200b`"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def escaped(text: str, most: int = MOST_TEXT) -> str:
    """`text` with Slack's three control characters as entities, cut to `most` characters.

    A cut never splits an entity.
    """
    clean = _CONTROL.sub("", text).replace(FENCE, BROKEN_FENCE)
    whole = "".join(ENTITIES.get(char, char) for char in clean)
    if len(whole) <= most:
        return whole
    kept, length = [], 1
    for char in clean:
        entity = ENTITIES.get(char, char)
        length += len(entity)
        if length > most:
            break
        kept.append(entity)
    return "".join(kept) + "…"


def line(text: str, most: int = MOST_TEXT) -> str:
    """`text` on one line."""
    return escaped(" ".join(text.split()), most)


def code(text: str, most: int = 500) -> str:
    """`text` as inline code, never empty."""
    return f"`{line(text.replace('`', chr(39)), most - 2) or ' '}`"


def code_block(text: str, most: int = MOST_TEXT) -> str:
    """`text` as a code block, cut at the end if it is too long."""
    inside = escaped(text, most - 2 * len(FENCE) - 2)
    return f"{FENCE}\n{inside}\n{FENCE}"


def newest_lines(lines: list[str], most: int = MOST_TEXT) -> str:
    """The last of `lines` that fit into a code block, at least one."""
    room, kept = most - 2 * len(FENCE) - 2, list[str]()
    for each in reversed(lines):
        room -= len(escaped(each, 10**6)) + 1
        if room < 0 and kept:
            break
        kept.append(each)
    return code_block("\n".join(reversed(kept)), most)


def pieces(text: str, most: int = MOST_TEXT) -> list[str]:
    """`text`, escaped, in pieces of whole lines of at most `most` characters.

    A longer line is cut. A blank text has no pieces.
    """
    result = [""]
    for each in text.splitlines():
        shown = escaped(each, most)
        if result[-1] and len(result[-1]) + 1 + len(shown) > most:
            result.append(shown)
        else:
            result[-1] = f"{result[-1]}\n{shown}" if result[-1] else shown
    return [piece for piece in result if piece.strip()]


def quoted(text: str, most: int = MOST_TEXT) -> str:
    """`text` on one line, as a quotation."""
    return f"> {line(text, most - 2)}"


def link(url: str, text: str | None = None) -> str:
    """A link, or plain text if the URL is not valid in a link."""
    if not re.fullmatch(r"https?://[^\s<>|]{1,2000}", url):
        return line(text or url, 2000)
    address = escaped(url, 10**6)
    return f"<{address}|{line(text, 200)}>" if text else f"<{address}>"


def mention(user: str) -> str:
    """A mention of a user by Slack's ID. Any other name stays text."""
    return f"<@{user}>" if re.fullmatch(r"[UW][A-Z0-9]{2,20}", user) else line(user, 100)


def moment(at: datetime) -> str:
    """A moment that Slack shows in the reader's time zone."""
    fallback = at.strftime("%Y-%m-%d %H:%M UTC")
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{fallback}>"


def duration(seconds: float) -> str:
    """`42 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
