"""Records and events of other versions of Slipway stay readable."""

import json

import pytest
from pydantic import BaseModel

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import FailureCode
from chalicelib.domain.parts import Event, EventType, Failure, Leftover, Resource, ResourceKind
from chalicelib.domain.stored_enum import StoredEnum
from tests.support.builders import MOMENT, active, failure_of

EVENT = Event(
    sequence=1,
    at=MOMENT,
    type=EventType.ACTIVE,
    generation=1,
    operation="create",
    status="ACTIVE",
)


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        (EVENT, "type", "deployment.active"),
        (failure_of("preflight"), "code", "IMAGE_NOT_FOUND"),
        (Resource(kind=ResourceKind.CLUSTER, name="a"), "kind", "cluster"),
        (Leftover(kind=ResourceKind.UNKNOWN, name="a", reason="b"), "kind", "unknown"),
    ],
)
def test_a_value_is_stored_as_text_and_an_unknown_one_is_kept(
    part: BaseModel, field: str, value: str
) -> None:
    document = json.loads(part.model_dump_json())
    assert document[field] == value
    assert type(part).model_validate(document) == part
    later = json.dumps({**document, field: "of.a.later.version"})
    read = type(part).model_validate_json(later)
    assert getattr(read, field) == "of.a.later.version"
    assert json.loads(read.model_dump_json()) == json.loads(later)


@pytest.mark.parametrize("enum", [EventType, FailureCode, ResourceKind])
def test_an_unknown_value_is_not_a_member(enum: type[StoredEnum]) -> None:
    unknown = enum("of.a.later.version")
    assert isinstance(unknown, enum)
    assert unknown == "of.a.later.version"
    assert f"{unknown}" == unknown.value == "of.a.later.version"
    assert unknown not in list(enum)
    assert len({unknown, enum("of.a.later.version")}) == 1


def test_a_value_must_be_text() -> None:
    with pytest.raises(ValueError, match="not a valid EventType"):
        EventType(7)


def test_a_record_of_a_later_version_is_readable() -> None:
    document = json.loads(active().model_dump_json())
    document["resources"] = [{"kind": "rule_of_tomorrow", "name": "a"}]
    document["failure"] = {**json.loads(failure_of("x").model_dump_json()), "code": "TOMORROW"}
    record = Deployment.model_validate_json(json.dumps(document))
    assert record.live("rule_of_tomorrow")[0].name == "a"
    assert isinstance(record.failure, Failure)
    assert json.loads(record.model_dump_json())["failure"]["code"] == "TOMORROW"
