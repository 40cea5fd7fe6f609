"""API Gateway as the functions see it: it calls the authorizer, then sends a proxy event."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

import app

METHOD_ARN = "arn:aws:execute-api:us-east-1:123456789012:abcdef/api/GET/deployments"


@dataclass
class Answered:
    """An HTTP response. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """The code of a problem document."""
        return self.json["code"]

    @property
    def fields(self) -> list[str]:
        """The fields that a problem document lists."""
        return [error["field"] for error in self.json["errors"]]


@dataclass
class Gateway:
    """Sends requests as one of the callers in `tokens`."""

    tokens: dict[str, str]
    # API Gateway also caches the authorizer's response.
    _contexts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def authorize(self, caller: str) -> dict[str, Any]:
        """Return the authorizer's response for the caller's token."""
        if caller not in self._contexts:
            self._contexts[caller] = authorize(f"Bearer {self.tokens[caller]}")
        return self._contexts[caller]

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        caller: str = "team-a",
        query: dict[str, str | list[str]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answered:
        """Send a request. A string `body` is sent unchanged; any other body is sent as JSON."""
        sent = {"Content-Type": "application/json"} if body is not None else {}
        raw = body if body is None or isinstance(body, str) else json.dumps(body)
        event = proxy_event(method, path, raw, query or {}, {**sent, **(headers or {})})
        event["requestContext"]["authorizer"] = self.authorize(caller)
        return call(event)

    def get(self, path: str, **more: Any) -> Answered:
        return self.send("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Answered:
        return self.send("POST", path, body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Answered:
        return self.send("PATCH", path, body, **more)

    def delete(self, path: str, **more: Any) -> Answered:
        return self.send("DELETE", path, **more)


def authorize(header: str) -> dict[str, Any]:
    """The context that the authorizer gives an `Authorization` header; raises if it refuses it."""
    event = {"type": "TOKEN", "authorizationToken": header, "methodArn": METHOD_ARN}
    answer = app.authorizer(event, None)
    return {**answer["context"], "principalId": answer["principalId"]}


def call(event: dict[str, Any]) -> Answered:
    """Pass the event to the app."""
    answer = app.app(event, None)
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    return Answered(answer["statusCode"], headers, answer["body"])


def proxy_event(
    method: str,
    path: str,
    body: str | None,
    query: dict[str, str | list[str]],
    headers: dict[str, str],
) -> dict[str, Any]:
    """The event that API Gateway sends. Path parameters keep the client's percent-encoding."""
    resource, parameters = _route(path)
    lists = {name: [v] if isinstance(v, str) else v for name, v in query.items()}
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in lists.items()} or None,
        "multiValueQueryStringParameters": lists or None,
        "pathParameters": parameters or None,
        "stageVariables": None,
        "body": body,
        "isBase64Encoded": False,
        "requestContext": {
            "httpMethod": method,
            "resourcePath": resource,
            "path": f"/api{path}",
            "stage": "api",
            "identity": {"sourceIp": "203.0.113.7"},
        },
    }


def _route(path: str) -> tuple[str, dict[str, str]]:
    parts = path.split("/")
    for route in app.app.routes:
        names = route.split("/")
        pairs = list(zip(names, parts, strict=False))
        if len(names) == len(parts) and all(n == p or n.startswith("{") for n, p in pairs):
            return route, {n.strip("{}"): p for n, p in pairs if n.startswith("{")}
    return "/{proxy+}", {"proxy": path.removeprefix("/")}


def escaped(text: str) -> str:
    """`text`, percent-encoded as one segment of a path."""
    assert unquote(quote(text, safe="")) == text
    return quote(text, safe="")
