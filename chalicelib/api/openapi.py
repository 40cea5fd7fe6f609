"""The OpenAPI 3.1 document, made from the table of operations and the models that validate.

Nothing is described here that is enforced elsewhere: a field is a field of its model, a status is
an answer or a refusal of the table. Imported by the one endpoint that needs it.
https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from chalicelib import __version__
from chalicelib.api import answers, idempotency, problems
from chalicelib.api.requests import MEDIA_TYPE
from chalicelib.api.route import Operation
from chalicelib.domain import naming
from chalicelib.domain.errors import RequestRefused
from chalicelib.domain.spec import spec_schema
from chalicelib.domain.spec.spec import FIXED
from chalicelib.slack import owners
from chalicelib.store import tokens
from chalicelib.webhooks import deliveries, subscriptions

Schema = dict[str, Any]
SCHEMAS = "#/components/schemas/"
DESCRIPTION = (
    "Turns a container image into a prediction URL, and takes everything away again. "
    "A change is accepted with 202 and carried out meanwhile: ask again as often as Retry-After "
    "says. Every answer that is no success is a problem of RFC 9457, whose `code` is stable."
)
# Of API Gateway, before any function: its own limits.
GATEWAY = {429: ("QUOTA_EXCEEDED",)}
SEGMENTS = {
    "deployment": (
        "An id, or the name of a live deployment of the caller.",
        {"type": "string", "pattern": f"^{naming.NAME_PATTERN}(-[a-z2-7]{{6}})?$"},
    ),
    "slack_id": (
        "The id of a user (`U...`, `W...`) or of a channel (`C...`, `G...`, `D...`) in Slack.",
        {"type": "string", "pattern": f"^{owners.ID_PATTERN.pattern}$"},
    ),
    "token_id": (
        "The `id` of a token.",
        {"type": "string", "pattern": f"^{tokens.ID_PATTERN.pattern}$"},
    ),
    "delivery_id": (
        "The `id` of a delivery.",
        {"type": "string", "pattern": f"^{deliveries.ID_PATTERN.pattern}$"},
    ),
    "subscription_id": (
        "The `id` of a subscription.",
        {"type": "string", "pattern": f"^{subscriptions.ID_PATTERN.pattern}$"},
    ),
}
REQUEST_HEADERS = {
    idempotency.HEADER: (
        "Makes it safe to send again: for 24 hours the same request has the first answer again.",
        {"type": "string", "pattern": f"^{idempotency.KEY.pattern}$"},
    ),
    "If-Match": (
        "An ETag: the change is made only to that version.",
        {"type": "string"},
    ),
    "If-None-Match": (
        "An ETag: 304 without a body while it is still the present one.",
        {"type": "string"},
    ),
}
ANSWER_HEADERS = {
    "Location": ("The path of the deployment.", {"type": "string"}),
    "ETag": ("Changes with the deployment, and with every cent of its cost.", {"type": "string"}),
    "Retry-After": ("Seconds until it is worth to ask again.", {"type": "string"}),
    "WWW-Authenticate": ("The scheme: Bearer, or that of Slack's signatures.", {"type": "string"}),
}
PROBLEM_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}


def document(operations: Sequence[Operation]) -> Schema:
    """The document of a table of operations, as JSON has it."""
    bodies = [operation.body for operation in operations if operation.body]
    shown = [model for operation in operations for model in operation.answered.values() if model]
    schemas = {
        **_schemas(bodies, "validation", "Input"),
        **_schemas([*shown, answers.Problem], "serialization", ""),
    }
    schemas |= {
        f"{operation.body.__name__}Change": _partial(schemas[f"{operation.body.__name__}Input"])
        for operation in operations
        if operation.body and operation.partial
    }
    paths: dict[str, Schema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
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
                    "description": f"A token with the scopes {', '.join(tokens.SCOPES)}; "
                    "admin includes the others.",
                }
            },
            "headers": {
                name: {"description": text, "schema": schema}
                for name, (text, schema) in ANSWER_HEADERS.items()
            },
        },
    }


def _operation(operation: Operation) -> Schema:
    made: Schema = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [*_segments(operation), *_query(operation), *_headers(operation)],
        "responses": _responses(operation),
        # OpenAPI 3.1 lets a bearer scheme name what a token needs; no flow has to define it.
        "security": [{"token": [operation.scope]}] if operation.scope else [],
    }
    if operation.body:
        name = operation.body.__name__ + ("Change" if operation.partial else "Input")
        content = {MEDIA_TYPE: {"schema": {"$ref": SCHEMAS + name}}}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _segments(operation: Operation) -> list[Schema]:
    return [
        {"name": name, "in": "path", "required": True, "description": text, "schema": schema}
        for name, (text, schema) in SEGMENTS.items()
        if f"{{{name}}}" in operation.path
    ]


def _query(operation: Operation) -> list[Schema]:
    if operation.parameters is None:
        return []
    model = operation.parameters.model_json_schema(ref_template=SCHEMAS + "{model}")
    made = []
    for name, schema in _untitled(model["properties"]).items():
        parameter: Schema = {"name": name, "in": "query", "schema": _without_null(schema)}
        if "description" in parameter["schema"]:
            parameter["description"] = parameter["schema"].pop("description")
        if parameter["schema"].get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        made.append(parameter)
    return made


def _headers(operation: Operation) -> list[Schema]:
    names = (*((idempotency.HEADER,) if operation.takes_key else ()), *operation.conditions)
    return [
        {"name": name, "in": "header", "description": text, "schema": schema}
        for name, (text, schema) in REQUEST_HEADERS.items()
        if name in names
    ]


def _responses(operation: Operation) -> Schema:
    made: Schema = {}
    for status, model in operation.answered.items():
        made[str(status)] = {"description": _title(status)}
        if model:
            content = {MEDIA_TYPE: {"schema": {"$ref": SCHEMAS + model.__name__}}}
            made[str(status)] |= {"description": _summary(model), "content": content}
        if operation.headers:
            made[str(status)]["headers"] = _references(operation.headers)
    for status, codes in sorted(_codes(operation.refusals).items()):
        made[str(status)] = {
            "description": f"{_title(status)}: {', '.join(codes)}",
            "content": {problems.CONTENT_TYPE: {"schema": _problem(status, codes)}},
        }
        if status in PROBLEM_HEADERS:
            made[str(status)]["headers"] = _references(PROBLEM_HEADERS[status])
    return made


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
    """The schemas of the models and of what is in them, by name."""
    wanted = [(model, mode) for model in dict.fromkeys(models)]
    _, made = models_json_schema(wanted, ref_template=f"{SCHEMAS}{{model}}{suffix}")
    schemas = {
        f"{name}{suffix}": _untitled(spec_schema.described(name, schema))
        for name, schema in made["$defs"].items()
    }
    if mode == "serialization":
        for schema in schemas.values():
            if "properties" in schema:  # an answer leaves nothing out
                schema["required"] = list(schema["properties"])
    return schemas


def _untitled(schema: Any) -> Any:
    """Without the titles that pydantic makes of names, and of a docstring what callers look for."""
    if isinstance(schema, dict):
        kept = {k: v for k, v in schema.items() if not (k == "title" and isinstance(v, str))}
        if isinstance(kept.get("description"), str):
            kept["description"] = " ".join(kept["description"].split("\n\n")[0].split())
        return {key: _untitled(value) for key, value in kept.items()}
    return [_untitled(each) for each in schema] if isinstance(schema, list) else schema


def _without_null(schema: Schema) -> Schema:
    """A query parameter is there or not: it is never null or empty, and neither is its default."""
    kept = {
        k: v for k, v in schema.items() if k != "anyOf" and not (k == "default" and v in (None, []))
    }
    others = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return {**others[0], **kept} if others else kept


def _partial(schema: Schema) -> Schema:
    """For a body that names only the fields that change: nothing required, nothing filled in."""
    properties = {
        name: {key: rule for key, rule in field.items() if key != "default"}
        for name, field in schema["properties"].items()
        if name not in FIXED
    }
    pairs = [{"properties": pair["properties"]} for pair in schema["anyOf"]]
    return {
        **{key: value for key, value in schema.items() if key != "required"},
        "description": "The fields to change, each replaced as a whole.",
        "properties": properties,
        "anyOf": pairs,
        "minProperties": 1,
    }
