import re
from typing import Any

import pytest

from chalicelib.domain.errors import ValidationFailed
from chalicelib.domain.spec import hints
from chalicelib.domain.spec.spec import Spec
from tests.support.builders import spec_of


def message_of(field: str, **fields: Any) -> str:
    with pytest.raises(ValidationFailed) as raised:
        spec_of(**fields)
    return next(each["message"] for each in raised.value.errors if each["field"] == field)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("gpu", "Fargate has no GPUs"),
        ("env", "Use `environment`"),
        ("environment_variables", "Use `environment`"),
        ("env_file", "Use `environment`"),
        ("dockerfile", "Build and push the image"),
        ("memory_gb", "Use `memory`, in MiB"),
        ("log_retention", "CloudWatch Logs"),
        ("replicas", "Use `count`"),
        ("instances", "Use `count`"),
        ("min_replicas", "Use `scaling`"),
        ("maxReplicas", "Use `scaling`"),
        ("timeout", "`request_timeout`"),
        ("volumes", "no volumes"),
        ("healthcheck", "Use `health_check`"),
        ("containerPort", "Use `port`"),
        ("ports", "Use `port`"),
        ("cpu_units", "Use `cpu`"),
        ("mem", "Use `memory`"),
        ("region", "region of its stack"),
        ("iam_role", "Use `task_role_arn`"),
        ("args", "Use `command`"),
        ("entrypoint", "Use `command`"),
        ("grace", "Use `health_check.grace`"),
        ("json_has", "Use `smoke_test.json_has`"),
        ("path", "Use `health_check.path` or `smoke_test.path`"),
    ],
)
def test_a_field_of_other_tools_gets_a_hint(name: str, part: str) -> None:
    message = message_of(name, **{name: 1})
    assert message.startswith("Unknown field. ")
    assert part in message


@pytest.mark.parametrize(
    ("parent", "name", "part"),
    [
        ("health_check", "port", "the deployment's own `port`"),
        ("health_check", "startPeriod", "Use `grace`"),
        ("health_check", "retries", "Slipway sets the number of checks"),
        ("health_check", "env", "Use `environment`"),
        ("health_check", "memory", "`memory` belongs to the top of the body"),
        ("smoke_test", "url", "Use `path`"),
        ("smoke_test", "timeout", "Use `max_latency_ms`"),
        ("smoke_test", "expected_status", "Use `status`"),
        ("scaling", "min_replicas", "Use `min`"),
        ("scaling", "cooldown", "Slipway sets the cooldowns"),
        ("scaling", "gpu", "Fargate has no GPUs"),
    ],
)
def test_a_field_inside_an_object_gets_a_hint(parent: str, name: str, part: str) -> None:
    assert part in message_of(f"{parent}.{name}", **{parent: {name: 1}})


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("portt", "port"),
        ("PORT", "port"),
        ("Memory", "memory"),
        ("smokeTest", "smoke_test"),
        ("Request-Timeout", "request_timeout"),
        ("TASK_ROLE_ARNS", "task_role_arn"),
    ],
)
def test_a_misspelled_field_still_gets_its_nearest_name(name: str, nearest: str) -> None:
    assert message_of(name, **{name: 1}) == f'Unknown field. Did you mean "{nearest}"?'


@pytest.mark.parametrize("name", ["priority", "cron", "online", "checks", "rollout", "track"])
def test_a_field_that_only_looks_a_little_similar_gets_no_wrong_suggestion(name: str) -> None:
    message = message_of(name, **{name: 1})
    assert message == "Unknown field. GET /openapi.json lists the allowed fields"


def test_every_field_that_a_hint_names_exists() -> None:
    fields = set(Spec.model_fields)
    for hint in hints.TOP.values():
        named = re.findall(r"`([a-z_]+)(?:\.[a-z_]+)?`", hint)
        assert set(named) <= {*fields, "min", "max"}, hint


def test_thousands_of_unknown_fields_are_all_reported() -> None:
    with pytest.raises(ValidationFailed) as raised:
        spec_of(**{f"f{number:04}": 1 for number in range(6000)})
    assert len(raised.value.errors) == 6000
