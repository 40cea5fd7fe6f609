"""Split a typed line into words, with quotes as in a shell, and undo what chat programs change."""

from __future__ import annotations

import re
import shlex

# How Slack escapes: https://docs.slack.dev/messaging/formatting-message-text
_LINK = re.compile(r"<((?:https?|mailto|tel):[^<>|]*)(?:\|([^<>]*))?>")
_MENTION = re.compile(r"<([@#!])([^<>|]*)(?:\|([^<>]*))?>")
# Phones and Slack replace quotes with typographic ones. The last two characters are invisible.
_TYPED = str.maketrans(
    {
        **dict.fromkeys("\u201c\u201d\u201e", '"'),
        **dict.fromkeys("\u2018\u2019\u201a", "'"),
        **dict.fromkeys("\u200b\ufeff"),
    }
)
# Words that the user marked as code: all of the line, or an image in it.
_CODE = re.compile(r"(?<![^\s=:])`+([^`\n]+)`+(?=[\s.,;:!?]|$)")
_NEEDS_QUOTES = re.compile(r"[\s'\"\\]|^$")
_UNTYPEABLE = re.compile(r"[<>`]|&(?:amp|lt|gt);|[\u2018-\u201e]")
MOST_SHOWN = 80
# The longest command that is parsed.
MOST_CHARACTERS = 4000


def split(text: str) -> list[str]:
    """The words of a line. Raises `ValueError` if its quotes are wrong."""
    lexer = shlex.shlex(_plain(text), posix=True)
    lexer.whitespace = "".join({character for character in text if character.isspace()})
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:
        raise ValueError("A quote is not closed, or the line ends with a backslash.") from None


def split_roughly(text: str) -> list[str]:
    """The words of a line whose quotes are wrong, with its quotes ignored."""
    return re.sub(r"['\"\\]", "", _plain(text)).split()


def typed(words: list[str]) -> str:
    """A line that `split` turns into these words."""
    return " ".join(shlex.quote(word) if _NEEDS_QUOTES.search(word) else word for word in words)


def is_typeable(word: str) -> bool:
    """Whether a hint can repeat the word unchanged."""
    return word.isprintable() and len(word) <= 2 * MOST_SHOWN and not _UNTYPEABLE.search(word)


def shown(word: str) -> str:
    """A typed word for a sentence: shortened, on one line, between backquotes."""
    plain = "".join(c if c.isprintable() else " " for c in word).replace("`", "'") or "''"
    return f"`{plain if len(plain) <= MOST_SHOWN else plain[:MOST_SHOWN] + '…'}`"


def _plain(text: str) -> str:
    text = _MENTION.sub(lambda match: match[1] + (match[3] or match[2]), text)
    text = _LINK.sub(lambda match: _target(match[1], match[2] or ""), text)
    for escaped, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(escaped, character)
    # The last `strip` is for a command that was copied with one of its backquotes.
    return _CODE.sub(r"\1", text.translate(_TYPED).strip()).strip("`")


def _target(address: str, label: str) -> str:
    """What the user typed: Slack turns `x.example` into `<http://x.example|x.example>`."""
    bare = re.sub(r"^(https?://|mailto:|tel:)", "", address)
    return label if label and bare.rstrip("/") == label.rstrip("/") else address
