"""A request as the handlers want it: parsed, bounded, and checked for what is not known."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import unquote

from pydantic import BaseModel, ValidationError

from chalicelib.domain.errors import (
    BodyTooLarge,
    MalformedJson,
    UnsupportedMediaType,
    ValidationFailed,
)
from chalicelib.domain.spec import faults
from chalicelib.store.tokens import Caller

MOST_BODY_BYTES = 64 * 1024
MEDIA_TYPE = "application/json"
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^";\s]*)', re.IGNORECASE)

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Request:
    """What a handler gets: `query` holds every value of each parameter, and `header_values` of
    each header, where `headers` has the last.
    """

    caller: Caller
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, list[str]] = field(default_factory=dict)
    body: bytes = b""
    method: str = "GET"
    header_values: dict[str, list[str]] = field(default_factory=dict)

    def header(self, name: str) -> str | None:
        """A header by its name in any case."""
        return next(
            (value for key, value in self.headers.items() if key.lower() == name.lower()), None
        )

    def parameters(self, model: type[Model], moment: datetime | None = None) -> Model:
        """The query parameters. Raises `ValidationFailed` naming every fault at once.

        `moment` is the time that a `since=` counts from.
        """
        found = [
            {"field": name, "message": "must be given once"}
            for name in sorted(self.query)
            if len(self.query[name]) > 1 and name in model.model_fields
        ]
        values = {name: given[0] for name, given in self.query.items()}
        try:
            read = model.model_validate(values, context={"moment": moment})
        except ValidationError as error:
            told = {fault["field"] for fault in found}
            faults_in_values = (_fault(each, model) for each in error.errors())
            found += [fault for fault in faults_in_values if fault["field"] not in told]
        if found:
            names = ", ".join(fault["field"] for fault in found)
            raise ValidationFailed(
                f"The query has parameters that are wrong: {names}", errors=found
            )
        return read

    def refuse_body(self) -> None:
        """For an operation that has none: what is asked for must not be ignored.

        Raises `ValidationFailed`; an empty object says nothing, and is what some clients send.
        """
        if self.body.strip() not in (b"", b"{}", b"null"):
            message = "nothing in it has effect here: send no body"
            raise ValidationFailed(f"The body: {message}", errors=[faults.fault("", message)])

    def json(self) -> Any:
        """The body as JSON. Raises `UnsupportedMediaType`, `BodyTooLarge` or `MalformedJson`."""
        sent = self.header("Content-Type") or ""
        charset = _CHARSET.search(sent)
        if sent.partition(";")[0].strip().lower() != MEDIA_TYPE or (
            charset and charset[1].lower() not in ("utf-8", "utf8")
        ):
            raise UnsupportedMediaType(f"Send the body as Content-Type: {MEDIA_TYPE}, in UTF-8")
        if len(self.body) > MOST_BODY_BYTES:
            raise BodyTooLarge(
                f"The body has {len(self.body)} bytes; at most {MOST_BODY_BYTES} are allowed"
            )
        try:
            return _parsed(self.body.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise MalformedJson(f"The body is not JSON: {error}") from None


def path_segment(value: str) -> str:
    """A path parameter: API Gateway hands it on as the client escaped it."""
    return unquote(value)


def invalid(name: str, message: str) -> ValidationFailed:
    """One fault, named."""
    return ValidationFailed(f"{name} {message}", errors=[{"field": name, "message": message}])


def _fault(error: Any, model: type[BaseModel]) -> dict[str, str]:
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][0])
        return faults.fault(name, "is not a parameter of this endpoint, or not available yet")
    return faults.from_pydantic(error, model)


def _parsed(text: str) -> Any:
    value = json.loads(
        text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_number
    )
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            # RFC 8259, section 8.2: what becomes of it is anybody's guess; UTF-8 cannot say it.
            raise ValueError("it has half of a surrogate pair") from None
    return value


def _number(text: str) -> int | float:
    """JSON knows no integers: 80.0 is the number 80, as JSON Schema has it."""
    number = float(text)
    return int(number) if number.is_integer() else number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
