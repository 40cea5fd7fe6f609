"""The rules for `environment` and `secrets`: the variables of a container."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from chalicelib.domain.spec import secret_reference
from chalicelib.domain.spec.faults import shown

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
    """Raises `ValueError` for an invalid name, a name that looks like a secret, or excess size."""
    for name in values:
        _check_name(name)
        if _looks_like_a_secret(name):
            raise ValueError(
                f"must not contain {name}, which looks like a secret: the task definition would "
                "show its value. Store it in Secrets Manager and send its ARN in `secrets`"
            )
    size = sum(len(name.encode()) + len(value.encode()) for name, value in values.items())
    if size > MOST_BYTES:
        raise ValueError(f"must have at most {MOST_BYTES} bytes of names and values, not {size}")


def check_secrets(
    references: dict[str, str],
    environment: dict[str, str],
    region: str | None,
    allowed: tuple[str, ...] | None,
) -> None:
    """Raises `ValueError` that lists every fault, without values: one may be a secret itself.

    `region` and `allowed` do not restrict anything if they are None: a stored record is read
    without the stack's limits.
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
            yield f"{name} is also in `environment`: keep only one of the two"
        try:
            reference = secret_reference.parse(value)
        except ValueError as error:
            yield f"{name}: {error}"
            continue
        if region is not None and reference.region != region:
            yield f"{name} must be in {region}, the tasks' region, not in {reference.region}"
        elif allowed is not None and not secret_reference.is_allowed(reference, allowed):
            yield (
                f"{name} must be an allowed secret ({', '.join(allowed) or 'none is set'}): "
                "your platform team sets AllowedSecrets"
            )


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{shown(name)} is not a variable name: use 1 to 255 letters, digits and underscores, "
            "and do not start with a digit"
        )


def _looks_like_a_secret(name: str) -> bool:
    """Compares whole words, because TOKENIZERS_PARALLELISM is not a secret."""
    words = name.upper().split("_")
    pairs = itertools.pairwise(words)
    return bool(_SECRET_WORDS & set(words)) or any(
        a in _SECRET_KEYS and b == "KEY" for a, b in pairs
    )
