"""Where values come from: every combination of caller, image and labels."""

from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import ValidationFailed
from chalicelib.domain.parts import Image
from chalicelib.domain.spec import parsing, sources
from chalicelib.domain.spec.image_settings import ImageSettings, LabelFault
from chalicelib.domain.spec.spec import Spec
from tests.support.builders import (
    DIGEST,
    IMAGE,
    LIMITS,
    MOMENT,
    active,
    deployment_of,
    failure_of,
    spec_of,
)

HEALTH = "slipway.health_check.path"
PATH, METHOD, BODY = (f"slipway.smoke_test.{name}" for name in ("path", "method", "body"))
RESOLVED = Image(reference=IMAGE, digest=DIGEST)


def settings(*exposed: str, **labels: str) -> ImageSettings:
    """The settings of an image; a label is given as `health` or by the member of the smoke test."""
    names = {"health": HEALTH, "path": PATH, "method": METHOD, "body": BODY}
    return ImageSettings.of_config(
        {
            "config": {
                "ExposedPorts": {port: {} for port in exposed},
                "Labels": {names[name]: text for name, text in labels.items()},
            }
        }
    )


def resolved(image: ImageSettings, **fields: Any) -> Deployment:
    deployment = deployment_of(**fields)
    deployment.resolve(RESOLVED, image)
    return deployment


def update(deployment: Deployment, body: dict[str, Any]) -> None:
    """A PATCH, as `changes.update` makes it: the record was read from the table."""
    stored = Deployment.model_validate_json(deployment.model_dump_json())
    spec = parsing.patched(stored.spec, body, **LIMITS)
    deployment.update(spec, MOMENT, new_image="image" in body)


def settle(deployment: Deployment) -> Deployment:
    deployment.activate(MOMENT, 0.04)
    return deployment


# --- port ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exposed", "port", "source"),
    [
        (["8080/tcp"], 8080, "image"),
        (["8080"], 8080, "image"),
        (["8080/TCP"], 8080, "image"),
        (["8080/tcp", "9090/udp"], 8080, "image"),
        (["8080/tcp", "8080"], 8080, "image"),
        (["80/tcp"], 80, "image"),
        ([], 80, "default"),
        (["9090/udp"], 80, "default"),
        (["9090/sctp"], 80, "default"),
        (["8080/tcp", "8081/tcp"], 80, "default"),
        (["0/tcp"], 80, "default"),
        (["65536"], 80, "default"),
        (["x", "", "80a", "-1", "8080/tcp/tcp"], 80, "default"),
    ],
)
def test_the_port_is_the_only_exposed_tcp_port(exposed: list[str], port: int, source: str) -> None:
    deployment = resolved(settings(*exposed))
    assert (deployment.spec.port, deployment.spec_sources["port"]) == (port, source)


def test_the_port_is_null_until_the_image_is_resolved() -> None:
    deployment = deployment_of()
    assert (deployment.spec.port, deployment.spec_sources["port"]) == (None, "default")
    assert deployment_of(port=None).spec.port is None
    assert deployment.spec.container_port == 80


def test_the_callers_port_stays() -> None:
    deployment = resolved(settings("8080"), port=9000)
    assert (deployment.spec.port, deployment.spec_sources["port"]) == (9000, "caller")


# --- health check --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "check", "path", "status", "sources_of"),
    [
        ({}, None, "/", "200-499", ("default", "default")),
        ({}, {}, "/", "200-499", ("caller", "default")),
        ({}, {"interval": 10}, "/", "200-499", ("caller", "default")),
        ({}, {"path": None, "status": None}, "/", "200-499", ("caller", "default")),
        ({}, {"path": "/"}, "/", "200-399", ("caller", "caller")),
        ({}, {"status": "200"}, "/", "200", ("caller", "default")),
        ({"health": "/up"}, None, "/up", "200-399", ("label", "label")),
        ({"health": "/up"}, {"interval": 10}, "/up", "200-399", ("caller", "label")),
        ({"health": "/up"}, {"status": "204"}, "/up", "204", ("caller", "label")),
        ({"health": "/up"}, {"path": "/x"}, "/x", "200-399", ("caller", "caller")),
        ({"health": ""}, None, "/", "200-499", ("default", "default")),
    ],
)
def test_the_health_check(
    labels: dict[str, str],
    check: dict[str, Any] | None,
    path: str,
    status: str,
    sources_of: tuple[str, str],
) -> None:
    fields = {} if check is None else {"health_check": check}
    deployment = resolved(settings(**labels), **fields)
    assert (deployment.spec.health_check.path, deployment.spec.health_check.status) == (
        path,
        status,
    )
    named = deployment.spec_sources
    assert (named["health_check"], named["health_check.path"]) == sources_of


# --- smoke test ----------------------------------------------------------------------------

LABELS = {"path": "/predict", "method": "POST", "body": '{"uid": 20}'}


@pytest.mark.parametrize(
    ("labels", "test", "request_of", "status", "source", "proves"),
    [
        ({}, None, ("GET", "/", None), "200-499", "default", False),
        ({}, {}, ("GET", "/", None), "200-499", "caller", False),
        ({}, {"path": None}, ("GET", "/", None), "200-499", "caller", False),
        ({}, {"path": "/x"}, ("GET", "/x", None), "200-299", "caller", True),
        ({}, {"json_has": ["a"]}, ("GET", "/", None), "200-299", "caller", True),
        ({}, {"headers": {"A": "b"}}, ("GET", "/", None), "200-299", "caller", True),
        ({}, {"max_latency_ms": 500}, ("GET", "/", None), "200-299", "caller", True),
        ({}, {"status": 404}, ("GET", "/", None), 404, "caller", True),
        ({"health": "/up"}, None, ("GET", "/up", None), "200-399", "default", False),
        (LABELS, None, ("POST", "/predict", {"uid": 20}), "200-299", "label", True),
        (LABELS, {"status": "201"}, ("POST", "/predict", {"uid": 20}), "201", "caller", True),
        (LABELS, {"json_has": ["a"]}, ("POST", "/predict", {"uid": 20}), "200-299", "caller", True),
        (LABELS, {"path": "/x"}, ("GET", "/x", None), "200-299", "caller", True),
        (LABELS, {"method": "GET"}, ("GET", "/", None), "200-299", "caller", True),
        (LABELS, {"method": "PUT", "body": 1}, ("PUT", "/", 1), "200-299", "caller", True),
        ({"path": "/p"}, None, ("GET", "/p", None), "200-299", "label", True),
        ({"method": "POST", "health": "/h"}, None, ("POST", "/h", None), "200-299", "label", True),
    ],
)
def test_the_smoke_test(
    labels: dict[str, str],
    test: dict[str, Any] | None,
    request_of: tuple[str, str, Any],
    status: int | str,
    source: str,
    proves: bool,
) -> None:
    fields = {} if test is None else {"smoke_test": test}
    deployment = resolved(settings(**labels), **fields)
    smoke_test = deployment.spec.smoke_test
    assert (smoke_test.method, smoke_test.path, smoke_test.body) == request_of
    assert smoke_test.status == status
    assert deployment.spec_sources["smoke_test"] == source
    assert deployment.proves_prediction is proves


def test_a_label_can_hold_a_text_with_its_type() -> None:
    body = '{"text": "1,2", "content_type": "text/csv"}'
    deployment = resolved(settings(method="PUT", body=body))
    assert deployment.spec.smoke_test.body == {"text": "1,2", "content_type": "text/csv"}


# --- bad labels ----------------------------------------------------------------------------

BAD = [
    ({"health": "up"}, HEALTH),
    ({"health": "http://example.com/up"}, HEALTH),
    ({"health": "//example.com/up"}, HEALTH),
    ({"health": "/a b"}, HEALTH),
    ({"health": "/a#b"}, HEALTH),
    ({"path": "/?uid=20#top"}, PATH),
    ({"health": "/" + "a" * 1100}, HEALTH),
    ({"path": "https://example.com/"}, PATH),
    ({"path": "/\N{SNOWMAN}"}, PATH),
    ({"method": "post"}, METHOD),
    ({"method": "DELETE"}, METHOD),
    ({"method": "POST", "body": "uid=20"}, BODY),
    ({"method": "POST", "body": "NaN"}, BODY),
    ({"method": "POST", "body": "[1e400]"}, BODY),
    ({"method": "POST", "body": "[" * 5000}, BODY),
    ({"method": "POST", "body": '"' + "x" * 17000 + '"'}, BODY),
    ({"body": "{}"}, BODY),
]


@pytest.mark.parametrize(("labels", "name"), BAD, ids=[str(n) for n, _ in enumerate(BAD)])
def test_a_label_that_cannot_be_used_is_named(labels: dict[str, str], name: str) -> None:
    with pytest.raises(LabelFault, match=f"The image label {name} ") as raised:
        resolved(settings(**labels))
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(("labels", "name"), BAD, ids=[str(n) for n, _ in enumerate(BAD)])
def test_a_bad_label_does_not_matter_if_the_caller_sets_the_field(
    labels: dict[str, str], name: str
) -> None:
    own = {"health_check": {"path": "/h"}, "smoke_test": {"path": "/s"}}
    assert resolved(settings(**labels), **own).spec.smoke_test.path == "/s"


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"config": None},
        {"config": []},
        {"config": {"Labels": None, "ExposedPorts": None}},
        {"config": {"Labels": [HEALTH], "ExposedPorts": ["80/tcp"]}},
        {"config": {"Labels": {"": "x", "other": 1}}},
    ],
)
def test_a_config_without_settings_gives_the_defaults(config: dict[str, Any]) -> None:
    spec = resolved(ImageSettings.of_config(config)).spec
    assert (spec.port, spec.health_check.path, spec.smoke_test.status) == (80, "/", "200-499")


@pytest.mark.parametrize("value", [1, None, True, ["/up"], {"a": 1}])
def test_a_label_that_is_no_text_is_refused(value: Any) -> None:
    image = ImageSettings.of_config({"config": {"Labels": {HEALTH: value}}})
    with pytest.raises(LabelFault, match=HEALTH):
        resolved(image)


def test_other_labels_of_slipway_are_noted() -> None:
    image = ImageSettings.of_config(
        {"config": {"Labels": {"slipway.smoke_test.status": "200", "maintainer": "me"}}}
    )
    assert image.unknown == ["slipway.smoke_test.status"]


# --- changes -------------------------------------------------------------------------------


def test_values_are_resolved_again_with_each_image() -> None:
    deployment = settle(resolved(settings("8080", health="/up", **LABELS), count=2))
    update(deployment, {"image": f"{IMAGE}2"})
    assert deployment.spec.port is None
    assert (deployment.spec.health_check.path, deployment.spec.smoke_test.method) == ("/", "GET")
    assert deployment.spec_sources["smoke_test"] == "default"
    deployment.resolve(RESOLVED, settings("9090"))
    spec = deployment.spec
    assert (spec.port, spec.health_check.path, spec.health_check.status) == (9090, "/", "200-499")
    assert (spec.smoke_test.method, spec.smoke_test.body, spec.count) == ("GET", None, 2)


def test_the_callers_values_stay_with_another_image() -> None:
    own = {"port": 7000, "health_check": {"path": "/h"}, "smoke_test": {"path": "/s"}}
    deployment = settle(resolved(settings("8080", health="/up", **LABELS), **own))
    update(deployment, {"image": f"{IMAGE}2"})
    deployment.resolve(RESOLVED, settings("9090", health="/other", **LABELS))
    spec = deployment.spec
    assert (spec.port, spec.health_check.path, spec.smoke_test.path) == (7000, "/h", "/s")


def test_an_update_without_an_image_keeps_what_the_image_gave() -> None:
    deployment = settle(resolved(settings("8080", health="/up", **LABELS)))
    before = deployment.spec
    update(deployment, {"count": 2})
    assert deployment.spec == before.model_copy(update={"count": 2})
    assert deployment.spec_sources["port"] == "image"


def test_a_null_takes_the_value_from_the_known_image() -> None:
    own = {"port": 7000, "health_check": {"path": "/h"}, "smoke_test": {"path": "/s"}}
    deployment = settle(resolved(settings("8080", health="/up", **LABELS), **own))
    update(deployment, {"port": None, "health_check": None, "smoke_test": None})
    spec = deployment.spec
    assert (spec.port, spec.health_check.path, spec.health_check.status) == (
        8080,
        "/up",
        "200-399",
    )
    assert (spec.smoke_test.method, spec.smoke_test.path) == ("POST", "/predict")
    assert deployment.spec_sources["smoke_test"] == "label"


def test_a_null_uncovers_a_bad_label_for_the_step_to_report() -> None:
    deployment = settle(resolved(settings(health="up"), health_check={"path": "/h"}))
    update(deployment, {"health_check": None})
    assert deployment.spec.health_check.path == "/"
    with pytest.raises(LabelFault, match=HEALTH):
        deployment.resolve(deployment.image, deployment.image_settings)


def test_a_member_that_is_left_out_is_resolved_again() -> None:
    """A PATCH replaces a whole object."""
    deployment = settle(resolved(settings(health="/up"), health_check={"path": "/h"}))
    update(deployment, {"health_check": {"interval": 20}})
    check = deployment.spec.health_check
    assert (check.path, check.interval, check.status) == ("/up", 20, "200-399")
    assert deployment.spec_sources["health_check.path"] == "label"


def test_a_chat_that_changes_one_member_keeps_the_labels() -> None:
    """`update rec smoke_test.max_latency_ms=500` completes the object with the caller's members."""
    own = {"smoke_test": {"json_has": ["items"]}}
    deployment = settle(resolved(settings(health="/up", **LABELS), **own))
    known = sources.set_by_caller(deployment.spec, deployment.names)
    assert (known["smoke_test"], known["health_check"]) == ({"json_has": ["items"]}, {})
    update(deployment, {"smoke_test": {**known["smoke_test"], "max_latency_ms": 500}})
    test = deployment.spec.smoke_test
    assert (test.method, test.path, test.json_has) == ("POST", "/predict", ["items"])


@pytest.mark.parametrize(
    ("field", "value", "default"),
    [
        ("cpu", 512, 256),
        ("memory", 1024, 512),
        ("count", 3, 1),
        ("command", ["a"], None),
        ("environment", {"A": "b"}, {}),
        ("tags", {"a": "b"}, {}),
        ("ingress_cidrs", ["10.0.0.0/8"], ["0.0.0.0/0"]),
        ("ttl", "8h", None),
        ("on_failure", "keep", "teardown"),
        ("domain", "a.example.com", None),
        ("port", 8080, 80),
    ],
)
def test_a_null_resets_a_field(field: str, value: Any, default: Any) -> None:
    deployment = settle(resolved(settings(), **{"memory": 1024, field: value}))
    assert deployment.spec_sources[field] == "caller"
    update(deployment, {field: None})
    assert getattr(deployment.spec, field) == default
    assert deployment.spec_sources[field] == "default"


@pytest.mark.parametrize("field", ["name", "image", "architecture", "load_balancer"])
def test_a_field_without_a_default_or_a_change_cannot_be_reset(field: str) -> None:
    with pytest.raises(ValidationFailed) as raised:
        parsing.patched(spec_of(), {field: None}, **LIMITS)
    assert {error["field"] for error in raised.value.errors} == {field}


def test_a_rollback_restores_the_values_and_their_sources() -> None:
    deployment = settle(resolved(settings("8080", health="/up", **LABELS)))
    before, known = deployment.spec, deployment.spec_sources
    update(deployment, {"image": f"{IMAGE}2", "port": 9000, "smoke_test": {"path": "/s"}})
    deployment.resolve(RESOLVED, settings())
    settle(deployment).roll_back(MOMENT)
    assert (deployment.spec, deployment.spec_sources) == (before, known)
    update_again = settle(deployment)
    update(update_again, {"port": None})
    assert update_again.spec.port == 8080


def test_a_retry_of_a_create_resolves_the_image_again() -> None:
    deployment = resolved(settings("8080", **LABELS), count=2)
    deployment.fail("await_ready", failure_of("await_ready"), MOMENT)
    deployment.end_failed(MOMENT)
    deployment.retry(MOMENT, 0.04)
    assert deployment.spec.port is None
    assert deployment.image_settings is None
    deployment.resolve(RESOLVED, settings("9090"))
    assert (deployment.spec.port, deployment.spec.smoke_test.method) == (9090, "GET")


def test_the_sources_are_the_fields_and_the_path_of_the_health_check() -> None:
    named = deployment_of(ttl="8h", count=2).spec_sources
    assert set(named) == {*Spec.model_fields, "health_check.path"}
    assert {name for name, source in named.items() if source == "caller"} == {
        "name",
        "image",
        "ttl",
        "count",
    }


# --- records of earlier versions -----------------------------------------------------------


def old() -> Deployment:
    """A record without the members that say what the caller set."""
    document = active(port=80).model_dump(mode="json")
    for part in (document, document["last_active"]):
        del part["named"], part["image_settings"]
        part["spec"]["port"] = 80
        part["spec"]["health_check"] |= {"path": "/", "status": "200-399"}
        part["spec"]["smoke_test"] = {
            "path": "/",
            "status": 200,
            "json_has": ["/~x"],
            "max_latency_ms": None,
        }
    return Deployment.model_validate(document)


def test_an_old_record_keeps_its_values_with_a_new_image() -> None:
    deployment = old()
    update(deployment, {"image": f"{IMAGE}2"})
    deployment.resolve(RESOLVED, settings("8080", health="/up", **LABELS))
    spec = deployment.spec
    assert (spec.port, spec.health_check.path, spec.health_check.status) == (80, "/", "200-399")
    assert (spec.smoke_test.method, spec.smoke_test.path, spec.smoke_test.status) == (
        "GET",
        "/",
        200,
    )
    assert set(deployment.spec_sources.values()) == {"caller"}
    assert not sources.needs_image(deployment.names)


def test_an_old_record_takes_a_value_from_the_image_after_a_null() -> None:
    deployment = old()
    update(deployment, {"port": None})
    assert deployment.spec.port is None
    assert sources.needs_image(deployment.names)
    deployment.resolve(RESOLVED, settings("8080", health="/up"))
    assert (deployment.spec.port, deployment.spec.health_check.path) == (8080, "/")


# --- size ----------------------------------------------------------------------------------


def test_a_spec_of_more_than_64_kib_is_refused() -> None:
    headers = {f"X-{n}": "v" * 4096 for n in range(15)}
    accepted = spec_of(smoke_test={"headers": headers})
    assert accepted.size < 64 * 1024
    with pytest.raises(ValidationFailed) as raised:
        parsing.patched(accepted, {"tags": {f"t{n}": "v" * 256 for n in range(20)}}, **LIMITS)
    (error,) = raised.value.errors
    assert error["field"] == ""
    assert "The spec with its defaults has " in error["message"]
    assert "At most 65536 are allowed" in error["message"]
