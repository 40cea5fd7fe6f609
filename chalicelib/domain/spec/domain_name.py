"""DNS names that a deployment may be bound to: the rule for `domain`, and who allows which."""

from __future__ import annotations

import re

MOST_CHARACTERS = 253
# Letters, digits and hyphens, no hyphen at either end: RFC 1123, section 2.1.
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PUNYCODE = "xn--"


def check(value: str, allowed: tuple[str, ...] | None) -> None:
    """Raises `ValueError` for what is no full host name in its canonical form, or not allowed.

    `allowed` None: not held against the stack's own (a record that is read again).
    """
    _check_form(value)
    if allowed is not None and not is_allowed(value, allowed):
        raise ValueError(
            f"must be an allowed domain: {', '.join(allowed) or 'none is set'}. The platform team "
            "sets them as AllowedDomains"
        )


def is_allowed(domain: str, allowed: tuple[str, ...]) -> bool:
    """Whether it is one of `allowed`, or below one of them that begins with `*.`, at any depth.

    As IAM reads the same list in the policy of the role that writes the records.
    """
    return any(
        domain.endswith(entry[1:]) if entry.startswith("*.") else domain == entry
        for entry in allowed
    )


def covers(pattern: str, domain: str) -> bool:
    """Whether a certificate's name is for `domain`: `*` stands for just one label.

    https://docs.aws.amazon.com/acm/latest/userguide/acm-concepts.html
    """
    if pattern.startswith("*."):
        return domain.partition(".")[2] == pattern[2:].lower()
    return domain == pattern.lower()


def _check_form(value: str) -> None:
    if len(value) > MOST_CHARACTERS:
        raise ValueError(f"must be at most {MOST_CHARACTERS} characters")
    if not value.isascii():
        raise ValueError("must be in ASCII: write other letters as punycode, which begins xn--")
    canonical = value.lower().removesuffix(".")
    if canonical != value:
        raise ValueError(f"must be in lower case and without a dot last: {canonical}")
    labels = value.split(".")
    if len(labels) < 2 or not all(map(LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise ValueError(
            "must be a host name such as recommend.example.com: two labels or more of a-z, 0-9 and "
            "hyphen, no hyphen at either end, 63 characters at most each"
        )
    for label in labels:
        if label.startswith(_PUNYCODE) and not _decodes(label):
            raise ValueError(f"{label} is no valid punycode")


def _decodes(label: str) -> bool:
    encoded = label.removeprefix(_PUNYCODE).encode("ascii")
    try:
        decoded = encoded.decode("punycode")
        return not decoded.isascii() and decoded.encode("punycode") == encoded
    except (UnicodeError, ValueError, OverflowError):
        return False
