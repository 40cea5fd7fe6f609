"""Regular expressions and wildcards of conditions and transforms."""

from __future__ import annotations

import functools
import re


@functools.lru_cache(maxsize=1024)
def compiled(expression: str, flags: int = 0) -> re.Pattern[str]:
    """Compile an expression that ELB's API accepted.

    AWS does not support lookaheads, backreferences or recursion, so Python's syntax is enough,
    except for named groups: Python spells `(?<name>…)` as `(?P<name>…)`.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html
    """
    # An ASCII condition applies to visible ASCII characters only.
    return re.compile(re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", expression), flags | re.ASCII)


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
