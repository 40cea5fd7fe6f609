"""The decorator around every view: builds the request, checks the scope, answers problems."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from chalice.app import Chalice, Response
from chalice.app import Request as ChaliceRequest

from chalicelib import aws
from chalicelib.api import auth, idempotency, problems
from chalicelib.api.answer import Answer
from chalicelib.api.requests import Request, path_segment
from chalicelib.deployments.errors import AwsUnavailable, RequestRefused, Retryable, Throttled
from chalicelib.observability import logger


class SlipwayApi(Chalice):
    """Chalice, with the error answers that it makes itself turned into problems.

    Its middleware never sees those: they are made before or after a view.
    """

    def __call__(self, event: Any, context: Any) -> Any:
        """An API Gateway proxy event in, a proxy answer out."""
        path = (
            event.get("requestContext", {}).get("resourcePath", "")
            if isinstance(event, dict)
            else ""
        )
        return problems.normalized(super().__call__(event, context), event.get("path", path))


def endpoint(
    app: Chalice, scope: str
) -> Callable[[Callable[..., Answer]], Callable[..., Response]]:
    """Makes a Chalice view of a handler that takes a `Request` and the path's parameters."""

    def decorate(handler: Callable[..., Answer]) -> Callable[..., Response]:
        @functools.wraps(handler)
        def view(**parameters: str) -> Response:
            current = app.current_request
            assert current is not None  # Chalice sets it before it calls a view
            try:
                request = _request(current)
                auth.require(request.caller, scope)
                values = {name: path_segment(value) for name, value in parameters.items()}
                answer = idempotency.once(request, lambda: handler(request, **values))
                return _response(answer)
            except Exception as error:
                return _problem(_refusal(error), current)

        return view

    return decorate


def _refusal(error: Exception) -> RequestRefused:
    """The refusal that an exception means; what is no refusal is raised on, as a 500."""
    if isinstance(error, RequestRefused):
        return error
    passing = aws.workflow_error(error) or error
    if isinstance(passing, (Throttled, Retryable)):
        return AwsUnavailable(f"AWS is not available: {passing}", headers={"Retry-After": "5"})
    logger.exception("request failed")
    raise error


def _request(current: ChaliceRequest) -> Request:
    query = current.query_params
    body = current.raw_body
    return Request(
        caller=auth.from_context(current.context.get("authorizer") or {}),
        path=_path(current),
        headers=dict(current.headers),
        query={name: query.getlist(name) for name in query} if query else {},
        body=body.encode() if isinstance(body, str) else body,
        method=str(current.method),
    )


def _path(current: ChaliceRequest) -> str:
    """The path that was asked for; Chalice's own `path` is the route's pattern."""
    return str(current.to_original_event()["path"])


def _response(answer: Answer) -> Response:
    headers: dict[str, str | list[str]] = {"Cache-Control": "no-store", **answer.headers}
    if answer.body is None:
        return Response("", headers, answer.status)
    headers["Content-Type"] = "application/json"
    return Response(json.dumps(answer.body), headers, answer.status)


def _problem(refused: RequestRefused, current: ChaliceRequest) -> Response:
    body = problems.of_refusal(refused, _path(current))
    headers: dict[str, str | list[str]] = {"Content-Type": problems.CONTENT_TYPE, **refused.headers}
    return Response(json.dumps(body), headers, refused.status)
