"""Rules for what a request changes. A stored spec can break them."""

import json
from typing import Any

import pytest

from chalicelib.domain.errors import ValidationFailed
from chalicelib.domain.spec import parsing, request_rules
from chalicelib.domain.spec.spec import Spec
from tests.support.builders import LIMITS, REGISTRY, SECRET, body_of, spec_of


def faults(**fields: Any) -> dict[str, str]:
    with pytest.raises(ValidationFailed) as raised:
        spec_of(**fields)
    return {error["field"]: error["message"] for error in raised.value.errors}


def stored(**fields: Any) -> Spec:
    """A spec as an earlier version stored it."""
    return Spec.model_validate_json(json.dumps(body_of(**fields)))


def patch(spec: Spec, **fields: Any) -> Spec:
    return parsing.patched(spec, fields, **LIMITS)


# --- secrets in the environment --------------------------------------------------------------


def test_every_variable_that_looks_like_a_secret_is_named_with_the_reason() -> None:
    message = faults(environment={"DB_PWD": "hush", "A": "b", "CONFIG": "ghp_" + "h" * 30})
    assert "DB_PWD (by its name), CONFIG (by its value)" in message["environment"]
    assert "`not_secret`" in message["environment"]
    assert "hush" not in str(message) and "hhh" not in str(message)


def test_not_secret_overrules_the_name_and_the_value() -> None:
    environment = {"DB_PWD": "hush", "CONFIG": "ghp_" + "h" * 30}
    spec = spec_of(environment=environment, not_secret=["DB_PWD", "CONFIG"])
    assert (spec.environment, spec.not_secret) == (environment, ["DB_PWD", "CONFIG"])
    assert "CONFIG" in faults(environment=environment, not_secret=["DB_PWD"])["environment"]


def test_not_secret_has_only_names_of_the_environment() -> None:
    assert faults(environment={"A": "b"}, not_secret=["B", "A"]) == {
        "not_secret": "must contain only names in `environment`, not 'B'"
    }
    assert faults(environment={"A": "b"}, not_secret=["A", "A"]) == {
        "not_secret": "must not repeat a name: 'A'"
    }


def test_a_patch_reports_only_the_variables_that_it_changes() -> None:
    spec = stored(environment={"DB_PWD": "hush", "A": "b"})
    assert patch(spec, count=2).environment == spec.environment
    assert patch(spec, environment={**spec.environment, "A": "c"}).environment["A"] == "c"
    with pytest.raises(ValidationFailed) as raised:
        patch(spec, environment={"DB_PWD": "other", "API_KEY": "hush"})
    assert "DB_PWD (by its name), API_KEY (by its name)" in raised.value.errors[0]["message"]


def test_a_patch_of_not_secret_applies_to_the_stored_environment() -> None:
    spec = spec_of(environment={"DB_PWD": "hush"}, not_secret=["DB_PWD"])
    with pytest.raises(ValidationFailed) as raised:
        patch(spec, not_secret=[])
    assert [fault["field"] for fault in raised.value.errors] == ["environment"]
    assert patch(spec, environment={"DB_PWD": "other"}).not_secret == ["DB_PWD"]


def test_a_patch_that_repeats_not_secret_is_checked_against_the_new_environment() -> None:
    spec = spec_of(environment={"DB_PWD": "hush"}, not_secret=["DB_PWD"])
    with pytest.raises(ValidationFailed, match="not_secret"):
        patch(spec, environment={"A": "b"}, not_secret=["DB_PWD"])


def test_a_name_that_leaves_the_environment_leaves_not_secret() -> None:
    spec = spec_of(environment={"DB_PWD": "hush", "A": "b"}, not_secret=["DB_PWD"])
    changed = patch(spec, environment={"A": "b"})
    assert changed.not_secret == []
    # What a response shows can be sent again.
    assert parsing.parse(changed.model_dump(), **LIMITS) == changed


# --- what AWS would refuse later -------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "field", "part"),
    [
        ({"command": ["serve", "a\0b", "\0"]}, "command", "from item 1, 2"),
        ({"command": ["", "serve"]}, "command", "must not start with an empty item"),
        ({"environment": {"A": "b\0", "C": "d"}}, "environment", "remove it from A"),
        ({"secrets": {"A": f"{SECRET}:key\0::"}}, "secrets", "control characters: correct 'A'"),
        ({"tags": {"team ": "a"}}, "tags", "starts or ends with a space"),
        ({"tags": {"team": " a"}}, "tags", "starts or ends with a space"),
        ({"tags": {"team": "AWS:a"}}, "tags", "prefix aws:, which AWS reserves"),
        ({"health_check": {"path": "/up#now"}}, "health_check.path", "must not contain a fragment"),
        ({"smoke_test": {"path": "/#x"}}, "smoke_test.path", "must not contain a fragment"),
        ({"image": f"{REGISTRY}/{'a' * 150}:1"}, "image", "at most 255 characters with its digest"),
        ({"image": f"{REGISTRY}/a:1"}, "image", "Amazon ECR does not allow"),
        ({"image": f"{REGISTRY}/team__a:1"}, "image", "Amazon ECR does not allow"),
    ],
)
def test_what_aws_would_refuse_later_is_refused_now(
    fields: dict[str, Any], field: str, part: str
) -> None:
    message = faults(**fields)
    assert set(message) == {field}
    assert part in message[field]


@pytest.mark.parametrize(
    "fields",
    [
        {"command": ["serve", ""]},
        {"command": ["sh", "-c", "a\n\tb"]},
        {"environment": {"A": "line 1\nline 2", "AWS_REGION": "us-east-1"}},
        {"image": f"{REGISTRY}/team/my-model_v2.x:1"},
        {"image": f"{REGISTRY}/{'a' * 130}:1"},
    ],
)
def test_what_aws_accepts_is_accepted(fields: dict[str, Any]) -> None:
    spec_of(**fields)


def room(**fields: Any) -> int:
    """How many bytes of `command` still fit beside the fields."""
    size = sum(len(json.dumps(value)) for value in fields.values())
    most = request_rules.TASK_DEFINITION_BYTES - request_rules.RESERVED_BYTES
    return most - size - len('[""]')


def test_a_command_that_fills_the_task_definition_is_accepted_and_one_byte_more_is_not() -> None:
    spec_of(command=["x" * room()])
    message = faults(command=["x" * (room() + 1)])
    assert "61441 bytes in the task definition. At most 61440 fit" in message["command"]


def test_the_largest_field_is_named_and_all_fields_count() -> None:
    long_arns = {f"S{n}": SECRET.replace("hub-", "h" * 480 + "-") for n in range(64)}
    assert set(faults(secrets=long_arns, command=["x" * 30_000])) == {"secrets"}
    spec_of(secrets=long_arns)
    spec_of(command=["x" * 30_000])


def test_escapes_count_as_they_are_sent() -> None:
    assert set(faults(command=["\n" * (room() // 2 + 1)])) == {"command"}


def test_a_patch_of_a_stored_spec_that_is_too_long_may_change_something_else() -> None:
    spec = stored(command=["x" * 64_000, "\0"], tags={"team ": "a"}, image=f"{REGISTRY}/a:1")
    assert patch(spec, port=8080).command == spec.command
    assert patch(spec, tags={**spec.tags, "b": "c"}).tags == {"team ": "a", "b": "c"}


# --- count -----------------------------------------------------------------------------------


def test_a_count_of_zero_is_refused_with_the_hint_to_pause() -> None:
    assert "use `pause`" in faults(count=0)["count"]
    assert faults(count=-1) == {"count": "must be at least 1, not -1"}
    with pytest.raises(ValidationFailed, match="count"):
        patch(spec_of(), count=0)


def test_a_stored_count_of_zero_stays_readable_and_other_fields_can_change() -> None:
    spec = stored(count=0)
    assert patch(spec, port=8080).count == 0


def test_wrong_types_are_reported_by_the_model() -> None:
    message = faults(
        command=7, environment=[], tags="x", secrets=7, image=7, not_secret="x", count="0"
    )
    assert {field.partition(".")[0] for field in message} == {
        *("command", "environment", "tags", "secrets", "image", "not_secret", "count")
    }
    assert all(text.startswith("must be ") for text in message.values())
