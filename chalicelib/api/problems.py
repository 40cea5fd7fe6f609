"""Problems: every answer with status 400 or above is `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from chalicelib.domain.errors import RequestRefused

CONTENT_TYPE = "application/problem+json"

# The phrases of RFC 9110. Those of http.HTTPStatus depend on the version of Python.
PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}

# The codes for answers that Chalice gives itself, before it calls a view.
CODES = {
    400: "MALFORMED_JSON",
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "BODY_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "VALIDATION_FAILED",
    503: "AWS_UNAVAILABLE",
}


def document(
    status: int, code: str, detail: str, instance: str, errors: list[dict[str, str]]
) -> dict[str, Any]:
    """The body of a problem. `about:blank` means that the title is the phrase of the status."""
    return {
        "type": "about:blank",
        "title": PHRASES.get(status) or HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "instance": instance,
        "errors": errors,
    }


def of_refusal(refused: RequestRefused, instance: str) -> dict[str, Any]:
    """The body of a refusal."""
    body = document(refused.status, refused.code, refused.detail, instance, refused.errors)
    return {**body, **refused.extensions}


def answer(refused: RequestRefused, instance: str) -> dict[str, Any]:
    """The Lambda proxy response for a refusal."""
    return {
        "statusCode": refused.status,
        "headers": {"Content-Type": CONTENT_TYPE, **refused.headers},
        "body": json.dumps(of_refusal(refused, instance)),
    }


def normalized(answer: dict[str, Any], instance: str) -> dict[str, Any]:
    """A Lambda proxy response in which Chalice's own error bodies are replaced by problems."""
    status = answer.get("statusCode", 200)
    headers = answer.setdefault("headers", {})
    content_type = next((v for k, v in headers.items() if k.lower() == "content-type"), "")
    if status < 400 or content_type == CONTENT_TYPE:
        return answer
    code = CODES.get(status, "INTERNAL")
    body = document(status, code, _detail(answer.get("body", "")), instance, [])
    return {
        **answer,
        "headers": {"Content-Type": CONTENT_TYPE},
        "body": json.dumps(body),
        "multiValueHeaders": {},
    }


def _detail(body: str) -> str:
    try:
        return str(json.loads(body)["Message"])
    except (ValueError, KeyError, TypeError):
        return "The request failed."
