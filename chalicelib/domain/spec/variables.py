"""The rules for `environment` and `secrets`: the variables of a container."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chalicelib.domain.spec import secret_reference
from chalicelib.domain.spec.faults import shown

MOST_BYTES = 4096
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


def check_environment(values: dict[str, str]) -> None:
    """Raises `ValueError` that lists every invalid name and the excess size."""
    faults = [fault for name in values if (fault := _fault_of_name(name))]
    size = sum(len(name.encode()) + len(value.encode()) for name, value in values.items())
    if size > MOST_BYTES:
        faults.append(f"must have at most {MOST_BYTES} bytes of names and values, not {size}")
    if faults:
        raise ValueError("; ".join(faults))


def check_not_secret(names: list[str]) -> None:
    """Raises `ValueError` if a name is repeated. `request_rules` checks that each one exists."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"must not repeat a name: {', '.join(map(shown, repeated))}")


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
        if fault := _fault_of_name(name):
            yield fault
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


def _fault_of_name(name: str) -> str:
    if NAME.fullmatch(name):
        return ""
    return (
        f"{shown(name)} is not a variable name: use 1 to 255 letters, digits and underscores, "
        "and do not start with a digit"
    )
