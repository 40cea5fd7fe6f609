"""Lists of HTTP status codes and ranges, such as 200,204 or 200-399."""

from __future__ import annotations

import re

from chalicelib.domain.spec import faults

LEAST, MOST = 100, 599
_CODE = "[1-5][0-9]{2}"
# ELB accepts only these codes in a health check, a smoke test also the others.
HEALTH = re.compile(r"[2-4]\d\d(-[2-4]\d\d)?(,[2-4]\d\d(-[2-4]\d\d)?)*", re.ASCII)
ANY = re.compile(rf"{_CODE}(-{_CODE})?(,{_CODE}(-{_CODE})?)*")
MOST_CHARACTERS = 256


def check_health(codes: str) -> str:
    """The codes. Raises `ValueError` unless they are codes that a health check accepts."""
    if not HEALTH.fullmatch(codes) or not _is_ascending(codes):
        raise ValueError(
            f"must be HTTP codes from 200 to 499, not {faults.shown(codes)}. "
            "Examples: 200 or 200,204 or 200-399"
        )
    return codes


def check(codes: object) -> int | str:
    """The codes. Raises `ValueError` unless they are one code or a list of codes."""
    if isinstance(codes, str) and _is_list(codes):
        return codes
    if isinstance(codes, int) and not isinstance(codes, bool) and LEAST <= codes <= MOST:
        return codes
    raise ValueError(
        f"must be HTTP codes from {LEAST} to {MOST}, not {faults.described(codes)}. "
        'Examples: 200 or "200,204" or "200-299"'
    )


def covers(codes: int | str, code: int) -> bool:
    """Whether `code` is one of the codes, or in one of the ranges."""
    for part in str(codes).split(","):
        first, _, last = part.partition("-")
        if int(first) <= code <= int(last or first):
            return True
    return False


def _is_list(codes: str) -> bool:
    is_short = len(codes) <= MOST_CHARACTERS
    return is_short and ANY.fullmatch(codes) is not None and _is_ascending(codes)


def _is_ascending(codes: str) -> bool:
    ranges = (part.split("-") for part in codes.split(","))
    return all(each == sorted(each) for each in ranges)
