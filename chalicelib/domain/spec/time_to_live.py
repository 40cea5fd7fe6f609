"""The rule for `ttl`, the time to live of a deployment: `90m`, `8h` or `3d`."""

from __future__ import annotations

import re
from datetime import timedelta

from chalicelib.domain.spec.faults import shown

PATTERN = re.compile(r"([1-9][0-9]{0,5})([mhd])", re.ASCII)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
# The reconciler runs every five minutes, and a deploy takes about three.
LEAST = timedelta(minutes=10)
MOST = timedelta(days=365)
RULE = "must be a duration from 10m to 365d, such as 90m, 8h or 3d"
# An event announces the end this long before it.
NOTICE = timedelta(hours=1)


def parse(text: str) -> timedelta:
    """The duration. Raises `ValueError` with the value and the rule."""
    matched = PATTERN.fullmatch(text)
    duration = int(matched[1]) * _UNITS[matched[2]] if matched else timedelta(0)
    if not LEAST <= duration <= MOST:
        raise ValueError(f"{RULE}, not {shown(text)}")
    return duration
