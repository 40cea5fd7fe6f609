"""A request for a handler: parsed, limited in size, and checked for unknown members."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote

from pydantic import AfterValidator, BaseModel, ValidationError, WithJsonSchema

from chalicelib.api import json_body
from chalicelib.domain.errors import BodyTooLarge, UnsupportedMediaType, ValidationFailed
from chalicelib.domain.spec import faults
from chalicelib.store import tokens
from chalicelib.store.tokens import Caller

MOST_BODY_BYTES = 64 * 1024
MEDIA_TYPE = "application/json"
# US-ASCII is a part of UTF-8.
CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")
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
        text = b"".join(self.body.removeprefix(codecs.BOM_UTF8).split())
        return text not in (b"", b"{}", b"null")

    def unexpected_body(self) -> ValidationFailed:
        """The refusal of a body by an endpoint that takes none: Slipway ignores no input."""
        message = "must be empty: this endpoint takes no request body"
        return ValidationFailed(
            "This endpoint takes no request body.", errors=[faults.fault("", message)]
        )

    def json(self) -> Any:
        """The body as JSON. Raises `UnsupportedMediaType`, `BodyTooLarge` or `MalformedJson`."""
        self._check_media_type()
        if len(self.body) > MOST_BODY_BYTES:
            raise BodyTooLarge(
                f"The body has {len(self.body)} bytes. At most {MOST_BODY_BYTES} are allowed."
            )
        return json_body.parsed(self.body)

    def _check_media_type(self) -> None:
        coding = (self.header("Content-Encoding") or "identity").strip()
        if coding.lower() != "identity":
            # API Gateway passes a body on as text, which damages compressed data. RFC 9110,
            # section 15.5.16, names the header.
            raise UnsupportedMediaType(
                f"Content-Encoding must be absent, not {coding[:SHOWN]}. Send the JSON "
                "uncompressed.",
                headers={"Accept-Encoding": "identity"},
            )
        sent = (self.header("Content-Type") or "").strip()
        if not sent:
            raise UnsupportedMediaType(f"Content-Type is missing. Send {MEDIA_TYPE}.")
        if sent.partition(";")[0].strip().lower() != MEDIA_TYPE:
            raise UnsupportedMediaType(f"Content-Type must be {MEDIA_TYPE}, not {sent[:SHOWN]}.")
        charset = _CHARSET.search(sent)
        if charset and charset[1].lower() not in CHARSETS:
            raise UnsupportedMediaType(
                f"The charset in Content-Type must be utf-8, not {charset[1][:SHOWN] or 'empty'}."
            )


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
