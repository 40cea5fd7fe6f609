"""`/health` and `/openapi.json`: endpoints about the API itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chalicelib import __version__
from chalicelib.api import answers
from chalicelib.api.answer import Answer
from chalicelib.api.requests import Request
from chalicelib.api.route import Handler


def health(request: Request) -> Answer:
    """`GET /health`: 200."""
    return Answer(200, answers.Health(status="ok", version=__version__).document())


def openapi(document: Callable[[], dict[str, Any]]) -> Handler:
    """The handler of `GET /openapi.json`: 200 with the document, which is built when needed."""

    def handler(request: Request) -> Answer:
        return Answer(200, document())

    return handler
