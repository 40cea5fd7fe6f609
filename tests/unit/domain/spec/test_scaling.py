"""`scaling` in a spec: its rules, and how it works with `count`."""

from typing import Any

import pytest

from chalicelib.domain.errors import ValidationFailed
from chalicelib.domain.pricing import usd_per_hour
from chalicelib.domain.spec import parsing
from chalicelib.domain.spec.scaling import Scaling
from chalicelib.domain.spec.spec import Spec
from tests.support.builders import LIMITS, body_of, deployment_of, spec_of

SCALING: dict[str, Any] = {"min": 2, "max": 5, "metric": "requests_per_target", "target": 600}


def faults(body: Any) -> dict[str, str]:
    with pytest.raises(ValidationFailed) as raised:
        parsing.parse(body, **LIMITS)
    return {error["field"]: error["message"] for error in raised.value.errors}


def patch_faults(body: Any, **fields: Any) -> dict[str, str]:
    with pytest.raises(ValidationFailed) as raised:
        parsing.patched(spec_of(**fields), body, **LIMITS)
    return {error["field"]: error["message"] for error in raised.value.errors}


def patched(body: Any, **fields: Any) -> Spec:
    return parsing.patched(spec_of(**fields), body, **LIMITS)


def test_scaling_replaces_the_count() -> None:
    spec = spec_of(scaling=SCALING)
    assert (spec.count, spec.scaling) == (None, Scaling(**SCALING))
    assert spec_of(scaling=SCALING, count=None) == spec


def test_records_with_and_without_scaling_are_readable() -> None:
    spec = spec_of(scaling=SCALING)
    assert Spec.model_validate_json(spec.model_dump_json()) == spec
    before = spec_of(count=3).model_dump(exclude={"scaling"})
    assert Spec.model_validate(before) == spec_of(count=3)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"min": 0}, "min", "must be at least 1, not 0"),
        ({"min": 6}, "max", "must be at least `min` (6), not 5"),
        ({"max": 11}, "max", "must be at most 10, the task limit of one deployment, not 11"),
        ({"target": 0}, "target", "must be 1 to 1000000 requests per task per minute, not 0"),
        (
            {"metric": "cpu", "target": 101},
            "target",
            "must be 1 to 100 percent of the tasks' CPU, not 101",
        ),
        (
            {"metric": "cpu", "target": 0},
            "target",
            "must be 1 to 100 percent of the tasks' CPU, not 0",
        ),
        ({"metric": "memory"}, "metric", "must be 'requests_per_target' or 'cpu', not 'memory'"),
        ({"target": 1.5}, "target", "must be a whole number, not a decimal number"),
        ({"maxx": 5}, "maxx", 'Unknown field. Did you mean "max"?'),
    ],
)
def test_an_invalid_scaling_is_refused(changes: dict[str, Any], field: str, words: str) -> None:
    messages = faults(body_of(scaling={**SCALING, **changes}))
    assert list(messages) == [f"scaling.{field}"]
    assert words in messages[f"scaling.{field}"]


@pytest.mark.parametrize("metric", ["cpu", "requests_per_target"])
def test_the_limits_of_scaling_are_allowed(metric: str) -> None:
    for target in (1, 100):
        spec = spec_of(scaling={"min": 1, "max": 10, "metric": metric, "target": target})
        assert spec.least_tasks == 1


def test_faults_of_scaling_are_reported_with_other_faults() -> None:
    messages = faults(body_of(scaling={"min": 3, "max": 2, "metric": "x"}, port=0))
    assert set(messages) == {"scaling.max", "scaling.metric", "scaling.target", "port"}


def test_both_at_once_is_a_fault_of_the_count() -> None:
    assert faults(body_of(scaling=SCALING, count=2)) == {
        "count": "cannot be combined with scaling: send only one of the two"
    }
    # Also if either has faults of its own.
    messages = faults(body_of(scaling={**SCALING, "max": 0}, count=-1))
    assert set(messages) == {"count", "scaling.max"}


def test_neither_is_a_fault_of_the_count() -> None:
    assert "such as 1" in faults(body_of(count=None))["count"]
    assert spec_of(scaling=None, count=2).count == 2


def test_a_patch_with_scaling_replaces_the_count() -> None:
    spec = patched({"scaling": SCALING}, count=4)
    assert (spec.count, spec.least_tasks) == (None, 2)


def test_a_patch_leaves_the_scaling_as_it_is() -> None:
    assert patched({"port": 8080}, scaling=SCALING).scaling == Scaling(**SCALING)
    assert patched({"count": None}, scaling=SCALING).scaling == Scaling(**SCALING)


def test_a_patch_back_to_a_count_sets_both_fields() -> None:
    spec = patched({"scaling": None, "count": 3}, scaling=SCALING)
    assert (spec.scaling, spec.count) == (None, 3)
    assert "such as 1" in patch_faults({"scaling": None}, scaling=SCALING)["count"]
    messages = patch_faults({"count": 3}, scaling=SCALING)
    assert '"scaling": null' in messages["count"]
    assert set(patch_faults({"scaling": SCALING, "count": 3}, count=1)) == {"count"}


def test_a_deployment_starts_with_the_minimum_and_allows_the_maximum() -> None:
    scaled, counted = deployment_of(scaling=SCALING), deployment_of(count=3)
    assert (scaled.wanted_tasks, scaled.most_tasks) == (2, 5)
    assert (counted.wanted_tasks, counted.most_tasks) == (3, 3)


@pytest.mark.parametrize(("live", "held"), [(0, 2), (2, 2), (4, 4), (9, 5)])
def test_a_count_stays_within_the_bounds(live: int, held: int) -> None:
    assert Scaling(**SCALING).hold(live) == held


def test_scaling_costs_what_the_tasks_cost() -> None:
    scaled = spec_of(scaling=SCALING)
    assert usd_per_hour(scaled) == usd_per_hour(spec_of(count=2))
    assert usd_per_hour(scaled, tasks=4) == usd_per_hour(spec_of(count=4))
