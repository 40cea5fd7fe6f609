"""The field `smoke_test` of a spec."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from chalicelib.domain.spec import request_body, request_headers, status_codes
from chalicelib.domain.spec.http_path import HttpPath
from chalicelib.domain.spec.strict import Strict

# What identifies the request: labels of the image set them only if the caller sets none of them.
REQUEST = ("path", "method", "body")
WITH_BODY = ("POST", "PUT")


def _codes(value: Any) -> int | str | None:
    return None if value is None else status_codes.check(value)


Codes = Annotated[
    int | str | None,
    PlainValidator(_codes),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "integer",
                    "minimum": status_codes.LEAST,
                    "maximum": status_codes.MOST,
                },
                {"type": "string", "pattern": f"^({status_codes.ANY.pattern})$"},
                {"type": "null"},
            ]
        }
    ),
]


class SmokeTest(Strict):
    """One real request through the load balancer. It must pass before a deployment is ACTIVE.

    `sources.completed` replaces each null that has a default.
    """

    path: HttpPath | None = None
    method: Literal["GET", "POST", "PUT"] = "GET"
    headers: dict[str, str] = Field({}, max_length=request_headers.MOST)
    body: Any = None
    status: Codes = None
    json_has: list[Annotated[str, Field(min_length=1, max_length=128)]] = Field([], max_length=32)
    max_latency_ms: int | None = Field(None, ge=1, le=25_000)

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: dict[str, str]) -> dict[str, str]:
        request_headers.check(value)
        return value

    @field_validator("body")
    @classmethod
    def _body(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None:
            return None
        # A body in a GET request has no defined meaning, and a server may reject the request.
        # https://www.rfc-editor.org/rfc/rfc9110#name-get
        method = info.data.get("method", WITH_BODY[0])
        if method not in WITH_BODY:
            raise ValueError(
                f"needs the method POST or PUT, not {method}: set `method`, or leave out `body`"
            )
        request_body.check(value)
        headers = info.data.get("headers") or {}
        typed = any(name.lower() == "content-type" for name in headers)
        if typed and request_body.is_text(value):
            raise ValueError(
                "has a content_type, and `headers` has Content-Type too: leave one of them out"
            )
        return value
