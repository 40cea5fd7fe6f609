"""The OpenAPI 3.1 document, built from the routes and from the models that validate.

It repeats no rule: a field comes from its model, a status from an answer or a refusal of a route.
Only the endpoint that serves the document imports this module.
https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from chalicelib import __version__
from chalicelib.api import answers, descriptions, idempotency, problems
from chalicelib.api.requests import MEDIA_TYPE
from chalicelib.api.route import Route
from chalicelib.domain.errors import RequestRefused
from chalicelib.domain.spec import spec_schema
from chalicelib.domain.spec.parsing import FIXED
from chalicelib.store import tokens

Schema = dict[str, Any]
SCHEMAS = "#/components/schemas/"
DESCRIPTION = (
    "Slipway turns a container image into a prediction URL, and later deletes every resource that "
    "it created. A change returns 202 and runs in the background. Poll the deployment, and wait "
    "`Retry-After` seconds between polls. Every error is a problem (RFC 9457) with a stable `code`."
)
# API Gateway answers it before any function runs, because of its own limits.
GATEWAY = {429: ("QUOTA_EXCEEDED",)}
REQUEST_HEADERS = {
    idempotency.HEADER: (
        "Makes a retry safe: for 24 hours the same request with the same key returns the first "
        "response and starts nothing.",
        {"type": "string", "pattern": f"^{idempotency.KEY.pattern}$"},
    ),
    "If-Match": (
        "An ETag. Slipway makes the change only if the deployment has not changed since this ETag.",
        {"type": "string"},
    ),
    "If-None-Match": (
        "An ETag. If the deployment still has this ETag, the response is 304 without a body.",
        {"type": "string"},
    ),
}
ANSWER_HEADERS = {
    "Location": ("The path of the deployment.", {"type": "string"}),
    "ETag": (
        "The ETag changes with the deployment, and with every cent of the accrued cost.",
        {"type": "string"},
    ),
    "Retry-After": ("The seconds to wait before the next request.", {"type": "string"}),
    "WWW-Authenticate": (
        "The authentication scheme: Bearer, or Slack's signature.",
        {"type": "string"},
    ),
}
PROBLEM_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}


def document(routes: Sequence[Route]) -> Schema:
    """The JSON document that describes the routes."""
    bodies = [route.body for route in routes if route.body]
    shown = [model for route in routes for model in route.answered.values() if model]
    schemas = {
        **_schemas(bodies, "validation", "Input"),
        **_schemas([*shown, answers.Problem], "serialization", ""),
    }
    schemas |= {
        f"{route.body.__name__}Change": _partial(schemas[f"{route.body.__name__}Input"])
        for route in routes
        if route.body and route.partial
    }
    paths: dict[str, Schema] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Slipway", "version": __version__, "description": DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"A token. Its scopes are some of {', '.join(tokens.SCOPES)}; "
                    "admin includes the others.",
                }
            },
            "headers": {
                name: {"description": text, "schema": schema}
                for name, (text, schema) in ANSWER_HEADERS.items()
            },
        },
    }


def _operation(route: Route) -> Schema:
    operation: Schema = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query(route), *_headers(route)],
        "responses": _responses(route),
        # OpenAPI 3.1 allows a bearer scheme to list scopes; no flow has to define them.
        "security": [{"token": [route.scope]}] if route.scope else [],
    }
    if route.body:
        name = route.body.__name__ + ("Change" if route.partial else "Input")
        content = {MEDIA_TYPE: {"schema": {"$ref": SCHEMAS + name}}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _path_parameters(route: Route) -> list[Schema]:
    return [
        {
            "name": each.name,
            "in": "path",
            "required": True,
            "description": each.description,
            "schema": {"type": "string", "pattern": f"^{each.pattern}$"},
        }
        for each in route.path_parameters
    ]


def _query(route: Route) -> list[Schema]:
    if route.parameters is None:
        return []
    model = route.parameters.model_json_schema(ref_template=SCHEMAS + "{model}")
    parameters = []
    for name, schema in _untitled(model["properties"]).items():
        parameter: Schema = {"name": name, "in": "query", "schema": _without_null(schema)}
        if "description" in parameter["schema"]:
            parameter["description"] = parameter["schema"].pop("description")
        if parameter["schema"].get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        parameters.append(parameter)
    return parameters


def _headers(route: Route) -> list[Schema]:
    names = (*((idempotency.HEADER,) if route.takes_key else ()), *route.conditions)
    return [
        {"name": name, "in": "header", "description": text, "schema": schema}
        for name, (text, schema) in REQUEST_HEADERS.items()
        if name in names
    ]


def _responses(route: Route) -> Schema:
    responses: Schema = {}
    for status, model in route.answered.items():
        responses[str(status)] = {"description": _title(status)}
        if model:
            content = {MEDIA_TYPE: {"schema": {"$ref": SCHEMAS + model.__name__}}}
            responses[str(status)] |= {"description": _summary(model), "content": content}
        if status in route.headers:
            responses[str(status)]["headers"] = _references(route.headers[status])
    for status, codes in sorted(_codes(route.refusals).items()):
        responses[str(status)] = {
            "description": f"{_title(status)}: {', '.join(codes)}",
            "content": {problems.CONTENT_TYPE: {"schema": _problem(status, codes)}},
        }
        if status in PROBLEM_HEADERS:
            responses[str(status)]["headers"] = _references(PROBLEM_HEADERS[status])
    return responses


def _codes(refusals: Iterable[type[RequestRefused]]) -> dict[int, tuple[str, ...]]:
    """The codes of each status."""
    codes: dict[int, tuple[str, ...]] = dict(GATEWAY)
    for refusal in refusals:
        codes[refusal.status] = tuple({*codes.get(refusal.status, ()), refusal.code})
    return {status: tuple(sorted(each)) for status, each in codes.items()}


def _problem(status: int, codes: tuple[str, ...]) -> Schema:
    own = {"status": {"const": status}, "code": {"enum": list(codes)}}
    return {"allOf": [{"$ref": SCHEMAS + "Problem"}, {"properties": own}]}


def _references(names: Iterable[str]) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _title(status: int) -> str:
    return problems.PHRASES.get(status) or HTTPStatus(status).phrase


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").splitlines()[0]


# --- schemas -------------------------------------------------------------------------------


def _schemas(models: list[type[BaseModel]], mode: JsonSchemaMode, suffix: str) -> Schema:
    """The schemas of the models and of the models inside them, by name."""
    wanted = [(model, mode) for model in dict.fromkeys(models)]
    _, made = models_json_schema(wanted, ref_template=f"{SCHEMAS}{{model}}{suffix}")
    schemas = {
        f"{name}{suffix}": descriptions.described(
            name, _untitled(spec_schema.described(name, schema))
        )
        for name, schema in made["$defs"].items()
    }
    if mode == "serialization":
        for schema in schemas.values():
            if "properties" in schema:  # an answer always has every member
                schema["required"] = list(schema["properties"])
    return schemas


def _untitled(schema: Any) -> Any:
    """Without pydantic's titles, and with only the first paragraph of each docstring."""
    if isinstance(schema, dict):
        kept = {k: v for k, v in schema.items() if not (k == "title" and isinstance(v, str))}
        if isinstance(kept.get("description"), str):
            kept["description"] = " ".join(kept["description"].split("\n\n")[0].split())
        return {key: _untitled(value) for key, value in kept.items()}
    return [_untitled(each) for each in schema] if isinstance(schema, list) else schema


def _without_null(schema: Schema) -> Schema:
    """The schema of a query parameter, which cannot be null and whose default is not empty."""
    kept = {
        k: v for k, v in schema.items() if k != "anyOf" and not (k == "default" and v in (None, []))
    }
    others = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return {**others[0], **kept} if others else kept


def _or_null(schema: Schema) -> Schema:
    """The schema without its default, and with null as an alternative."""
    kept = {key: rule for key, rule in schema.items() if key != "default"}
    null = {"type": "null"}
    if null in kept.get("anyOf", ()):
        return kept
    description = {"description": kept.pop("description")} if "description" in kept else {}
    return {**description, "anyOf": [*kept.pop("anyOf", [kept]), null]}


def _partial(schema: Schema) -> Schema:
    """The schema of a body that names only the fields that change: no required, no defaults.

    Null resets a field that is not required.
    """
    properties = {
        name: field if name in schema["required"] else _or_null(field)
        for name, field in schema["properties"].items()
        if name not in FIXED
    }
    pairs = [
        {"properties": {name: _or_null(rule) for name, rule in pair["properties"].items()}}
        for pair in schema["anyOf"]
    ]
    return {
        **{key: value for key, value in schema.items() if key != "required"},
        "description": "The fields to change. Each field replaces the whole old value. Null "
        "resets a field.",
        "properties": properties,
        "anyOf": pairs,
        "minProperties": 1,
    }
