"""Chalice's side of the API: builds each request, calls its route, and answers problems."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from chalice.app import Chalice, Response
from chalice.app import Request as ChaliceRequest

from chalicelib.api import auth, problems
from chalicelib.api.answer import Answer
from chalicelib.api.requests import Request, path_segment
from chalicelib.api.route import Route
from chalicelib.domain.errors import MalformedJson, MethodNotAllowed, NotFound, RequestRefused
from chalicelib.platform.observability import logger
from chalicelib.store.tokens import Caller

# The caller of an endpoint that needs no token: it owns nothing and has no scope.
ANONYMOUS = Caller(owner="", scopes=frozenset(), token_id="")


class SlipwayApi(Chalice):
    """Chalice, except that its own error answers are problems.

    Chalice's middleware does not see those answers, because Chalice gives them before or after a
    view. API Gateway passes on every path and method (`infra/gateway.py`), so this class answers
    404, 405 and HEAD as RFC 9110 says.
    """

    def __call__(self, event: Any, context: Any) -> Any:
        """The proxy response to an API Gateway proxy event."""
        gateway, instance = event["requestContext"], event.get("path", "")
        resource, method = gateway["resourcePath"], gateway["httpMethod"]
        methods = self.routes.get(resource, {})
        allowed = [*methods, *(("HEAD",) if "GET" in methods else ())]
        if not methods:
            return problems.answer(NotFound(f"There is no path {instance}."), instance)
        if method not in allowed:
            allow = ", ".join(allowed)
            detail = f"{resource} does not allow {method}. Allowed methods: {allow}."
            return problems.answer(MethodNotAllowed(detail, headers={"Allow": allow}), instance)
        if method == "HEAD":
            event = {**event, "requestContext": {**gateway, "httpMethod": "GET"}}
        answer = problems.normalized(super().__call__(event, context), instance)
        return {**answer, "body": ""} if method == "HEAD" else answer


def view(app: Chalice, route: Route) -> Callable[..., Response]:
    """The Chalice view of a route."""

    def answer_request(**segments: str) -> Response:
        current = app.current_request
        assert current is not None  # Chalice sets it before it calls a view
        try:
            request = _request(current, with_token=route.scope is not None)
            values = [path_segment(value) for value in segments.values()]
            return _response(route.carry_out(request, *values))
        except RequestRefused as refused:
            return _problem(refused, current)
        except Exception:
            logger.exception("request failed")
            raise

    return answer_request


def _request(current: ChaliceRequest, with_token: bool) -> Request:
    query = current.query_params
    return Request(
        caller=auth.from_context(current.context.get("authorizer") or {})
        if with_token
        else ANONYMOUS,
        path=_path(current),
        headers=dict(current.headers),
        query={name: query.getlist(name) for name in query} if query else {},
        body=_body(current),
        method=str(current.method),
        header_values=current.to_original_event().get("multiValueHeaders") or {},
    )


def _body(current: ChaliceRequest) -> bytes:
    try:
        body = current.raw_body
    except ValueError:  # not base64, or text that UTF-8 cannot encode
        raise MalformedJson("The body is not UTF-8 text. Send JSON in UTF-8.") from None
    return body.encode() if isinstance(body, str) else body


def _path(current: ChaliceRequest) -> str:
    """The path of the request. Chalice's own `path` is the pattern of the route."""
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
