"""Options that are typed as in another tool: `--count 2`, `count: 2`, `count = 2`, `-e MODE=x`.

A hint must contain everything that the user typed, or say what it leaves out. So before a hint is
made, these forms become the `field=value` of this grammar. A command in such a form is never run,
because it can mean something else.
"""

from __future__ import annotations

import re

from chalicelib.chat import options

# Phones turn `--` into a dash, and some keyboards have a wide `=` and `:`.
_DASHES = re.compile(r"^[-\u2010-\u2015\u2212]+(?=[^\W\d])")
_WIDE = str.maketrans({"\uff1d": "=", "\uff1a": ":"})
_AROUND = "*_()[]{}"
_AFTER = ".,;:!?"
# Names of maps in other tools; the next word is `KEY=value`.
_MAPS = {
    **dict.fromkeys(("e", "env", "envs", "environment"), "environment"),
    **dict.fromkeys(("tag", "tags", "label", "labels"), "tags"),
    **dict.fromkeys(("secret", "secrets"), "secrets"),
}
# Names of `count` in other tools.
_COUNTS = ("replicas", "instances", "desired_count")
_SEPARATORS = ("=", ":")


def joined(line: list[str]) -> list[str]:
    """The words of a line after its verb, with every recognized option as `field=value`."""
    rest = [word.translate(_WIDE) for word in line]
    words: list[str] = []
    while rest:
        word = rest.pop(0)
        name, value = _split(word)
        known = _known(name) if words or name != word else None
        if known and value is None and rest and rest[0] in _SEPARATORS and len(rest) > 1:
            rest.pop(0)  # `count = 2`
        if known and value is None and rest and rest[0].startswith("=") and rest[0] != "=":
            rest[0] = rest[0][1:]  # `count =2`
        if known in _MAPS.values() and value is not None and "=" in value:
            words.append(f"{known}.{value}")  # `--env=MODE=x`
        elif known in _MAPS.values() and value is None:
            words.append(f"{known}.{rest.pop(0)}" if rest and "=" in rest[0] else word)
        elif known and value is None and rest and not _is_option(rest[0]):
            words.append(f"{known}={cleaned(rest.pop(0))}")
        elif known and value is not None:
            words.append(f"{known}={value}")
        else:
            words.append(cleaned(word))
    return words


def cleaned(word: str) -> str:
    """A word without the punctuation of a sentence and the marks of bold and italic text."""
    if "=" in word:
        return word
    return word.strip(_AROUND).rstrip(_AFTER).strip(_AROUND) or word


def _split(word: str) -> tuple[str, str | None]:
    """(name without dashes, value); the value is None if the next word may be it."""
    plain = _DASHES.sub("", word)
    name, separator, value = plain.partition("=")
    if not separator:
        name, separator, value = plain.partition(":")
    return name, value or None


def _known(name: str) -> str | None:
    """The option, or the map, that a name means exactly; None for any other word."""
    plain = name.lower().replace("-", "_")
    if plain in _MAPS:
        return _MAPS[plain]
    if plain in _COUNTS:
        return "count"
    head, _, key = name.partition(".")
    table = options.table()
    if key and head.lower() in table and table[head.lower()].kind == "map":
        return f"{head.lower()}.{key}"
    option = table.get(plain)
    return plain if option and option.kind not in ("map", "object") else None


def _is_option(word: str) -> bool:
    name, value = _split(word)
    return _known(name) is not None and (value is not None or name != word)
