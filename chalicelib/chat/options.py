"""`field=value` in a command: every field of the spec, dotted where it lies within another.

The table of them is made of the spec's own model, so that a new field is an option by itself. What
a value may be, beyond its type, is for the API to say.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel

from chalicelib.chat.words import shown
from chalicelib.domain.digits import is_number
from chalicelib.domain.spec.spec import Spec

Kind = Literal["number", "text", "list", "map", "object"]
NOTHING = ("none", "null")
# For a hint, where what was typed cannot stand.
EXAMPLES = {
    "name": "recommender",
    "ttl": "8h",
    "scaling.max": "3",
    "scaling.metric": "cpu",
    "scaling.target": "60",
    "smoke_test.path": "/?uid=20",
    "smoke_test.max_latency_ms": "500",
}


class Unclear(Exception):
    """A command that cannot be read; the message says why, in a sentence for its author.

    `usage` is how the command is typed, to be told after the message; `meant` are the words of
    another command that does what was asked for.
    """

    def __init__(self, message: str, *, usage: str = "", meant: list[str] | None = None) -> None:
        super().__init__(message)
        self.usage = usage
        self.meant = meant


@dataclass(frozen=True)
class Option:
    """A field of the spec. `map` takes `<name>.<key>`, `object` only `none`."""

    name: str
    kind: Kind
    nullable: bool
    default: Any

    @property
    def example(self) -> str | None:
        """A value that can be typed; None where none comes to mind."""
        known = EXAMPLES.get(self.name)
        if known is None and type(self.default) in (int, str) and self.default != "":
            return str(self.default)
        return known or ("1" if self.kind == "number" else None)

    @property
    def form(self) -> str:
        """How it is typed, up to the value."""
        return f"{self.name}.KEY" if self.kind == "map" else self.name


@functools.cache
def table() -> dict[str, Option]:
    """Every option by its name, in the order of the spec."""
    return {option.name: option for option in _of_model(Spec, "")}


def read(words: list[str], without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The fields that `field=value` words say, nested as the API takes them.

    Raises `Unclear` for an unknown option, one given twice, and a value of another type.
    """
    body: dict[str, Any] = {}
    for word in words:
        name, _, text = word.partition("=")
        path, option = _find(name, without)
        value = _value(option, name, text)
        place = body
        for part in path[:-1]:
            place = place.setdefault(part, {})
            if place is None:  # `scaling=none scaling.max=3`
                raise Unclear(f"{shown(path[0])} is given twice.")
        if path[-1] in place:
            raise Unclear(f"{shown(name)} is given twice.")
        place[path[-1]] = value
    return body


def mended(word: str, without: frozenset[str] = frozenset()) -> str | None:
    """The nearest `field=value` that can be read; None where there is nothing like it."""
    name, _, text = word.partition("=")
    for known in (name, nearest_name(name, without)):
        for value in (text, table()[known].example if known in table() else None):
            if known is not None and value is not None:
                try:
                    read([f"{known}={value}"], without)
                except Unclear:
                    continue
                return f"{known}={value}"
    return None


def completed(name: str, without: frozenset[str] = frozenset()) -> str | None:
    """An option that was typed without a value, with one that fits; None where it is none."""
    try:
        _, option = _find(name, without)
    except Unclear:
        return None
    value = "value" if option.kind == "map" and name != option.name else option.example
    return None if value is None else f"{name}={value}"


def nearest_name(name: str, without: frozenset[str] = frozenset()) -> str | None:
    """The name of an option that is most like `name`: `max` is `scaling.max`."""
    name = name.strip("-")
    head, _, key = name.partition(".")
    maps = [option.name for option in table().values() if option.kind == "map"]
    if key and (near := nearest(head, maps)):
        return f"{near}.{key}"
    names = [option.name for option in table().values() if option.kind not in ("map", "object")]
    names = [each for each in names if each not in without]
    within = [each for each in names if each.endswith(f".{name}")]
    return within[0] if within else nearest(name, names)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` begins or is most like; None for one that is like none."""
    known, word = list(known), word.lower()
    begun = [each for each in known if len(word) > 1 and each.startswith(word)]
    if len(begun) == 1:
        return begun[0]
    # The library's own cutoff, 0.6. Its time grows with both lengths.
    found = difflib.get_close_matches(word, known, n=1) if len(word) <= 40 else []
    return found[0] if found else None


def _find(name: str, without: frozenset[str]) -> tuple[list[str], Option]:
    head, _, key = name.partition(".")
    found = table().get(head)
    if found and found.kind == "map" and key:
        return [head, key], found
    found = table().get(name)
    if found is None or name in without:
        raise Unclear(f"There is no option {shown(name)} here.")
    return name.split("."), found


def _value(option: Option, name: str, text: str) -> Any:
    if option.kind == "map" and name != option.name:
        return text
    if option.nullable and text.lower() in NOTHING:
        return None
    if option.kind in ("map", "object"):
        inner = [each for each in table() if each.startswith(f"{option.name}.")]
        parts = " ".join(f"{each}=…" for each in inner) or f"{option.form}=…"
        raise Unclear(f"{shown(option.name)} is given part by part: {parts}.")
    if not text:
        raise Unclear(f"{shown(name)} has no value.")
    if option.kind == "number":
        if not is_number(text):
            raise Unclear(f"{shown(name)} must be a whole number, not {shown(text)}.")
        return int(text)
    if option.kind == "list":
        return [part.strip() for part in text.split(",")]
    return text


def _of_model(model: type[BaseModel], prefix: str) -> Iterable[Option]:
    for name, field in model.model_fields.items():
        kind, nullable, inner = _kind(field.annotation)
        yield Option(prefix + name, kind, nullable, field.default)
        if inner:
            yield from _of_model(inner, f"{prefix}{name}.")


def _kind(annotation: Any) -> tuple[Kind, bool, type[BaseModel] | None]:
    """(kind, whether it may be null, the model of an object)."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0])
    if type(None) in arguments:
        [other] = [each for each in arguments if each is not type(None)]
        kind, _, inner = _kind(other)
        return kind, True, inner
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "object", False, annotation
    kinds: dict[Any, Kind] = {int: "number", list: "list", dict: "map"}
    return kinds.get(origin or annotation, "text"), False, None
