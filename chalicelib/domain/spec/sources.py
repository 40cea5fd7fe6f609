"""Where the values of a spec come from: the caller, the image, its labels, or the defaults.

A `Spec` knows in `model_fields_set` what the caller set. A stored spec has every field, so the
record keeps the names beside it. In a record of an earlier version every value is the caller's, so
that it never changes by itself. A name is a field (`port`), or a
member of an object whose members have sources of their own (`health_check.path`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel

from chalicelib.domain.spec.health_check import HealthCheck
from chalicelib.domain.spec.image_settings import (
    HEALTH_CHECK_PATH,
    PREFIX,
    SMOKE_TEST,
    ImageSettings,
)
from chalicelib.domain.spec.smoke_test import REQUEST, SmokeTest
from chalicelib.domain.spec.spec import DEFAULT_PORT, Spec

DEFAULT_PATH = "/"
# The status that a health check expects of a path that someone chose, and of the default path.
STATUS_OF_A_CHOSEN_PATH = "200-399"
STATUS_OF_ANY_ANSWER = "200-499"
STATUS_OF_A_PREDICTION = "200-299"

WITH_MEMBERS: dict[str, type[BaseModel]] = {"health_check": HealthCheck, "smoke_test": SmokeTest}
PATH = "health_check.path"
Names = Collection[str]
Model = TypeVar("Model", bound=BaseModel)


class Source(StrEnum):
    """Where a value comes from."""

    CALLER = "caller"
    IMAGE = "image"
    LABEL = "label"
    DEFAULT = "default"


def named(spec: Spec) -> list[str]:
    """The names that the caller set. A null that means a default does not count."""
    names = set(spec.model_fields_set)
    if spec.port is None:
        names.discard("port")
    for field in names & WITH_MEMBERS.keys():
        inner: BaseModel = getattr(spec, field)
        members = [each for each in inner.model_fields_set if getattr(inner, each) is not None]
        names |= {f"{field}.{member}" for member in members}
    return sorted(names)


def marked(spec: Spec, names: Names) -> Spec:
    """A stored spec, which has every field, with what the caller set in `model_fields_set`."""
    inner = {field: _with(getattr(spec, field), _members(names, field)) for field in WITH_MEMBERS}
    return _with(spec, {name for name in names if "." not in name}, **inner)


def set_by_caller(spec: Spec, names: Names) -> dict[str, Any]:
    """The fields as JSON, with only those members of `health_check` and `smoke_test` in them."""
    fields = spec.model_dump(mode="json")
    for field in WITH_MEMBERS:
        members = _members(names, field)
        fields[field] = {name: fields[field][name] for name in sorted(members)}
    return fields


def after_patch(before: Names, changed: Spec, sent: Mapping[str, Any]) -> Spec:
    """`changed`, with the names of the spec before and of the fields that a PATCH sent.

    A field that was sent as null has its default again. What the image gives is not known yet.
    """
    kept = {name for name in before if _field(name) not in sent}
    new = {name for name in named(changed) if sent.get(_field(name)) is not None}
    names = kept | new
    return completed(changed, names, None)


def completed(spec: Spec, names: Names, image: ImageSettings | None) -> Spec:
    """The spec, with every value that the caller did not set taken from the image or the defaults.

    `image` is None until it has been read; until then the port is null. Raises `LabelFault`.
    """
    settings = image or ImageSettings()
    port = spec.port
    if "port" not in names:
        port = (settings.port or DEFAULT_PORT) if image else None
    health_check = _health_check(spec.health_check, names, settings)
    smoke_test = _smoke_test(spec.smoke_test, names, settings, health_check)
    fields = {name for name in names if "." not in name}
    return _with(spec, fields, port=port, health_check=health_check, smoke_test=smoke_test)


def of(spec: Spec, names: Names, image: ImageSettings | None) -> dict[str, Source]:
    """The source of each field and of `health_check.path`.

    An object is the caller's if the caller set it, even if a label sets one of its members.
    """
    settings = image or ImageSettings()
    sources = {
        name: Source.CALLER if name in names else Source.DEFAULT
        for name in (*type(spec).model_fields, PATH)
    }
    from_image = {"port": Source.IMAGE} if settings.port else {}
    for label in labels_used(names, settings):
        field = label.removeprefix(PREFIX)
        from_image |= {_field(field): Source.LABEL, field: Source.LABEL}
    taken = {name: source for name, source in from_image.items() if name not in names}
    return sources | {name: source for name, source in taken.items() if name in sources}


def labels_used(names: Names, image: ImageSettings) -> list[str]:
    """The labels that set a value of the spec."""
    used = [] if PATH in names else [HEALTH_CHECK_PATH]
    used += [] if _sets_request(names) else SMOKE_TEST
    return [label for label in used if label in image.labels]


def needs_image(names: Names) -> bool:
    """Whether a value can come from the image."""
    return not {"port", PATH} <= set(names) or not _sets_request(names)


def proves_prediction(names: Names, image: ImageSettings | None) -> bool:
    """Whether the caller or a label describes the smoke test.

    By default it only requests the health check's path again.
    """
    return bool(_members(names, "smoke_test")) or _takes_labels(names, image or ImageSettings())


def _health_check(check: HealthCheck, names: Names, image: ImageSettings) -> HealthCheck:
    path = check.path if PATH in names else image.health_check_path
    status = STATUS_OF_A_CHOSEN_PATH if path else STATUS_OF_ANY_ANSWER
    if "health_check.status" in names and check.status:
        status = check.status
    return _with(check, _members(names, "health_check"), path=path or DEFAULT_PATH, status=status)


def _smoke_test(
    test: SmokeTest, names: Names, image: ImageSettings, health_check: HealthCheck
) -> SmokeTest:
    members = _members(names, "smoke_test")
    if _sets_request(names):
        request = {member: getattr(test, member) for member in REQUEST if member in members}
    else:
        request = image.smoke_test
    is_prediction = proves_prediction(names, image)
    defaults = {
        "path": health_check.path,
        "method": "GET",
        "body": None,
        "status": STATUS_OF_A_PREDICTION if is_prediction else health_check.status,
    }
    own = {"status": test.status} if "status" in members else {}
    return _with(test, members, **{**defaults, **request, **own})


def _sets_request(names: Names) -> bool:
    return not _members(names, "smoke_test").isdisjoint(REQUEST)


def _takes_labels(names: Names, image: ImageSettings) -> bool:
    return not SMOKE_TEST.keys().isdisjoint(labels_used(names, image))


def _members(names: Names, field: str) -> set[str]:
    return {name.partition(".")[2] for name in names if name.startswith(f"{field}.")}


def _field(name: str) -> str:
    return name.partition(".")[0]


def _with(model: Model, fields_set: set[str], **values: Any) -> Model:
    """A copy with other values, and with this `model_fields_set`."""
    return type(model).model_construct(fields_set, **{**dict(model), **values})
