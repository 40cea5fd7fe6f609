"""Rules for what a request changes in a spec. What is stored already can break them.

A rule that is added later belongs here, not into a validator of `Spec`: the validators also read
stored records, and a PATCH carries the fields that it does not name along.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chalicelib.domain import json_pointer
from chalicelib.domain.spec import image_reference, secret_looks
from chalicelib.domain.spec.faults import fault, shown
from chalicelib.domain.spec.variables import NAME

Fault = dict[str, str]
# RegisterTaskDefinition refuses more: "Max allowed length is '65536' bytes."
# https://github.com/awsdocs/amazon-ecs-developer-guide/pull/149
TASK_DEFINITION_BYTES = 64 * 1024
# For everything else in the task definition: names, image, role ARNs, the options of the log, and
# the defaults that ECS adds.
RESERVED_BYTES = 4 * 1024
# RegisterTaskDefinition refuses more: "Container.image should be 255 characters or less".
# https://github.com/hashicorp/terraform-provider-aws/issues/22629
IMAGE_CHARACTERS = 255
NUL = "\0"
# `http_path.PATH` without fragments.
PATH = re.compile(r"/(?!/)[\x21\x22\x24-\x7e]{0,1023}|/")
USE_PAUSE = (
    "must be at least 1, not 0. Scaling to 0 would leave an ACTIVE deployment with no tasks. To "
    "stop all tasks and keep the URL, use `pause`: POST /deployments/{deployment}/pause"
)


def faults_of(body: Mapping[str, Any], before: Mapping[str, Any]) -> list[Fault]:
    """The faults in what differs between `body`, a whole spec as JSON, and the spec `before`.

    `before` is empty for a create. A value of the wrong type is skipped: the model reports it.
    """
    changed = {name: value for name, value in body.items() if before.get(name) != value}
    found: list[Fault] = []
    for name, rule in _RULES.items():
        if name in changed:
            found += [fault(name, message) for message in rule(changed[name], before.get(name))]
    found += _faults_of_paths(changed, before)
    found += _faults_of_pointers(changed)
    found += _faults_of_environment(body, before)
    if changed.keys() & {"command", "environment", "secrets"}:
        found += _faults_of_size(body)
    return found


# --- single fields ---------------------------------------------------------------------------


def _count(value: Any, before: Any) -> Iterator[str]:
    if isinstance(value, int) and not isinstance(value, bool) and value < 1:
        yield USE_PAUSE if value == 0 else f"must be at least 1, not {value}"


def _image(value: Any, before: Any) -> Iterator[str]:
    try:
        image = image_reference.parse(value) if isinstance(value, str) else None
    except ValueError:
        return
    if image is None:
        return
    if image.ecr and not image_reference.ECR_REPOSITORY.fullmatch(image.repository):
        yield (
            f"has the repository {shown(image.repository)}, which Amazon ECR does not allow: use 2 "
            "to 256 characters, and single `.`, `_` or `-` between letters and digits"
        )
    registered = image.pinned("sha256:" + "0" * 64) if image.ecr else value
    if len(registered) > IMAGE_CHARACTERS:
        with_digest = " with its digest" if image.ecr else ""
        yield (
            f"must have at most {IMAGE_CHARACTERS} characters{with_digest} (an ECS limit), not "
            f"{len(registered)}: use a shorter repository name"
        )


def _command(value: Any, before: Any) -> Iterator[str]:
    parts = value if isinstance(value, list) else []
    nuls = [str(number) for number, part in enumerate(parts) if NUL in str(part)]
    if nuls:
        yield (
            f"must not contain the NUL character (\\u0000), because no process can receive it: "
            f"remove it from item {', '.join(nuls)} (the first item is 0)"
        )
    if parts and parts[0] == "":
        yield "must not start with an empty item: the first item is the program or its argument"


def _tags(value: Any, before: Any) -> Iterator[str]:
    """The rules of Elastic Load Balancing and ECS that the model does not have.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-tags.html
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-using-tags.html
    """
    known = _strings(before)
    for key, text in _strings(value).items():
        if known.get(key) == text:
            continue
        if key != key.strip() or text != text.strip():
            yield f"{shown(key)} or its value starts or ends with a space: remove that space"
        if text.lower().startswith("aws:"):
            yield f"{shown(key)} has a value with the prefix aws:, which AWS reserves: change it"


def _secrets(value: Any, before: Any) -> Iterator[str]:
    odd = [name for name, arn in _strings(value).items() if not arn.isprintable()]
    if odd:
        yield (
            f"must contain ARNs without control characters: correct {', '.join(map(shown, odd))}"
        )


_RULES: dict[str, Callable[[Any, Any], Iterator[str]]] = {
    "image": _image,
    "count": _count,
    "command": _command,
    "secrets": _secrets,
    "tags": _tags,
}


def _faults_of_paths(changed: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[Fault]:
    for name in ("health_check", "smoke_test"):
        path, known = (_strings(each.get(name)).get("path", "") for each in (changed, before))
        if "#" in path and path != known:
            # A client never sends a fragment: RFC 9110, section 7.1.
            yield fault(
                f"{name}.path",
                f"must not contain a fragment: remove the # and what follows in {shown(path)}",
            )


def _faults_of_pointers(changed: Mapping[str, Any]) -> Iterator[Fault]:
    """Before JSON Pointers were understood, such a text was a key."""
    smoke_test = changed.get("smoke_test")
    for place in _list(smoke_test.get("json_has") if isinstance(smoke_test, dict) else None):
        is_pointer = isinstance(place, str) and place.startswith("/")
        if is_pointer and not json_pointer.POINTER.fullmatch(place):
            yield fault(
                "smoke_test.json_has",
                f"has {shown(place)}, which is not a JSON Pointer (RFC 6901): write `~` as ~0 and "
                "a `/` within a key as ~1",
            )


# --- environment -----------------------------------------------------------------------------


def _faults_of_environment(body: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[Fault]:
    values, stored = _strings(body.get("environment")), _strings(before.get("environment"))
    exempt = {each for each in _list(body.get("not_secret")) if isinstance(each, str)}
    no_longer = set(map(str, _list(before.get("not_secret")))) - exempt
    changed = {
        name: value
        for name, value in values.items()
        if NAME.fullmatch(name) and (stored.get(name) != value or name in no_longer)
    }
    if with_nul := [name for name, value in changed.items() if NUL in value]:
        yield fault(
            "environment",
            f"must not contain the NUL character (\\u0000), because no process can receive it: "
            f"remove it from {', '.join(with_nul)}",
        )
    looks = {
        name: reason
        for name, value in changed.items()
        if name not in exempt and (reason := secret_looks.reason(name, value))
    }
    if looks:
        listed = ", ".join(f"{name} ({reason})" for name, reason in looks.items())
        yield fault(
            "environment",
            f"must not contain what looks like a secret: {listed}. A task definition shows its "
            "values. Store each secret in Secrets Manager and send its ARN in `secrets`. If a "
            "value is not a secret, add its name to `not_secret`",
        )
    unknown = sorted(exempt - values.keys())
    if unknown:
        yield fault(
            "not_secret",
            f"must contain only names in `environment`, not {', '.join(map(shown, unknown))}",
        )


def not_secret_of(body: Mapping[str, Any]) -> list[Any]:
    """The `not_secret` of a merged spec, without the names that left its `environment`."""
    environment = body.get("environment")
    names = _list(body.get("not_secret"))
    return [n for n in names if n in environment] if isinstance(environment, dict) else names


# --- size ------------------------------------------------------------------------------------


def _faults_of_size(body: Mapping[str, Any]) -> Iterator[Fault]:
    """The fields of a task definition have no limits of their own that add up to its limit."""
    pairs = {
        "environment": [
            {"name": name, "value": value}
            for name, value in _strings(body.get("environment")).items()
        ],
        "secrets": [
            {"name": name, "valueFrom": arn} for name, arn in _strings(body.get("secrets")).items()
        ],
    }
    parts = {"command": _list(body.get("command")), **pairs}
    sizes = {name: len(json.dumps(part)) for name, part in parts.items() if part}
    total, most = sum(sizes.values()), TASK_DEFINITION_BYTES - RESERVED_BYTES
    if total > most:
        largest = max(sizes, key=lambda name: sizes[name])
        yield fault(
            largest,
            f"is too long: command, environment and secrets together have {total} bytes in the "
            f"task definition. At most {most} fit (an ECS limit). Shorten `{largest}`, or put its "
            "content into the image",
        )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _strings(value: Any) -> dict[str, str]:
    """The members of a JSON object whose values are strings."""
    members = value.items() if isinstance(value, dict) else ()
    return {name: text for name, text in members if isinstance(text, str)}
