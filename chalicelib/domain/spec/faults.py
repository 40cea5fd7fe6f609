"""The faults of a request body: every fault at once, each with its field, its value and its fix."""

from __future__ import annotations

import difflib
import functools
import inspect
import re
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from chalicelib.domain.errors import ValidationFailed
from chalicelib.domain.spec import hints

# By pydantic's error type. https://docs.pydantic.dev/latest/errors/validation_errors/
SENTENCES = {
    "missing": "is required",
    "greater_than_equal": "must be at least {ge}, not {value}",
    "less_than_equal": "must be at most {le}, not {value}",
    "too_short": "must have at least {min_length} items, not {length}",
    "too_long": "must have at most {max_length} items, not {length}",
    "string_too_short": "must have at least {min_length} characters, not {length}",
    "string_too_long": "must have at most {max_length} characters, not {length}",
    "int_type": "must be a whole number, not {kind}",
    "int_parsing": "must be a whole number, not {kind}",
    "int_from_float": "must be a whole number, not {value}",
    "string_type": "must be a string, not {kind}",
    "bool_type": "must be true or false, not {kind}",
    "list_type": "must be a list, not {kind}",
    "dict_type": "must be an object, not {kind}",
    "model_type": "must be an object, not {kind}",
    "literal_error": "must be {expected}, not {value}",
}
KINDS = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a decimal number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}
MOST_SHOWN = 60
# An unknown field lists the allowed ones only if a reader can take them in at a glance.
MOST_LISTED = 8
# The library's default of 0.6 suggests `on_failure` for `env_file`.
LEAST_SIMILAR = 0.7
Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], body: Any) -> Model:
    """A request body as `model`. Raises `ValidationFailed` that lists every fault."""
    if not isinstance(body, dict):
        raise refused([not_an_object(body)])
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise refused([from_pydantic(each, model) for each in error.errors()]) from None


def fault(field: str, message: str) -> dict[str, str]:
    """One entry of a problem's `errors`."""
    return {"field": field, "message": message}


def not_an_object(body: Any) -> dict[str, str]:
    """The fault of a body that is valid JSON but not an object."""
    return fault("", f"The body must be a JSON object, not {_kind(body)}")


def refused(faults: list[dict[str, str]]) -> ValidationFailed:
    """The error that counts the faults and names their fields."""
    fields = ", ".join(each["field"] or "body" for each in faults)
    noun = "fault" if len(faults) == 1 else "faults"
    return ValidationFailed(f"The body has {len(faults)} {noun}: {fields}.", errors=faults)


def shown(value: str) -> str:
    """A value that the caller sent, quoted for a message; only its start if it is long."""
    return repr(value if len(value) <= MOST_SHOWN else f"{value[:MOST_SHOWN]}…")


def described(value: Any) -> str:
    """A value that the caller sent, for a message; only its kind if it is not text or a number."""
    return shown(value) if isinstance(value, str) else _number(value)


def from_pydantic(error: Any, model: type[BaseModel]) -> dict[str, str]:
    """A pydantic error of `model` as a fault."""
    location = [str(part) for part in error["loc"]]
    field, kind, context = ".".join(location), error["type"], error.get("ctx", {})
    message = error["msg"]
    if kind == "value_error":
        message = str(context["error"])
    elif kind in SENTENCES:
        message = _singular(SENTENCES[kind].format_map({**context, **_sent(error["input"])}))
    elif kind == "extra_forbidden":
        message = _unknown(location, model)
    elif message.startswith("Input should be"):
        message = "must be" + message.removeprefix("Input should be")
    return fault(field, message)


def _sent(value: Any) -> dict[str, Any]:
    """What the sentences say about the value that the caller sent.

    A value of the wrong type is described by its kind only, because it may be a secret.
    """
    return {
        "value": described(value),
        "length": len(value) if isinstance(value, str | list | dict) else 0,
        "kind": _kind(value),
    }


def _number(value: Any) -> str:
    is_short = isinstance(value, int | float) and abs(value) < 10**MOST_SHOWN
    return str(value) if is_short and not isinstance(value, bool) else _kind(value)


def _kind(value: Any) -> str:
    return KINDS.get(type(value), "another type")


def _singular(sentence: str) -> str:
    return re.sub(r"\b1 (item|character)s\b", r"1 \1", sentence)


def _unknown(location: list[str], model: type[BaseModel]) -> str:
    name, parents = location[-1], [part for part in location[:-1] if not part.isdigit()]
    allowed = _siblings(location, model)
    advice = _advice(name, parents, model)
    if advice:
        return f"Unknown field. {advice}"
    snake_case = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()
    near = difflib.get_close_matches(snake_case, allowed, n=1, cutoff=LEAST_SIMILAR)
    if near:
        return f'Unknown field. Did you mean "{near[0]}"?'
    if len(allowed) <= MOST_LISTED:
        return f"Unknown field. Allowed fields: {', '.join(allowed)}"
    return "Unknown field. GET /openapi.json lists the allowed fields"


def _advice(name: str, parents: list[str], model: type[BaseModel]) -> str:
    """What to use instead, for a body that has objects: the spec."""
    fields_of = _objects(model)
    if not fields_of:
        return ""
    if known := hints.hint(name, parents[0] if parents else ""):
        return known
    if parents and name in model.model_fields:
        return f"`{name}` belongs to the top of the body, not to `{parents[0]}`"
    within = [f"`{parent}.{name}`" for parent, fields in fields_of.items() if name in fields]
    return f"Use {' or '.join(within)}" if within and not parents else ""


@functools.cache
def _objects(model: type[BaseModel]) -> dict[str, frozenset[str]]:
    """Field -> the names inside it, for each field that is an object."""
    inside = {name: _inner(model, name) for name in model.model_fields}
    return {name: frozenset(inner.model_fields) for name, inner in inside.items() if inner}


def _siblings(location: list[str], model: type[BaseModel]) -> list[str]:
    """The names of the fields next to the one at `location`, in `model` or in a nested model."""
    return list((_inner(model, location[0]) or model).model_fields)


def _inner(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The model of a field that is an object, or an optional one; None for any other field."""
    field = model.model_fields.get(name)
    annotation = field.annotation if field else None
    for inner in (annotation, *get_args(annotation)):
        if inspect.isclass(inner) and issubclass(inner, BaseModel):
            return inner
    return None
