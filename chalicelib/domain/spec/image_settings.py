"""What the image says about itself: its exposed port, and its labels for Slipway."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel, ValidationError

from chalicelib.domain.spec import faults, request_body, request_rules
from chalicelib.domain.spec.health_check import HealthCheck
from chalicelib.domain.spec.smoke_test import REQUEST, SmokeTest

PREFIX = "slipway."
HEALTH_CHECK_PATH = f"{PREFIX}health_check.path"
SMOKE_TEST = {f"{PREFIX}smoke_test.{member}": member for member in REQUEST}
LABELS = (HEALTH_CHECK_PATH, *SMOKE_TEST)
# A longer label is not valid. It is cut, because the record keeps it.
MOST_CHARACTERS = request_body.MOST_BYTES
_EXPOSED = re.compile(r"(\d{1,5})(?:/tcp)?", re.ASCII | re.IGNORECASE)


class LabelFault(ValueError):
    """A label that Slipway cannot use; the message names it and says what is allowed."""


class ImageSettings(BaseModel):
    """What a spec takes from its image.

    Attributes:
        ports: the exposed TCP ports.
        labels: the known labels with a value. They are checked when they are used, because the
            caller may set the field instead.
        unknown: the names of other labels that begin with `slipway.`.
    """

    ports: list[int] = []
    labels: dict[str, str] = {}
    unknown: list[str] = []

    @classmethod
    def of_config(cls, config: dict[str, Any]) -> ImageSettings:
        """The settings in an image config.

        https://github.com/opencontainers/image-spec/blob/main/config.md
        """
        execution = _object(config.get("config"))
        exposed = _object(execution.get("ExposedPorts"))
        numbers = {int(match[1]) for name in exposed if (match := _EXPOSED.fullmatch(name))}
        texts = _object(execution.get("Labels"))
        own = {name: _text(texts[name]) for name in sorted(texts) if name.startswith(PREFIX)}
        return cls(
            ports=sorted(number for number in numbers if 1 <= number <= 65535)[:2],
            # An empty label removes the one of a base image.
            labels={name: text for name, text in own.items() if name in LABELS and text},
            unknown=[name[:128] for name in own if name not in LABELS][:10],
        )

    @property
    def port(self) -> int | None:
        """The only exposed TCP port; None if there is no port, or more than one."""
        return self.ports[0] if len(self.ports) == 1 else None

    @property
    def health_check_path(self) -> str | None:
        """The path in the label. Raises `LabelFault`."""
        path = self.labels.get(HEALTH_CHECK_PATH)
        if path is not None:
            _check(HealthCheck, "health_check", {"path": path}, {"path": HEALTH_CHECK_PATH})
        return path

    @property
    def smoke_test(self) -> dict[str, Any]:
        """The members of `smoke_test` in the labels. Raises `LabelFault`."""
        members: dict[str, Any] = {
            member: self.labels[label]
            for label, member in SMOKE_TEST.items()
            if label in self.labels
        }
        names = {member: label for label, member in SMOKE_TEST.items()}
        if "body" in members:
            members["body"] = _json(names["body"], members["body"])
        _check(SmokeTest, "smoke_test", members, names)
        return members


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    """A label as text. A builder writes only strings; anything else is not valid later."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text[: MOST_CHARACTERS + 1]


def _json(label: str, text: str) -> Any:
    try:
        if len(text) > MOST_CHARACTERS:
            raise LabelFault(f"The image label {label} has more than {MOST_CHARACTERS} characters")
        return json.loads(text, parse_constant=_no_constant)
    except LabelFault:
        raise
    except (ValueError, RecursionError):
        raise LabelFault(
            f"The image label {label} must be JSON, not {faults.shown(text)}. Write another body "
            'as {"text": "...", "content_type": "..."}'
        ) from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _check(
    model: type[BaseModel], field: str, members: dict[str, Any], labels: dict[str, str]
) -> None:
    """Applies the rules of a request; `labels` has the label of each member."""
    found = [
        {**each, "field": each["field"].removeprefix(f"{field}.")}
        for each in request_rules.faults_of({field: members}, {})
    ]
    try:
        model.model_validate(members)
    except ValidationError as error:
        found = [faults.from_pydantic(each, model) for each in error.errors()]
    if found:
        label = labels[found[0]["field"].partition(".")[0]]
        raise LabelFault(f"The image label {label} {found[0]['message']}")
