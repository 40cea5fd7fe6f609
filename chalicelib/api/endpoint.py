"""The decorator around every view: builds the request, checks the scope, answers problems."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from chalice import Chalice, Response
from chalice.app import Request as ChaliceRequest

from chalicelib import aws
from chalicelib.api import auth, problems
from chalicelib.api.deployments import Answer
from chalicelib.api.requests import Request, path_segment
from chalicelib.deployments.errors import AwsUnavailable, RequestRefused, Retryable, Throttled
from chalicelib.observability import logger


class SlipwayApi(Chalice):
    """Chalice, with the error answers that it makes itself turned into problems.

    Its middleware never sees those: they are made before or after a view.
    """

    def __call__(self, event: Any, context: Any) -> Any:
        """An API Gateway proxy event in, a proxy answer out."""
        path = event.get("requestContext", {}).get("resourcePath", "") if isinstance(event, dict) else ""
        return problems.normalized(super().__call__(event, context), event.get("path", path))


def endpoint(app: Chalice, scope: str) -> Callable[[Callable[..., Answer]], Callable[..., Response]]:
    """Makes a Chalice view of a handler that takes a `Request` and the path's parameters."""

    def decorate(handler: Callable[..., Answer]) -> Callable[..., Response]:
        @functools.wraps(handler)
        def view(**parameters: str) -> Response:
            current = app.current_request
            try:
                request = _request(current)
                auth.require(request.caller, scope)
                values = {name: path_segment(value) for name, value in parameters.items()}
                return _response(handler(request, **values))
            except RequestRefused as refused:
                return _problem(refused, current)
            except Exception as error:
                passing = aws.workflow_error(error) or error
                if not isinstance(passing, (Throttled, Retryable)):
                    logger.exception("request failed")
                    raise
                refused = AwsUnavailable(f"AWS is not available: {passing}", headers={"Retry-After": "5"})
                return _problem(refused, current)

        return view

    return decorate


def _request(current: ChaliceRequest) -> Request:
    context = current.context.get("authorizer") or {}
    names = current.query_params or {}
    return Request(
        caller=auth.from_context(context),
        path=current.path,
        headers=dict(current.headers),
        query={name: current.query_params.getlist(name) for name in names},
        body=current.raw_body,
    )


def _response(answer: Answer) -> Response:
    headers = {"Cache-Control": "no-store", **answer.headers}
    if answer.body is None:
        return Response("", headers, answer.status)
    return Response(json.dumps(answer.body), {"Content-Type": "application/json", **headers}, answer.status)


def _problem(refused: RequestRefused, current: ChaliceRequest) -> Response:
    body = problems.of_refusal(refused, current.path)
    return Response(json.dumps(body), {"Content-Type": problems.CONTENT_TYPE, **refused.headers}, refused.status)
