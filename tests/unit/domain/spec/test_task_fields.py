"""`request_timeout`, `storage_gib` and `task_role_arn`."""

from typing import Any

import pytest

from chalicelib.domain.errors import ValidationFailed
from chalicelib.domain.spec import parsing
from chalicelib.domain.spec.spec import Spec
from tests.support.builders import IMAGE, LIMITS, TASK_ROLE, body_of, spec_of


def fault(**fields: Any) -> str:
    with pytest.raises(ValidationFailed) as raised:
        parsing.parse(body_of(**fields), **LIMITS)
    [error] = raised.value.errors
    assert error["field"] == next(iter(fields))
    return error["message"]


def stored() -> Spec:
    """A spec that the version before these fields stored."""
    new = ("request_timeout", "storage_gib", "task_role_arn")
    return Spec.model_validate(spec_of().model_dump(exclude=set(new)))


def test_the_defaults() -> None:
    spec = spec_of()
    assert (spec.request_timeout, spec.storage_gib, spec.task_role_arn) == (60, 20, None)


def test_null_is_the_default() -> None:
    assert spec_of(request_timeout=None, task_role_arn=None) == spec_of()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"request_timeout": 0}, "must be at least 1, not 0"),
        ({"request_timeout": 3601}, "must be at most 3600, not 3601"),
        ({"request_timeout": "60"}, "must be a whole number, not a string"),
        ({"request_timeout": 1.5}, "must be a whole number"),
        ({"storage_gib": 19}, "must be at least 20, not 19"),
        ({"storage_gib": 201}, "must be at most 200, not 201"),
    ],
)
def test_numbers_have_bounds(fields: dict[str, Any], words: str) -> None:
    assert words in fault(**fields)


@pytest.mark.parametrize("value", [1, 60, 3600])
def test_a_request_may_take_from_a_second_to_an_hour(value: int) -> None:
    assert spec_of(request_timeout=value).request_timeout == value


@pytest.mark.parametrize("value", [20, 21, 200])
def test_a_task_may_have_up_to_200_gib(value: int) -> None:
    assert spec_of(storage_gib=value).storage_gib == value


def test_a_stored_spec_keeps_what_its_version_set() -> None:
    spec = stored()
    assert (spec.request_timeout, spec.storage_gib, spec.task_role_arn) == (None, 20, None)
    assert parsing.patched(spec, {"count": 2}, **LIMITS).request_timeout is None


@pytest.mark.parametrize(("value", "seconds"), [(20, 20), (None, 60)])
def test_a_change_that_names_the_field_sets_it(value: int | None, seconds: int) -> None:
    assert (
        parsing.patched(stored(), {"request_timeout": value}, **LIMITS).request_timeout == seconds
    )


def test_a_change_of_another_field_keeps_it() -> None:
    spec = spec_of(request_timeout=20, storage_gib=50, task_role_arn=TASK_ROLE)
    changed = parsing.patched(spec, {"count": 2}, **LIMITS)
    assert (changed.request_timeout, changed.storage_gib) == (20, 50)
    assert changed.task_role_arn == TASK_ROLE


def test_an_allowed_role_is_accepted() -> None:
    assert spec_of(task_role_arn=TASK_ROLE).task_role_arn == TASK_ROLE


def test_a_role_that_is_not_allowed_is_refused_with_the_allowed_ones() -> None:
    other = TASK_ROLE.replace("model-reader", "admin")
    message = fault(task_role_arn=other)
    assert TASK_ROLE in message and other in message
    assert "AllowedTaskRoles" in message


def test_without_allowed_roles_the_message_says_that_none_is_set() -> None:
    with pytest.raises(ValidationFailed) as raised:
        parsing.parse(body_of(task_role_arn=TASK_ROLE), **{**LIMITS, "allowed_task_roles": ()})
    assert "must be an allowed role (none is set)" in raised.value.errors[0]["message"]


@pytest.mark.parametrize(
    "value",
    [
        "model-reader",
        TASK_ROLE[:-1] + "*",
        TASK_ROLE + "*",
        TASK_ROLE.replace(":role/", ":user/"),
        TASK_ROLE.replace(":role/", ":instance-profile/"),
        f"{TASK_ROLE},{TASK_ROLE}",
        f" {TASK_ROLE}",
        f"{TASK_ROLE}\n",
        "arn:aws:sts::123456789012:assumed-role/model-reader/session",
        "",
        IMAGE,
    ],
)
def test_only_the_arn_of_a_role_is_accepted(value: str) -> None:
    assert "must be the ARN of an IAM role" in fault(task_role_arn=value)
