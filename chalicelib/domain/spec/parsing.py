"""Parses request bodies as specs: the rules of `Spec`, and those about what a request changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, Unpack

from pydantic import ValidationError

from chalicelib.domain.spec import faults, request_rules, scaling, sources
from chalicelib.domain.spec import request_timeout as request_timeouts
from chalicelib.domain.spec.spec import Spec

FIXED = {"name", "load_balancer", "architecture"}
FIXED_RULE = "cannot be changed: delete this deployment and create a new one"
MOST_BYTES = 64 * 1024


class Limits(TypedDict):
    """The stack's limits, for `parse` and `patched`.

    `callback_fault` is the fault of the body's `callback_url`, or None. The caller of `parse`
    checks the URL, because that needs a DNS lookup.
    """

    allowed_registries: tuple[str, ...]
    max_tasks: int
    region: NotRequired[str]
    allowed_secrets: NotRequired[tuple[str, ...]]
    allowed_domains: NotRequired[tuple[str, ...]]
    allowed_task_roles: NotRequired[tuple[str, ...]]
    callback_fault: NotRequired[str | None]


def parse(body: Any, **limits: Unpack[Limits]) -> Spec:
    """The spec in a request body, with its defaults. `model_fields_set` has what the caller set.

    Raises `ValidationFailed` that lists every fault.
    """
    spec = _validate(body, limits)
    return _bounded(sources.completed(spec, sources.named(spec), None))


def patched(spec: Spec, body: Any, **limits: Unpack[Limits]) -> Spec:
    """`spec` with the fields of a PATCH body; each replaces the whole field, and null resets it.

    Values that the caller did not set stay as they are, until the image is resolved again.
    Raises `ValidationFailed` that lists every fault.
    """
    if isinstance(body, dict) and not body:
        raise faults.refused(
            [
                faults.fault(
                    "", "The body is empty. Send at least one field to change, such as count"
                )
            ]
        )
    if not isinstance(body, dict):
        raise faults.refused([faults.not_an_object(body)])
    # An unknown name stays in the body even if it is null, so that the model reports it.
    reset = {name for name in Spec.model_fields if name in body and body[name] is None}
    before = spec.model_dump()
    merged = {name: value for name, value in {**before, **body}.items() if name not in reset}
    changed = _validate(merged, limits, sent=body, before=before)
    return _bounded(sources.after_patch(sources.named(spec), changed, body))


def _bounded(spec: Spec) -> Spec:
    if spec.size > MOST_BYTES:
        message = (
            f"The spec with its defaults has {spec.size} bytes. At most {MOST_BYTES} are allowed"
        )
        raise faults.refused([faults.fault("", message)])
    return spec


def _validate(
    body: Any, limits: Limits, sent: Any = None, before: Mapping[str, Any] | None = None
) -> Spec:
    """`sent` is the body of a PATCH of the spec `before`; `body` is the spec that results."""
    if not isinstance(body, dict):
        raise faults.refused([faults.not_an_object(body)])
    own = [faults.fault(field, FIXED_RULE) for field in sorted(FIXED & set(sent or ()))]
    named = body if sent is None else sent
    if conflict := scaling.conflict(body, named):
        own.append(faults.fault("count", conflict))
    body = scaling.without_count(body, named)
    if "not_secret" not in named and "not_secret" in body:
        body = {**body, "not_secret": request_rules.not_secret_of(body)}
    reported = {(each["field"],) for each in own}
    own += request_rules.faults_of(body, before or {})
    nothing = dict.fromkeys(("allowed_secrets", "allowed_domains", "allowed_task_roles"), ())
    timeout = request_timeouts.default(named, before)
    context = {"region": "", **nothing, **limits, request_timeouts.NAME: timeout}
    try:
        spec = Spec.model_validate(body, context=context)
    except ValidationError as error:
        others = [
            faults.from_pydantic(each, Spec)
            for each in error.errors()
            if each["loc"][:1] not in reported
        ]
        raise faults.refused(own + others) from None
    if own:
        raise faults.refused(own)
    return spec
