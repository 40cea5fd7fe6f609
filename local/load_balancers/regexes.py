"""Regular expressions and wildcards of conditions and transforms."""

from __future__ import annotations

import functools
import logging
import re

logger = logging.getLogger(__name__)

NEVER = re.compile(r"(?!)")
# What Python spells differently: `(?<name>…)`, `\z` and `\x{41}`. A backslash and the character
# after it stay together.
_DIFFERENT = re.compile(r"\(\?<(?=[A-Za-z_])|\\x\{(?P<code>[0-9A-Fa-f]{1,6})\}|\\.", re.DOTALL)


@functools.lru_cache(maxsize=1024)
def compiled(expression: str, flags: int = 0) -> re.Pattern[str]:
    """Compile an expression that ELB's API accepted; one that Python refuses never matches.

    AWS does not support lookaheads, backreferences or recursion, so Python's syntax is enough.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html
    """

    def respelled(found: re.Match[str]) -> str:
        if found["code"]:
            return f"\\U{int(found['code'], 16):08x}"
        return {"(?<": "(?P<", "\\z": "\\Z"}.get(found[0], found[0])

    try:
        # Rules apply to visible ASCII characters only.
        return re.compile(_DIFFERENT.sub(respelled, expression), flags | re.ASCII)
    except re.error as error:
        logger.warning("The regular expression %r never matches: %s", expression, error)
        return NEVER


@functools.lru_cache(maxsize=1024)
def wildcard(pattern: str, ignore_case: bool, escapes: bool = False) -> re.Pattern[str]:
    """Compile a pattern: `*` matches 0 or more characters and `?` exactly 1.

    Args:
        escapes: whether a backslash in front of `*` or `?` makes it literal, as in a query string.
    """
    tokens = re.findall(r"\\[*?\\]|." if escapes else r".", pattern, re.DOTALL)
    meaning = {"*": ".*", "?": "."}
    parts = (
        re.escape(token[1]) if len(token) == 2 else meaning.get(token, re.escape(token))
        for token in tokens
    )
    flags = re.DOTALL | re.ASCII | (re.IGNORECASE if ignore_case else re.NOFLAG)
    return re.compile("".join(parts), flags)


def expand(match: re.Match[str], replacement: str) -> str:
    """Replace `$1`, `${1}` and `${name}` in `replacement` by the groups of `match`.

    Raises:
        IndexError: the expression has no such group.
    """

    def group(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        return match[int(name) if name.isdigit() else name] or ""

    return re.sub(r"\$(?:(\d+)|\{(\w+)\})", group, replacement)
