"""How long a deployment lives: `90m`, `8h`, `3d`, as a caller writes it."""

from __future__ import annotations

import re
from datetime import timedelta

PATTERN = re.compile(r"([1-9][0-9]{0,5})([mhd])", re.ASCII)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
# The reconciler looks every five minutes, and a deploy takes some three.
LEAST = timedelta(minutes=10)
MOST = timedelta(days=365)
RULE = "must be a duration from 10m to 365d, such as 90m, 8h or 3d"
# So long before the end an event tells of it.
NOTICE = timedelta(hours=1)


def parse(text: str) -> timedelta:
    """The duration. Raises `ValueError` with the rule, for a caller to read."""
    matched = PATTERN.fullmatch(text)
    duration = int(matched[1]) * _UNITS[matched[2]] if matched else timedelta(0)
    if not LEAST <= duration <= MOST:
        raise ValueError(RULE)
    return duration
