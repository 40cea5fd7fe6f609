"""Options of a command, typed as `field=value`.

Every field of the spec is an option. A field inside another has a dotted name, such as
`health_check.path`. The table of options is built from the spec's model, so a new field becomes an
option without a change here. This module checks only the type of a value. The API validates the
rest.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel

from chalicelib.api import json_body
from chalicelib.chat.words import shown
from chalicelib.domain.digits import is_number
from chalicelib.domain.errors import RequestRefused
from chalicelib.domain.spec import hints
from chalicelib.domain.spec.spec import Spec

Kind = Literal["number", "text", "number or text", "list", "map", "object", "json"]
NOTHING = ("none", "null")
NO_TASKS = "Scaling to 0 would leave an ACTIVE deployment with no tasks."
# Values for hints, used if the typed value is not valid.
EXAMPLES = {
    "name": "recommender",
    "port": "80",
    "ttl": "8h",
    "health_check.path": "/health",
    "health_check.status": "200-399",
    "scaling.max": "3",
    "scaling.metric": "cpu",
    "scaling.target": "60",
    "smoke_test.path": "/?uid=20",
    "smoke_test.status": "200-299",
    "smoke_test.body": '{"uid":20}',
    "smoke_test.max_latency_ms": "500",
}


class Unclear(Exception):
    """A command that cannot be parsed. The message is a sentence for the user.

    Attributes:
        usage: the usage of the command, to show after the message.
        suggestion: the words of another command that does what the user wants.
    """

    def __init__(
        self, message: str, *, usage: str = "", suggestion: list[str] | None = None
    ) -> None:
        super().__init__(message)
        self.usage = usage
        self.suggestion = suggestion


@dataclass(frozen=True)
class Option:
    """A field of the spec. A `map` is typed as `<name>.<key>`; an `object` accepts only `none`."""

    name: str
    kind: Kind
    nullable: bool
    default: Any

    @property
    def example(self) -> str | None:
        """A valid value for a hint; None if there is no obvious one."""
        known = EXAMPLES.get(self.name)
        if known is None and type(self.default) in (int, str) and self.default != "":
            return str(self.default)
        return known or ("1" if self.kind == "number" else None)

    @property
    def form(self) -> str:
        """What is typed before the `=`."""
        return f"{self.name}.KEY" if self.kind == "map" else self.name


@functools.cache
def table() -> dict[str, Option]:
    """Every option by its name, in the spec's order."""
    return {option.name: option for option in _of_model(Spec, "")}


def read(words: list[str], without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The fields in `field=value` words, nested as in the API's body.

    Raises `Unclear` for an unknown option, an option that is given twice, and a value of the wrong
    type. `without` names options that the command does not have.
    """
    body: dict[str, Any] = {}
    for word in words:
        name, _, text = word.partition("=")
        path, option = _find(name, without)
        value = _value(option, name, text)
        parent = body
        for part in path[:-1]:
            parent = parent.setdefault(part, {})
            if parent is None:  # `scaling=none scaling.max=3`
                raise Unclear(f"{shown(path[0])} is given twice.")
        if path[-1] in parent:
            raise Unclear(f"{shown(name)} is given twice.")
        parent[path[-1]] = value
    return body


def corrected(word: str, without: frozenset[str] = frozenset()) -> str | None:
    """The nearest valid `field=value`; None if no option is similar."""
    name, _, text = word.partition("=")
    for known in (name, nearest_name(name, without)):
        plain = text.rstrip(".,;:!?")
        for value in (text, plain, table()[known].example if known in table() else None):
            if known is not None and value is not None:
                try:
                    read([f"{known}={value}"], without)
                except Unclear:
                    continue
                return f"{known}={value}"
    return None


def completed(name: str, without: frozenset[str] = frozenset()) -> str | None:
    """An option that was typed without a value, with a valid value; None if it is no option."""
    try:
        _, option = _find(name, without)
    except Unclear:
        return None
    value = "value" if option.kind == "map" and name != option.name else option.example
    return None if value is None else f"{name}={value}"


def nearest_name(name: str, without: frozenset[str] = frozenset()) -> str | None:
    """The name of the option that is most similar to `name`: for `max`, `scaling.max`."""
    name = name.strip("-")
    head, _, key = name.partition(".")
    maps = [option.name for option in table().values() if option.kind == "map"]
    if key and (near := nearest(head, maps)):
        return f"{near}.{key}"
    names = [option.name for option in table().values() if option.kind not in ("map", "object")]
    names = [each for each in names if each not in without]
    within = [each for each in names if each.endswith(f".{name}")]
    if within:
        return within[0]
    # Of `gpu`, the nearest name is `cpu`.
    return None if hints.hint(name) else nearest(name, names)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The only known word that begins with `word`, else the most similar one, else None."""
    known, word = list(known), word.lower()
    beginning = [each for each in known if len(word) > 1 and each.startswith(word)]
    if len(beginning) == 1:
        return beginning[0]
    # With the library's default cutoff of 0.6. Its running time grows with both lengths.
    similar = difflib.get_close_matches(word, known, n=1) if len(word) <= 40 else []
    return similar[0] if similar else None


def _find(name: str, without: frozenset[str]) -> tuple[list[str], Option]:
    """The path of the field in the body, and its option."""
    option = table().get(name)
    for of_map in table().values():
        key = name.removeprefix(f"{of_map.name}.")
        if of_map.kind == "map" and key not in ("", name) and of_map.name not in without:
            return [*of_map.name.split("."), key], of_map
    if option is None or name in without:
        advice = "" if nearest_name(name, without) else hints.hint(name.lstrip("-"))
        fault = f"This command has no option {shown(name)}."
        raise Unclear(f"{fault} {advice}." if advice else fault)
    return name.split("."), option


def _value(option: Option, name: str, text: str) -> Any:
    if option.kind == "map" and name != option.name:
        return text
    if option.nullable and text.lower() in NOTHING:
        return None
    if option.kind in ("map", "object"):
        inner = [each for each in table() if each.startswith(f"{option.name}.")]
        parts = " ".join(f"{each}=…" for each in inner) or f"{option.form}=…"
        raise Unclear(f"Set the parts of {shown(option.name)} one by one: {parts}.")
    if not text:
        raise Unclear(f"{shown(name)} has no value.")
    return _typed(option, name, text)


def _typed(option: Option, name: str, text: str) -> Any:
    """A text as the type that the option has."""
    if option.kind == "number":
        if not is_number(text):
            raise Unclear(f"{shown(name)} must be a whole number, not {shown(text)}.")
        if name == "count" and int(text) == 0:
            raise Unclear(f"{NO_TASKS} Use `pause` instead.")
        return int(text)
    if option.kind == "number or text":
        return int(text) if is_number(text) else text
    if option.kind == "json":
        return _json(name, text)
    if option.kind == "list":
        return [part.strip() for part in text.split(",")]
    return text


def _json(name: str, text: str) -> Any:
    """The value of a JSON text, with the rules of a request body: no NaN and no duplicate key."""
    try:
        return json_body.parsed(text.encode())
    except RequestRefused as refused:
        detail = refused.detail.removeprefix("The body is not valid JSON: ")
        raise Unclear(
            f"{shown(name)} must be JSON in single quotes, not {shown(text)}. The fault: {detail}"
        ) from None


def _of_model(model: type[BaseModel], prefix: str) -> Iterable[Option]:
    for name, field in model.model_fields.items():
        kind, nullable, inner = _kind(field.annotation)
        yield Option(prefix + name, kind, nullable, field.default)
        if inner:
            yield from _of_model(inner, f"{prefix}{name}.")


def _kind(annotation: Any) -> tuple[Kind, bool, type[BaseModel] | None]:
    """(kind, whether it may be null, the model if it is an object)."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0])
    if type(None) in arguments:
        kinds = [_kind(each) for each in arguments if each is not type(None)]
        # The only union of two types is a number or a text.
        kind, _, inner = kinds[0] if len(kinds) == 1 else ("number or text", True, None)
        return kind, True, inner
    if annotation is Any:
        return "json", True, None
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "object", False, annotation
    plain: dict[Any, Kind] = {int: "number", list: "list", dict: "map"}
    return plain.get(origin or annotation, "text"), False, None
