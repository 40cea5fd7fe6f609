"""A row of the known texts, and the form of a text in which rows are searched."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from chalicelib.domain.errors import FailureCode

DOCS = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"

_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"'})
_URL = re.compile(r"https?://[^\s\"')]+")
_ARN = re.compile(r"\barn:aws[a-z-]*:[^\s\"')]+")
# An image reference starts with a registry, which has a dot, a port, or is `localhost`.
_IMAGE = re.compile(
    r"(?<![\w/.-])(?:localhost|[\w-]+(?:\.[\w-]+)+|[\w-]+(?=:\d))(?::\d{1,5})?(?:/[\w.-]+)+"
    r"(?::\w[\w.-]*)?(?:@sha256:[0-9a-f]*)?"
)
# Old versions of runc quote a text that itself quotes the program: caused "exec: \"x\": ...".
_PROGRAM = re.compile(r'exec: \\*"([^"\\]+)')
_INNER_QUOTED = re.compile(r'\\+"[^"\\]*\\+"')
_QUOTED = re.compile(r'"([^"]*)"')
_SINGLE_QUOTED = re.compile(r"(?<!\w)'[^']*'(?!\w)")


@dataclass(frozen=True, kw_only=True)
class KnownText:
    """A text of AWS.

    Attributes:
        pattern: matches the text in the form of `plain`. It has only phrases of several words, or
            parts that no name can have, because names that callers choose have no spaces.
        message, hint: of the failure, in the format of `str.format`.
        source: where AWS, or a public report, documents the text.
        examples: texts that the row must recognize; `{image}`, `{role}` and the like are names.
        final: the next task would stop for the same reason.
        needed: how often a service event must occur before it counts.
    """

    pattern: str
    code: FailureCode
    message: str
    hint: str
    source: str
    examples: tuple[str, ...]
    final: bool = False
    needed: int = 1


def plain(text: str) -> str:
    """`text` on one line, without the names that a caller can choose.

    URLs, ARNs, image references and quoted names could have any word in them, such as a repository
    `denied-claims`. They become `<url>`, `<arn>`, `<image>` and `<quoted>`.
    """
    text = " ".join(text.translate(_QUOTES).split())
    for program in _PROGRAM.findall(text):
        text = text.replace(f"stat {program}:", "stat <quoted>:")
    text = _ARN.sub("<arn>", _URL.sub("<url>", text))
    text = _INNER_QUOTED.sub("<quoted>", text)
    text = _QUOTED.sub(lambda match: match[1] if "<quoted>" in match[1] else "<quoted>", text)
    return _IMAGE.sub("<image>", _SINGLE_QUOTED.sub("<quoted>", text))


def find(text: str, rows: Iterable[KnownText]) -> KnownText | None:
    """The first row that recognizes `text`, which is in the form of `plain`."""
    return next((row for row in rows if re.search(row.pattern, text, re.IGNORECASE)), None)
