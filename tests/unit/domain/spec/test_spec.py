from typing import Any

import pytest

from chalicelib.domain.errors import ValidationFailed
from chalicelib.domain.spec import extension, parsing, time_to_live
from chalicelib.domain.spec import spec as specs
from tests.support.builders import (
    ACCOUNT,
    CERTIFICATE,
    DIGEST,
    DOMAIN,
    IMAGE,
    LIMITS,
    PARAMETER,
    REGION,
    REGISTRY,
    SECRET,
    body_of,
    spec_of,
)


def faults(body: Any) -> dict[str, str]:
    """Field -> message of every fault of `body`."""
    with pytest.raises(ValidationFailed) as raised:
        parsing.parse(body, **LIMITS)
    return {error["field"]: error["message"] for error in raised.value.errors}


def patch_faults(body: Any, **fields: Any) -> dict[str, str]:
    with pytest.raises(ValidationFailed) as raised:
        parsing.patched(spec_of(**fields), body, **LIMITS)
    return {error["field"]: error["message"] for error in raised.value.errors}


def test_five_faults_are_reported_at_once() -> None:
    body = {
        "name": "-x",
        "image": "docker.io/library/nginx:1",
        "cpu": 256,
        "memory": 4096,
        "port": 0,
        "prot": 80,
    }
    messages = faults(body)
    assert set(messages) == {"name", "image", "memory", "port", "prot"}
    assert "allowed registry" in messages["image"]
    assert "512, 1024 or 2048" in messages["memory"]
    assert messages["prot"] == 'Unknown field. Did you mean "port"?'


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"port": 0}, "port", "must be at least 1, not 0"),
        ({"port": 70000}, "port", "must be at most 65535, not 70000"),
        ({"port": "http"}, "port", "must be a whole number, not a string"),
        ({"command": []}, "command", "must have at least 1 item, not 0"),
        ({"command": ["x"] * 65}, "command", "must have at most 64 items, not 65"),
        ({"command": "python"}, "command", "must be a list, not a string"),
        (
            {"smoke_test": {"json_has": [""]}},
            "smoke_test.json_has.0",
            "must have at least 1 character, not 0",
        ),
        ({"ttl": 8}, "ttl", "must be a string, not a number"),
        ({"secrets": {"A": 5}}, "secrets.A", "must be a string, not a number"),
        (
            {"on_failure": "x" * 80},
            "on_failure",
            f"must be 'teardown' or 'keep', not '{'x' * 60}…'",
        ),
        (
            {"zzz": 1},
            "zzz",
            "Unknown field. GET /openapi.json lists the allowed fields",
        ),
        (
            {"scaling": {"min": 1, "max": 2, "metric": "cpu", "target": 50, "zzz": 1}},
            "scaling.zzz",
            "Unknown field. Allowed fields: min, max, metric, target",
        ),
        ({"environment": []}, "environment", "must be an object, not a list"),
        ({"scaling": []}, "scaling", "must be an object, not a list"),
        (
            {"cpu": 256, "memory": 4096},
            "memory",
            "must be 512, 1024 or 2048 MiB when cpu is 256 (a Fargate limit), not 4096",
        ),
    ],
)
def test_a_fault_has_the_contracts_text(fields: dict[str, Any], field: str, message: str) -> None:
    assert faults(body_of(**fields)) == {field: message}


def test_the_detail_counts_and_names_the_faults() -> None:
    with pytest.raises(ValidationFailed, match=r"^The body has 2 faults: image, port\.$"):
        parsing.parse({"name": "x", "port": 0}, **LIMITS)
    with pytest.raises(ValidationFailed, match=r"^The body has 1 fault: body\.$"):
        parsing.parse([], **LIMITS)


def test_omitted_fields_have_defaults() -> None:
    assert spec_of().model_dump() == {
        "name": "recommender",
        "image": IMAGE,
        "port": None,
        "cpu": 256,
        "memory": 512,
        "architecture": "X86_64",
        "scaling": None,
        "count": 1,
        "command": None,
        "environment": {},
        "not_secret": [],
        "secrets": {},
        "health_check": {
            "path": "/",
            "status": "200-499",
            "interval": 5,
            "timeout": 4,
            "grace": 60,
        },
        "smoke_test": {
            "path": "/",
            "method": "GET",
            "headers": {},
            "body": None,
            "status": "200-499",
            "json_has": [],
            "max_latency_ms": None,
        },
        "storage_gib": 20,
        "task_role_arn": None,
        "request_timeout": 60,
        "load_balancer": "dedicated",
        "ingress_cidrs": ["0.0.0.0/0"],
        "certificate_arn": None,
        "domain": None,
        "ttl": None,
        "on_failure": "teardown",
        "callback_url": None,
        "tags": {},
    }


def test_the_smoke_test_requests_the_health_check_path_by_default() -> None:
    assert spec_of(health_check={"path": "/health"}).smoke_test.path == "/health"
    own = spec_of(health_check={"path": "/health"}, smoke_test={"path": "/?uid=20"})
    assert own.smoke_test.path == "/?uid=20"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "x"},
        {"name": "x1"},
        {"name": "a--b"},
        {"name": "a" * 24},
        {"name": "internals"},
        {"name": "my-internal-x"},
        {"image": f"{REGISTRY}/team/recommend@{DIGEST}"},
        {"port": 1},
        {"port": 65535},
        {"cpu": 256, "memory": 2048},
        {"cpu": 512, "memory": 1024},
        {"cpu": 4096, "memory": 30720},
        {"cpu": 8192, "memory": 16384},
        {"cpu": 16384, "memory": 122880},
        {"architecture": "ARM64"},
        {"count": 10},
        {"command": ["python"]},
        {"command": ["x"] * 64},
        {"environment": {"TOKENIZERS_PARALLELISM": "false"}},
        {"environment": {"MAX_TOKENS": "5", "KEYBOARD": "de", "_x": ""}},
        {"environment": {f"V{n}": "" for n in range(64)}},
        {"environment": {"A": "x" * 4095}},
        {"environment": {"A": "é" * 2047}},
        {"secrets": {"HF_TOKEN": SECRET, "API_KEY": PARAMETER}},
        {"secrets": {"HF_TOKEN": f"{SECRET}:token:AWSPREVIOUS:"}},
        {"secrets": {f"S{n}": SECRET for n in range(64)}},
        {"environment": {"A": "b"}, "secrets": {"B": SECRET}},
        {"health_check": {"path": "/" + "a" * 1023}},
        {"health_check": {"status": "200,204,301-302"}},
        {"health_check": {"interval": 300, "timeout": 120, "grace": 1800}},
        {"health_check": {"interval": 5, "timeout": 2, "grace": 0}},
        {"smoke_test": {"path": "/?uid=20", "status": 404, "json_has": ["items"]}},
        {"smoke_test": {"max_latency_ms": 25_000}},
        {"ingress_cidrs": ["0.0.0.0/0"]},
        {"ingress_cidrs": ["198.51.100.7/32", "203.0.113.0/24"]},
        {"certificate_arn": CERTIFICATE},
        {"domain": DOMAIN},
        {"on_failure": "keep"},
        {"tags": {"cost-centre": "42 / Zürich"}},
        {"tags": {"k" * 128: "v" * 256}},
        {"tags": {f"k{n}": "" for n in range(40)}},
    ],
)
def test_valid_values_are_accepted(fields: dict[str, Any]) -> None:
    accepted = spec_of(**fields)
    for name, value in fields.items():
        if not isinstance(value, dict) or name in ("environment", "secrets", "tags"):
            assert getattr(accepted, name) == value


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "-x"}, "name"),
        ({"name": "x-"}, "name"),
        ({"name": "1x"}, "name"),
        ({"name": "X"}, "name"),
        ({"name": "a_b"}, "name"),
        ({"name": "x\n"}, "name"),
        ({"name": "a" * 25}, "name"),
        ({"name": "a" * 40}, "name"),
        ({"name": "internal"}, "name"),
        ({"name": "internal-x"}, "name"),
        ({"image": "recommend:1"}, "image"),
        ({"image": f"{REGISTRY}.example.com/recommend:1"}, "image"),
        ({"port": 0}, "port"),
        ({"port": -1}, "port"),
        ({"port": 65536}, "port"),
        ({"cpu": 300}, "cpu"),
        ({"cpu": 256, "memory": 4096}, "memory"),
        ({"cpu": 512, "memory": 512}, "memory"),
        ({"cpu": 4096, "memory": 31744}, "memory"),
        ({"cpu": 8192, "memory": 17408}, "memory"),
        ({"architecture": "x86_64"}, "architecture"),
        ({"count": -1}, "count"),
        ({"count": 0}, "count"),
        ({"count": 11}, "count"),
        ({"command": []}, "command"),
        ({"command": ["x"] * 65}, "command"),
        ({"command": "python"}, "command"),
        ({"environment": {"1A": "x"}}, "environment"),
        ({"environment": {"A-B": "x"}}, "environment"),
        ({"environment": {"": "x"}}, "environment"),
        ({"environment": {f"V{n}": "" for n in range(65)}}, "environment"),
        ({"environment": {"A": "x" * 4096}}, "environment"),
        ({"environment": {"A": "é" * 2048}}, "environment"),
        ({"secrets": {"A-B": SECRET}}, "secrets"),
        ({"secrets": {f"S{n}": SECRET for n in range(65)}}, "secrets"),
        ({"environment": {"A": "b"}, "secrets": {"A": SECRET}}, "secrets"),
        ({"secrets": {"A": SECRET.replace(REGION, "eu-west-1")}}, "secrets"),
        ({"secrets": {"A": SECRET.replace("slipway/", "other/")}}, "secrets"),
        ({"secrets": {"A": PARAMETER.replace("slipway/", "other/")}}, "secrets"),
        ({"secrets": {"A": f"arn:aws:iam::{ACCOUNT}:role/x"}}, "secrets"),
        ({"secrets": {"A": ""}}, "secrets"),
        ({"health_check": {"path": "health"}}, "health_check.path"),
        ({"health_check": {"path": "/a b"}}, "health_check.path"),
        ({"health_check": {"path": "/" + "a" * 1024}}, "health_check.path"),
        ({"health_check": {"status": "500"}}, "health_check.status"),
        ({"health_check": {"status": "200-"}}, "health_check.status"),
        ({"health_check": {"status": ""}}, "health_check.status"),
        ({"health_check": {"interval": 4}}, "health_check.interval"),
        ({"health_check": {"interval": 301}}, "health_check.interval"),
        ({"health_check": {"interval": 5, "timeout": 5}}, "health_check.timeout"),
        ({"health_check": {"timeout": 1}}, "health_check.timeout"),
        ({"health_check": {"grace": 1801}}, "health_check.grace"),
        ({"health_check": {"pth": "/"}}, "health_check.pth"),
        ({"smoke_test": {"path": "http://example.com/"}}, "smoke_test.path"),
        ({"smoke_test": {"path": "https://example.com"}}, "smoke_test.path"),
        ({"smoke_test": {"path": "//example.com/"}}, "smoke_test.path"),
        ({"smoke_test": {"path": "/\r\nHost: x"}}, "smoke_test.path"),
        ({"smoke_test": {"path": ""}}, "smoke_test.path"),
        ({"smoke_test": {"status": 99}}, "smoke_test.status"),
        ({"smoke_test": {"status": 600}}, "smoke_test.status"),
        ({"smoke_test": {"max_latency_ms": 0}}, "smoke_test.max_latency_ms"),
        ({"smoke_test": {"max_latency_ms": 25_001}}, "smoke_test.max_latency_ms"),
        ({"smoke_test": {"json_has": [""]}}, "smoke_test.json_has.0"),
        ({"load_balancer": "shared"}, "load_balancer"),
        ({"ingress_cidrs": []}, "ingress_cidrs"),
        ({"ingress_cidrs": ["10.0.0.1/8"]}, "ingress_cidrs"),
        ({"certificate_arn": CERTIFICATE.replace(REGION, "eu-west-1")}, "certificate_arn"),
        ({"domain": "recommend.example.org"}, "domain"),
        ({"domain": "Recommend.example.com"}, "domain"),
        ({"health_check": {"status": "399-200"}}, "health_check.status"),
        ({"ingress_cidrs": ["::/0"]}, "ingress_cidrs"),
        ({"ingress_cidrs": ["everyone"]}, "ingress_cidrs"),
        ({"on_failure": "explode"}, "on_failure"),
        ({"tags": {"aws:x": "1"}}, "tags"),
        ({"tags": {"Slipway:owner": "other"}}, "tags"),
        ({"tags": {"": "1"}}, "tags"),
        ({"tags": {"k" * 129: "1"}}, "tags"),
        ({"tags": {"k": "v" * 257}}, "tags"),
        ({"tags": {"k": "a;b"}}, "tags"),
        ({"tags": {f"k{n}": "" for n in range(41)}}, "tags"),
    ],
)
def test_an_invalid_value_is_refused_at_its_field(fields: dict[str, Any], field: str) -> None:
    assert set(faults(body_of(**fields))) == {field}


@pytest.mark.parametrize("missing", ["name", "image"])
def test_required_fields_must_be_present(missing: str) -> None:
    body = body_of()
    del body[missing]
    assert faults(body) == {missing: "is required"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", "80"),
        ("port", True),
        ("port", 80.0),
        ("count", "1"),
        ("count", False),
        ("count", 1.0),
        ("cpu", 256.0),
        ("name", 7),
        ("environment", {"A": 1}),
        ("environment", {"A": None}),
        ("environment", []),
        ("secrets", {"A": 1}),
        ("secrets", [SECRET]),
        ("tags", {"a": True}),
        ("command", ["x", 1]),
        ("ingress_cidrs", "0.0.0.0/0"),
        ("health_check", None),
        ("health_check", "/"),
        ("smoke_test", []),
    ],
)
def test_types_are_not_coerced(field: str, value: Any) -> None:
    messages = faults(body_of(**{field: value}))
    assert {name.split(".")[0] for name in messages} == {field}


@pytest.mark.parametrize(
    ("body", "kind"),
    [(None, "null"), ([], "a list"), ("x", "a string"), (1, "a number"), (True, "a boolean")],
)
def test_a_body_that_is_not_an_object_is_refused(body: Any, kind: str) -> None:
    assert faults(body) == {"": f"The body must be a JSON object, not {kind}"}


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD",
        "DB_PASSWORD",
        "db_password",
        "AWS_SECRET_ACCESS_KEY",
        "HF_TOKEN",
        "API_KEY",
        "STRIPE_API_KEY",
        "ApiKey",
        "PRIVATE_KEY",
        "GOOGLE_CREDENTIALS",
    ],
)
def test_a_name_that_looks_like_a_secret_is_refused_with_a_hint(name: str) -> None:
    messages = faults(body_of(environment={name: "hush-value"}))
    assert "`secrets`" in messages["environment"]
    assert "hush-value" not in messages["environment"]


@pytest.mark.parametrize("value", ["sk-live-hush", f"{SECRET}:hush", f"hush {SECRET}"])
def test_a_secrets_value_is_refused_and_never_repeated(value: str) -> None:
    messages = faults(body_of(secrets={"API_KEY": value}))
    assert "never a value" in messages["secrets"]
    assert "hush" not in str(messages)
    with pytest.raises(ValidationFailed) as raised:
        parsing.parse(body_of(secrets={"API_KEY": value}), **LIMITS)
    assert "hush" not in str(raised.value)


def test_faults_of_secrets_are_reported_at_once() -> None:
    elsewhere = SECRET.replace(REGION, "eu-west-1")
    messages = faults(
        body_of(environment={"A": "b"}, secrets={"A": SECRET, "B": "x", "C": elsewhere, "D-E": "x"})
    )
    assert [part.split()[0] for part in messages["secrets"].split("; ")] == [
        "A",
        "B:",
        "C",
        "'D-E'",
    ]


def test_without_an_allow_list_no_secret_is_allowed() -> None:
    limits = {**LIMITS, "allowed_secrets": ()}
    with pytest.raises(ValidationFailed) as raised:
        parsing.parse(body_of(secrets={"A": SECRET}), **limits)
    assert raised.value.errors == [
        {
            "field": "secrets",
            "message": "A must be an allowed secret (none is set): "
            "your platform team sets AllowedSecrets",
        }
    ]


def test_a_record_is_readable_under_any_current_limits() -> None:
    kept = spec_of(secrets={"A": SECRET})
    assert specs.Spec.model_validate_json(kept.model_dump_json()) == kept


def test_faults_of_the_callback_url_are_reported_with_other_faults() -> None:
    limits = {**LIMITS, "callback_fault": "must lead to a public address"}
    with pytest.raises(ValidationFailed) as raised:
        parsing.parse(body_of(callback_url="https://10.0.0.1/", port=0), **limits)
    messages = {error["field"]: error["message"] for error in raised.value.errors}
    assert set(messages) == {"callback_url", "port"}
    assert messages["callback_url"] == "must lead to a public address"


def test_an_accepted_callback_url_stays_unchanged() -> None:
    """A stored record is read and changed without the stack's limits."""
    kept = spec_of(callback_url="https://example.com/hooks")
    assert specs.Spec.model_validate_json(kept.model_dump_json()) == kept
    assert parsing.patched(kept, {"count": 2}, **LIMITS).callback_url == kept.callback_url


def test_a_nested_unknown_field_is_reported_with_a_suggestion() -> None:
    messages = faults(body_of(health_check={"intervall": 5}))
    assert messages["health_check.intervall"] == 'Unknown field. Did you mean "interval"?'


def test_an_empty_allow_list_allows_nothing() -> None:
    with pytest.raises(ValidationFailed):
        parsing.parse(body_of(), allowed_registries=(), max_tasks=10)


@pytest.mark.parametrize("status", ["20\N{ARABIC-INDIC DIGIT ZERO}", "20\N{FULLWIDTH DIGIT ZERO}"])
def test_status_codes_are_ascii(status: str) -> None:
    assert set(faults(body_of(health_check={"status": status}))) == {"health_check.status"}


# --- PATCH ---------------------------------------------------------------------------------


def test_a_patch_changes_count_and_image_and_keeps_the_rest() -> None:
    spec = spec_of(port=8080, environment={"A": "b"})
    image = f"{REGISTRY}/recommend:2"
    changed = parsing.patched(spec, {"count": 3, "image": image}, **LIMITS)
    assert changed.model_dump() == {**spec.model_dump(), "count": 3, "image": image}


@pytest.mark.parametrize("field", ["name", "load_balancer", "architecture"])
def test_fixed_fields_cannot_be_patched(field: str) -> None:
    messages = patch_faults({field: spec_of().model_dump()[field]})
    assert messages == {field: "cannot be changed: delete this deployment and create a new one"}


def test_tags_are_patched_as_a_whole() -> None:
    spec = spec_of(tags={"team": "a", "stage": "dev"})
    assert parsing.patched(spec, {"tags": {"team": "b"}}, **LIMITS).tags == {"team": "b"}
    assert parsing.patched(spec, {"tags": {}}, **LIMITS).tags == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", 8080),
        ("memory", 1024),
        ("count", 2),
        ("command", ["serve"]),
        ("environment", {"A": "1"}),
        ("health_check", {"interval": 20}),
        ("smoke_test", {"path": "/?uid=1"}),
        ("on_failure", "keep"),
        ("ttl", "8h"),
    ],
)
def test_any_other_field_can_be_patched_and_is_replaced_as_a_whole(field: str, value: Any) -> None:
    before = spec_of(health_check={"interval": 30}, environment={"B": "2"}, cpu=256)
    after = parsing.patched(before, {field: value}, **LIMITS).model_dump()
    own = spec_of(**{field: value}).model_dump()[field]
    assert after[field] == own
    assert {k: v for k, v in after.items() if k != field} == {
        k: v for k, v in before.model_dump().items() if k != field
    }


@pytest.mark.parametrize("ttl", ["10m", "90m", "8h", "3d", "365d", None])
def test_a_valid_time_to_live_is_parsed(ttl: str | None) -> None:
    assert spec_of(ttl=ttl).ttl == ttl


@pytest.mark.parametrize(
    "ttl", ["", "9m", "0h", "8", "8 h", "-1d", "366d", "1w", "٣d", "08h", "9999999d"]
)
def test_an_invalid_time_to_live_is_refused(ttl: str) -> None:
    with pytest.raises(ValidationFailed) as raised:
        spec_of(ttl=ttl)
    assert raised.value.errors == [{"field": "ttl", "message": f"{time_to_live.RULE}, not {ttl!r}"}]


@pytest.mark.parametrize(
    "body", [{}, {"ttl": None}, {"ttl": 8}, {"ttl": "x"}, {"ttl": "8h", "a": 1}, []]
)
def test_an_invalid_extension_is_refused(body: Any) -> None:
    with pytest.raises(ValidationFailed):
        extension.parse(body)


def test_a_patch_reports_all_faults_at_once() -> None:
    messages = patch_faults(
        {"name": "y", "port": "x", "count": 11, "image": "x", "ttl": "8w", "zzz": 1}
    )
    assert set(messages) == {"name", "port", "count", "image", "ttl", "zzz"}


@pytest.mark.parametrize("body", [{}, [], None, "count"])
def test_a_patch_without_a_field_is_refused(body: Any) -> None:
    assert set(patch_faults(body)) == {""}


@pytest.mark.parametrize("value", ["2", 2.0, True, -1])
def test_a_patch_is_as_strict_as_a_create(value: Any) -> None:
    assert set(patch_faults({"count": value})) == {"count"}
