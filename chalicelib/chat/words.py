"""A typed line as words: what chat programs make of it is undone, quotes are as in a shell."""

from __future__ import annotations

import re
import shlex

# How Slack escapes: https://docs.slack.dev/messaging/formatting-message-text
_LINK = re.compile(r"<((?:https?|mailto|tel):[^<>|]*)(?:\|([^<>]*))?>")
_MENTION = re.compile(r"<([@#!])([^<>|]*)(?:\|([^<>]*))?>")
# What phones and Slack make of quotes while one types, and characters that nobody sees.
_TYPED = str.maketrans(
    {
        **dict.fromkeys("\u201c\u201d\u201e", '"'),
        **dict.fromkeys("\u2018\u2019\u201a", "'"),
        **dict.fromkeys("\u200b\ufeff"),
    }
)
_NEEDS_QUOTES = re.compile(r"[\s'\"\\]|^$")
_UNTYPEABLE = re.compile(r"[<>`]|&(?:amp|lt|gt);|[\u2018-\u201e]")
MOST_SHOWN = 80
# The longest command that is parsed.
MOST_CHARACTERS = 4000


def split(text: str) -> list[str]:
    """The words of a line. Raises `ValueError` with what is wrong with its quotes."""
    lexer = shlex.shlex(_plain(text), posix=True)
    lexer.whitespace = "".join({character for character in text if character.isspace()})
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:
        raise ValueError("A quote is not closed, or a backslash stands last.") from None


def split_roughly(text: str) -> list[str]:
    """The words of a line whose quotes are wrong, as if there were none."""
    return re.sub(r"['\"\\]", "", _plain(text)).split()


def typed(words: list[str]) -> str:
    """A line of these words: `split` makes the same of it."""
    return " ".join(shlex.quote(word) if _NEEDS_QUOTES.search(word) else word for word in words)


def is_typeable(word: str) -> bool:
    """Whether a hint can repeat the word as it is."""
    return word.isprintable() and len(word) <= 2 * MOST_SHOWN and not _UNTYPEABLE.search(word)


def shown(word: str) -> str:
    """What somebody typed, to be named in a sentence: cut, on one line, within one code mark."""
    plain = "".join(c if c.isprintable() else " " for c in word).replace("`", "'") or "''"
    return f"`{plain if len(plain) <= MOST_SHOWN else plain[:MOST_SHOWN] + '…'}`"


def _plain(text: str) -> str:
    text = _MENTION.sub(lambda found: found[1] + (found[3] or found[2]), text)
    text = _LINK.sub(lambda found: _target(found[1], found[2] or ""), text)
    for escaped, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(escaped, character)
    # Also a command that was copied from a hint with its code marks.
    return text.translate(_TYPED).strip().strip("`")


def _target(address: str, label: str) -> str:
    """What was typed: Slack makes `x.example` to `<http://x.example|x.example>`."""
    bare = re.sub(r"^(https?://|mailto:|tel:)", "", address)
    return label if label and bare.rstrip("/") == label.rstrip("/") else address
