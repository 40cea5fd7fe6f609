"""A request as the handlers want it: parsed, bounded, and checked for what is not known."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from chalicelib.deployments.errors import (
    BodyTooLarge,
    MalformedJson,
    UnsupportedMediaType,
    ValidationFailed,
)
from chalicelib.tokens import Caller

MOST_BODY_BYTES = 64 * 1024


@dataclass(frozen=True)
class Request:
    """What a handler gets: `query` holds every value of each parameter."""

    caller: Caller
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, list[str]] = field(default_factory=dict)
    body: bytes = b""
    method: str = "GET"

    def header(self, name: str) -> str | None:
        """A header by its name in any case."""
        return next(
            (value for key, value in self.headers.items() if key.lower() == name.lower()), None
        )

    def refuse_unknown(self, *parameters: str) -> None:
        """Raises `ValidationFailed` for query parameters that the endpoint does not know."""
        faults = [
            {"field": name, "message": "is not a parameter of this endpoint, or not available yet"}
            for name in sorted(set(self.query) - set(parameters))
        ]
        faults += [
            {"field": name, "message": "must be given once"}
            for name in sorted(set(self.query) & set(parameters))
            if len(self.query[name]) > 1
        ]
        if faults:
            raise ValidationFailed("The request has parameters that cannot be used", errors=faults)

    def parameter(self, name: str) -> str | None:
        """The value of a query parameter, or None."""
        values = self.query.get(name)
        return values[0] if values else None

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        """An integer parameter. Raises `ValidationFailed` with the bounds."""
        text = self.parameter(name)
        if text is None:
            return default
        # Not int() alone: it takes " 7", "+7" and "1_0".
        number = int(text) if is_number(text) else -1
        if not least <= number <= most:
            raise invalid(name, f"must be a whole number from {least} to {most}")
        return number

    def json(self) -> Any:
        """The body as JSON. Raises `UnsupportedMediaType`, `BodyTooLarge` or `MalformedJson`."""
        media_type = (self.header("Content-Type") or "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise UnsupportedMediaType("Send the body as Content-Type: application/json")
        if len(self.body) > MOST_BODY_BYTES:
            raise BodyTooLarge(
                f"The body has {len(self.body)} bytes; at most {MOST_BODY_BYTES} are allowed"
            )
        try:
            return json.loads(
                self.body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
            )
        except (ValueError, RecursionError) as error:
            raise MalformedJson(f"The body is not JSON: {error}") from None


def path_segment(value: str) -> str:
    """A path parameter: API Gateway hands it on as the client escaped it."""
    return unquote(value)


def is_number(text: str) -> bool:
    """Whether `text` is one to nine plain digits."""
    return text.isascii() and text.isdigit() and len(text) <= 9


def invalid(name: str, message: str) -> ValidationFailed:
    """One fault, named."""
    return ValidationFailed(f"{name} {message}", errors=[{"field": name, "message": message}])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
