"""A container's variables: their names, values in the clear, and references to secrets."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from chalicelib.domain.spec import secret_reference

MOST_BYTES = 4096
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_SECRET_WORDS = {
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "SECRETS",
    "TOKEN",
    "APIKEY",
    "CREDENTIAL",
    "CREDENTIALS",
}
_SECRET_KEYS = {"API", "ACCESS", "PRIVATE", "SIGNING", "ENCRYPTION"}


def check_environment(values: dict[str, str]) -> None:
    """Raises `ValueError` for a name that is none or looks like a secret's, and for too much."""
    for name in values:
        _check_name(name)
        if _looks_like_a_secret(name):
            raise ValueError(
                f"{name} looks like a secret, and the task definition would show it: "
                "keep it in Secrets Manager and use `secrets`"
            )
    if sum(len(k.encode()) + len(v.encode()) for k, v in values.items()) > MOST_BYTES:
        raise ValueError("must be at most 4 KiB in all, names and values")


def check_secrets(
    references: dict[str, str],
    environment: dict[str, str],
    region: str | None,
    allowed: tuple[str, ...] | None,
) -> None:
    """Raises `ValueError` with all faults; it repeats no value, for one may be a secret itself.

    `region` and `allowed` None: not held against the stack's own (a record that is read again).
    """
    faults = list(_faults_of_secrets(references, environment, region, allowed))
    if faults:
        raise ValueError("; ".join(faults))


def _faults_of_secrets(
    references: dict[str, str],
    environment: dict[str, str],
    region: str | None,
    allowed: tuple[str, ...] | None,
) -> Iterator[str]:
    for name, value in references.items():
        try:
            _check_name(name)
        except ValueError as error:
            yield str(error)
            continue
        if name in environment:
            yield f"{name} is in `environment` too, and a variable has one value"
        try:
            reference = secret_reference.parse(value)
        except ValueError as error:
            yield f"{name}: {error}"
            continue
        if region is not None and reference.region != region:
            yield f"{name} must be in {region}, where the tasks run"
        elif allowed is not None and not secret_reference.is_allowed(reference, allowed):
            yield f"{name} must be an allowed secret: {', '.join(allowed) or 'none is set'}"


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no variable name: use letters, digits and underscores")


def _looks_like_a_secret(name: str) -> bool:
    """By whole words, for TOKENIZERS_PARALLELISM is no secret."""
    words = name.upper().split("_")
    pairs = itertools.pairwise(words)
    return bool(_SECRET_WORDS & set(words)) or any(
        a in _SECRET_KEYS and b == "KEY" for a, b in pairs
    )
