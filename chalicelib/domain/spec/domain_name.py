"""The rules for `domain`: the form of a DNS name, and which names the stack allows."""

from __future__ import annotations

import re

from chalicelib.domain.spec.faults import shown

MOST_CHARACTERS = 253
# Letters, digits and hyphens, no hyphen at either end: RFC 1123, section 2.1.
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PUNYCODE = "xn--"


def check(value: str, allowed: tuple[str, ...] | None) -> None:
    """Raises `ValueError` unless `value` is a full host name in canonical form and is allowed.

    Every name is allowed if `allowed` is None: a stored record is read without the stack's limits.
    """
    _check_form(value)
    if allowed is not None and not is_allowed(value, allowed):
        raise ValueError(
            f"must be an allowed domain ({', '.join(allowed) or 'none is set'}), not {value}: "
            "your platform team sets AllowedDomains"
        )


def is_allowed(domain: str, allowed: tuple[str, ...]) -> bool:
    """Whether `allowed` contains the domain, or a parent of it that starts with `*.`.

    `*.` covers every depth, because IAM reads the same list in the policy of the role that writes
    the DNS records.
    """
    return any(
        domain.endswith(entry[1:]) if entry.startswith("*.") else domain == entry
        for entry in allowed
    )


def covers(pattern: str, domain: str) -> bool:
    """Whether a certificate's name covers `domain`: `*` matches exactly one label.

    https://docs.aws.amazon.com/acm/latest/userguide/acm-concepts.html
    """
    if pattern.startswith("*."):
        return domain.partition(".")[2] == pattern[2:].lower()
    return domain == pattern.lower()


def _check_form(value: str) -> None:
    if len(value) > MOST_CHARACTERS:
        raise ValueError(f"must have at most {MOST_CHARACTERS} characters, not {len(value)}")
    if not value.isascii():
        raise ValueError(
            f"must be ASCII, not {shown(value)}: write other letters as punycode (xn--...)"
        )
    canonical = value.lower().removesuffix(".")
    if canonical != value:
        raise ValueError(f"must be lowercase and must not end with a dot: {canonical}")
    labels = value.split(".")
    if len(labels) < 2 or not all(map(LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise ValueError(
            f"must be a host name such as recommend.example.com, not {shown(value)}. Use at least "
            "two labels of 1 to 63 characters: a-z, 0-9 and hyphen, no hyphen at either end"
        )
    for label in labels:
        if label.startswith(_PUNYCODE) and not _decodes(label):
            raise ValueError(f"has the label {label}, which is not valid punycode")


def _decodes(label: str) -> bool:
    encoded = label.removeprefix(_PUNYCODE).encode("ascii")
    try:
        decoded = encoded.decode("punycode")
        return not decoded.isascii() and decoded.encode("punycode") == encoded
    except (UnicodeError, ValueError, OverflowError):
        return False
