"""The frame of every view: builds the request, has it carried out, answers problems."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from chalice.app import Chalice, Response
from chalice.app import Request as ChaliceRequest

from chalicelib.api import auth, problems
from chalicelib.api.answer import Answer
from chalicelib.api.requests import Request, path_segment
from chalicelib.api.route import Operation
from chalicelib.domain.errors import MethodNotAllowed, NotFound, RequestRefused
from chalicelib.platform.observability import logger
from chalicelib.store.tokens import Caller

# A caller where no token is asked for: it owns nothing and may do nothing else.
ANYBODY = Caller(owner="", scopes=frozenset(), token_id="")


class SlipwayApi(Chalice):
    """Chalice, with the error answers that it makes itself turned into problems.

    Its middleware never sees those: they are made before or after a view. API Gateway hands on
    every path and method (`infra/gateway.py`), so that RFC 9110's 404, 405 and HEAD are kept here.
    """

    def __call__(self, event: Any, context: Any) -> Any:
        """An API Gateway proxy event in, a proxy answer out."""
        asked, instance = event["requestContext"], event.get("path", "")
        resource, method = asked["resourcePath"], asked["httpMethod"]
        methods = self.routes.get(resource, {})
        allowed = [*methods, *(("HEAD",) if "GET" in methods else ())]
        if not methods:
            return problems.answer(NotFound(f"There is no path {instance}"), instance)
        if method not in allowed:
            named = ", ".join(allowed)
            detail = f"{resource} has the methods {named}"
            return problems.answer(MethodNotAllowed(detail, headers={"Allow": named}), instance)
        if method == "HEAD":
            event = {**event, "requestContext": {**asked, "httpMethod": "GET"}}
        answer = problems.normalized(super().__call__(event, context), instance)
        return {**answer, "body": ""} if method == "HEAD" else answer


def view(app: Chalice, operation: Operation) -> Callable[..., Response]:
    """The Chalice view of an operation."""

    def answer_request(**segments: str) -> Response:
        current = app.current_request
        assert current is not None  # Chalice sets it before it calls a view
        try:
            request = _request(current, with_token=operation.scope is not None)
            values = [path_segment(value) for value in segments.values()]
            return _response(operation.carry_out(request, *values))
        except RequestRefused as refused:
            return _problem(refused, current)
        except Exception:
            logger.exception("request failed")
            raise

    return answer_request


def _request(current: ChaliceRequest, with_token: bool) -> Request:
    query = current.query_params
    body = current.raw_body
    return Request(
        caller=auth.from_context(current.context.get("authorizer") or {})
        if with_token
        else ANYBODY,
        path=_path(current),
        headers=dict(current.headers),
        query={name: query.getlist(name) for name in query} if query else {},
        body=body.encode() if isinstance(body, str) else body,
        method=str(current.method),
        header_values=current.to_original_event().get("multiValueHeaders") or {},
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
    answer = problems.answer(refused, _path(current))
    return Response(answer["body"], answer["headers"], answer["statusCode"])
