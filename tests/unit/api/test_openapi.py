"""The OpenAPI document matches the API: both use the same routes and models."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from chalicelib.api.descriptions import DESCRIPTIONS
from chalicelib.domain.errors import ValidationFailed
from chalicelib.domain.spec import parsing
from chalicelib.domain.spec.fargate import MEMORY_BY_CPU
from chalicelib.routes import ROUTES, document
from infra import api_reference
from tests.support.builders import (
    ACCOUNT,
    DIGEST,
    LIMITS,
    PARAMETER,
    REGION,
    SECRET,
    body_of,
    spec_of,
)
from tests.support.gateway import Gateway, call, proxy_event
from tests.support.project import ROOT

SCHEMAS: dict[str, Any] = document()["components"]["schemas"]


def is_valid(name: str, body: Any) -> bool:
    """Whether a body matches the document's schema."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    return Draft202012Validator(schema).is_valid(body)


def is_accepted(body: Any) -> bool:
    try:
        parsing.parse(body, **LIMITS)
    except ValidationFailed:
        return False
    return True


def test_it_is_valid_openapi_3_1() -> None:
    validate(document())
    assert document()["openapi"].startswith("3.1.")


def test_it_needs_no_token() -> None:
    answer = call(proxy_event("GET", "/openapi.json", None, {}, {}))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == document()


def test_it_describes_every_operation_of_the_table() -> None:
    found = {
        (path, method.upper()): operation["operationId"]
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }
    assert found == {(each.path, each.method): each.name for each in ROUTES}


def test_no_other_request_builds_the_document() -> None:
    code = "import app, sys; print([m for m in sys.modules if 'openapi' in m or '_schema' in m])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "chalicelib.api.openapi" not in loaded.stdout
    assert "chalicelib.domain.spec.spec_schema" not in loaded.stdout


def test_every_field_is_described() -> None:
    bare = [
        f"{name}.{field}"
        for name, schema in SCHEMAS.items()
        for field, rules in schema.get("properties", {}).items()
        if "description" not in rules
    ]
    assert bare == []


def test_every_description_is_of_a_field() -> None:
    of_nothing = [
        f"{name}.{field}"
        for name, texts in DESCRIPTIONS.items()
        for field, text in texts.items()
        if SCHEMAS[name]["properties"].get(field, {}).get("description") != text
    ]
    assert of_nothing == []


def test_a_change_has_every_field_that_can_be_changed() -> None:
    fields = set(SCHEMAS["SpecInput"]["properties"])
    assert set(SCHEMAS["SpecChange"]["properties"]) == fields - parsing.FIXED
    assert is_valid("SpecChange", {"count": 2})
    assert not is_valid("SpecChange", {})
    assert not is_valid("SpecChange", {"name": "x"})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"image": f"{LIMITS['allowed_registries'][0]}/a/b-c_d.e@{DIGEST}"},
        {"cpu": 1024, "memory": 8192},
        {"memory": 2048},
        {"secrets": {"KEY": SECRET, "OTHER": PARAMETER}},
        {"secrets": {"KEY": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:slipway/a:k::"}},
        {"health_check": {"path": "/health?x=1", "status": "200,204-299"}},
        {"ttl": "90m", "command": ["a"], "tags": {"equipe": "modèles"}},
    ],
)
def test_accepted_bodies_match_the_schema(fields: dict[str, Any]) -> None:
    body = body_of(**fields)
    assert is_accepted(body)
    assert is_valid("SpecInput", body)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "internal-x"},
        {"name": "a" * 25},
        {"image": "nginx"},
        {"cpu": 300},
        {"cpu": 1024},
        {"memory": 4096},
        {"cpu": 256, "memory": 8192},
        {"port": 0},
        {"colour": "red"},
        {"environment": {"1": "x"}},
        {"secrets": {"KEY": "hunter2"}},
        {"health_check": {"path": "//x"}},
        {"health_check": {"status": "500"}},
        {"smoke_test": {"path": "http://x"}},
        {"ttl": "1w"},
        {"tags": {"AWS:x": "y"}},
        {"load_balancer": "none"},
    ],
)
def test_bodies_that_do_not_match_the_schema_are_refused(fields: dict[str, Any]) -> None:
    body = body_of(**fields)
    assert not is_valid("SpecInput", body)
    assert not is_accepted(body)


def test_the_sizes_are_those_of_fargate() -> None:
    sizes = {512, 1024, 3000, *(size for each in MEMORY_BY_CPU.values() for size in each)}
    for cpu in (*MEMORY_BY_CPU, 100):
        for memory in sizes:
            body = body_of(cpu=cpu, memory=memory)
            assert is_valid("SpecInput", body) == is_accepted(body), (cpu, memory)


def test_a_response_matches_its_schema(gateway: Gateway) -> None:
    answer = gateway.post("/deployments", body_of())
    assert is_valid("Deployment", answer.json)
    assert set(SCHEMAS["Deployment"]["required"]) == set(answer.json)
    problem = gateway.get("/deployments/nothing").json
    assert is_valid("Problem", problem)


def test_a_spec_has_the_same_shape_in_requests_and_responses() -> None:
    assert set(SCHEMAS["Spec"]["properties"]) == set(SCHEMAS["SpecInput"]["properties"])
    assert is_valid("Spec", json.loads(spec_of().model_dump_json()))


def test_the_page_is_up_to_date() -> None:
    assert api_reference.PAGE.read_text() == api_reference.page(), (
        "docs/api-reference.md is out of date: python -m infra.api_reference"
    )


def test_a_response_has_the_headers_of_its_status() -> None:
    responses = document()["paths"]["/deployments"]["post"]["responses"]
    assert set(responses["202"]["headers"]) == {"Location", "ETag", "Retry-After"}
    assert "headers" not in responses["200"]


def test_each_segment_of_a_path_is_described() -> None:
    for route in ROUTES:
        names = [each.name for each in route.path_parameters]
        assert re.findall(r"\{(\w+)\}", route.path) == names
