"""A request for a handler: parsed, limited in size, and checked for unknown members."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote

from pydantic import AfterValidator, BaseModel, ValidationError, WithJsonSchema

from chalicelib.domain.errors import (
    BodyTooLarge,
    MalformedJson,
    UnsupportedMediaType,
    ValidationFailed,
)
from chalicelib.domain.spec import faults
from chalicelib.store import tokens
from chalicelib.store.tokens import Caller

MOST_BODY_BYTES = 64 * 1024
MEDIA_TYPE = "application/json"
SHOWN = 100
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^";\s]*)', re.IGNORECASE)

Model = TypeVar("Model", bound=BaseModel)


def _owner(value: str) -> str:
    if not re.fullmatch(tokens.OWNER_PATTERN, value):
        raise ValueError(f"{tokens.OWNER_RULE}, not {faults.shown(value)}")
    return value


# The name of an owner in a body.
Owner = Annotated[
    str,
    AfterValidator(_owner),
    WithJsonSchema({"type": "string", "pattern": f"^{tokens.OWNER_PATTERN}$"}),
]


@dataclass(frozen=True)
class Request:
    """What a handler gets.

    Attributes:
        headers: the last value of each header.
        header_values: every value of each header.
        query: every value of each parameter.
    """

    caller: Caller
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, list[str]] = field(default_factory=dict)
    body: bytes = b""
    method: str = "GET"
    header_values: dict[str, list[str]] = field(default_factory=dict)

    def header(self, name: str) -> str | None:
        """The last value of a header, whose name may have any case."""
        return next(
            (value for key, value in self.headers.items() if key.lower() == name.lower()), None
        )

    def parameters(self, model: type[Model], moment: datetime | None = None) -> Model:
        """The query parameters. Raises `ValidationFailed` with every fault.

        A duration in `since=` counts back from `moment`.
        """
        wrong = [
            {"field": name, "message": "must be sent only once"}
            for name in sorted(self.query)
            if len(self.query[name]) > 1 and name in model.model_fields
        ]
        values = {name: given[0] for name, given in self.query.items()}
        try:
            read = model.model_validate(values, context={"moment": moment})
        except ValidationError as error:
            repeated = {fault["field"] for fault in wrong}
            faults_in_values = (_fault(each, model) for each in error.errors())
            wrong += [fault for fault in faults_in_values if fault["field"] not in repeated]
        if wrong:
            names = ", ".join(fault["field"] for fault in wrong)
            raise ValidationFailed(f"Invalid query parameters: {names}.", errors=wrong)
        return read

    @property
    def has_body(self) -> bool:
        """Whether the body says anything; some clients send an empty object for no body."""
        return self.body.strip() not in (b"", b"{}", b"null")

    def unexpected_body(self) -> ValidationFailed:
        """The refusal of a body by an endpoint that takes none: Slipway ignores no input."""
        message = "must be empty: this endpoint takes no request body"
        return ValidationFailed(
            "This endpoint takes no request body.", errors=[faults.fault("", message)]
        )

    def json(self) -> Any:
        """The body as JSON. Raises `UnsupportedMediaType`, `BodyTooLarge` or `MalformedJson`."""
        sent = self.header("Content-Type") or ""
        charset = _CHARSET.search(sent)
        if sent.partition(";")[0].strip().lower() != MEDIA_TYPE or (
            charset and charset[1].lower() not in ("utf-8", "utf8")
        ):
            raise UnsupportedMediaType(
                f"Content-Type must be {MEDIA_TYPE} in UTF-8, not {sent[:SHOWN] or 'missing'}."
            )
        if len(self.body) > MOST_BODY_BYTES:
            raise BodyTooLarge(
                f"The body has {len(self.body)} bytes. At most {MOST_BODY_BYTES} are allowed."
            )
        try:
            return _parsed(self.body.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise MalformedJson(f"The body is not valid JSON: {error}.") from None


def path_segment(value: str) -> str:
    """A path parameter, decoded: API Gateway passes it on percent-encoded."""
    return unquote(value)


def invalid(name: str, message: str) -> ValidationFailed:
    """The refusal of one field or parameter: `name` followed by `message` is a sentence."""
    return ValidationFailed(f"{name} {message}.", errors=[{"field": name, "message": message}])


def _fault(error: Any, model: type[BaseModel]) -> dict[str, str]:
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][0])
        allowed = ", ".join(model.model_fields) or "none"
        return faults.fault(name, f"Unknown query parameter. Allowed parameters: {allowed}")
    return faults.from_pydantic(error, model)


def _parsed(text: str) -> Any:
    value = json.loads(
        text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_number
    )
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            # UTF-8 cannot encode it, and its effect is undefined: RFC 8259, section 8.2.
            raise ValueError("a \\u escape is an unpaired surrogate") from None
    return value


def _number(text: str) -> int | float:
    """JSON has no integers: 80.0 is the number 80, as in JSON Schema."""
    number = float(text)
    return int(number) if number.is_integer() else number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, member in pairs:
        if name in value:
            raise ValueError(f"duplicate key {name[:SHOWN]!r} in a JSON object")
        value[name] = member
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")
