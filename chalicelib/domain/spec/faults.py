"""What is wrong with a request body, in the contract's words: every fault named, with its fix."""

from __future__ import annotations

import difflib
import inspect
import re
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from chalicelib.domain.errors import ValidationFailed

# By pydantic's kind of error. https://docs.pydantic.dev/latest/errors/validation_errors/
SENTENCES = {
    "missing": "is required",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
}
Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], body: Any) -> Model:
    """A request body as `model`. Raises `ValidationFailed` naming every fault at once."""
    if not isinstance(body, dict):
        raise refused([fault("", "the body must be a JSON object")])
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise refused([from_pydantic(found, model) for found in error.errors()]) from None


def fault(field: str, message: str) -> dict[str, str]:
    """One entry of a problem's `errors`."""
    return {"field": field, "message": message}


def refused(faults: list[dict[str, str]]) -> ValidationFailed:
    """The refusal that counts and names them."""
    fields = ", ".join(f["field"] or "body" for f in faults)
    noun = "fault" if len(faults) == 1 else "faults"
    return ValidationFailed(f"The body has {len(faults)} {noun}: {fields}", errors=faults)


def from_pydantic(error: Any, model: type[BaseModel]) -> dict[str, str]:
    """A pydantic error in the words of the contract, with the fix."""
    location = [str(part) for part in error["loc"]]
    field, kind, context = ".".join(location), error["type"], error.get("ctx", {})
    message = error["msg"]
    if kind == "value_error":
        message = str(context["error"])
    elif kind in SENTENCES:
        message = _singular(SENTENCES[kind].format_map(context))
    elif kind == "extra_forbidden":
        near = difflib.get_close_matches(location[-1], _siblings(location, model), n=1)
        message = "is not a field of the contract" + (f": did you mean {near[0]}?" if near else "")
    elif message.startswith("Input should be"):
        message = "must be" + message.removeprefix("Input should be")
    return fault(field, message)


def _singular(sentence: str) -> str:
    return re.sub(r"\b1 (item|character)s\b", r"1 \1", sentence)


def _siblings(location: list[str], model: type[BaseModel]) -> list[str]:
    """The fields beside the one at `location`, in `model` or in the model of its field."""
    field = model.model_fields.get(location[0])
    annotation = field.annotation if field else None
    for inner in (annotation, *get_args(annotation)):  # as it is, or optional
        if inspect.isclass(inner) and issubclass(inner, BaseModel):
            model = inner
    return list(model.model_fields)
