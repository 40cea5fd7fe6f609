"""A PATCH that changes nothing starts nothing, and one that is only validated neither."""

from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.parts import Image
from chalicelib.domain.record import Status
from chalicelib.domain.spec.image_settings import ImageSettings
from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.store import deployments as store
from local.network import open_default_vpc
from tests.support import aws_says
from tests.support.builders import DIGEST, DOMAIN, IMAGE, MOMENT, REGISTRY, body_of
from tests.support.gateway import Answered, Gateway
from tests.unit.conftest import push_image

PATH = "/deployments/recommender"
SPEC = {
    "environment": {"MODE": "x"},
    "tags": {"team": "a"},
    "ttl": "8h",
    "ingress_cidrs": ["203.0.113.0/24"],
    "health_check": {"path": "/health"},
}


@pytest.fixture
def digest() -> str:
    return push_image()


@pytest.fixture
def made(gateway: Gateway, digest: str) -> Deployment:
    """An ACTIVE deployment of `IMAGE`, whose digest is known."""
    answer = gateway.post("/deployments", body_of(**SPEC))
    assert answer.status == 202, answer.text

    def activate(deployment: Deployment) -> None:
        deployment.resolve(Image(reference=IMAGE, digest=digest), ImageSettings())
        deployment.activate(MOMENT, 0.04)

    return store.update(answer.json["id"], activate)


def patch(gateway: Gateway, **fields: Any) -> Answered:
    return gateway.patch(PATH, fields)


def started() -> int:
    """How many executions were started after the create."""
    states = aws.client("stepfunctions")
    [machine] = states.list_state_machines()["stateMachines"]
    arn = machine["stateMachineArn"]
    return len(states.list_executions(stateMachineArn=arn)["executions"]) - 1


@pytest.mark.parametrize(
    "fields",
    [
        {"count": 1},
        {"port": 80},
        {"environment": {"MODE": "x"}},
        {"tags": {"team": "a"}},
        {"ttl": "8h"},
        {"scaling": None},
        {"command": None},
        {"count": 1, "cpu": 256, "memory": 512},
        {"ingress_cidrs": ["203.0.113.0/24"]},
    ],
)
def test_the_same_values_change_nothing(
    gateway: Gateway, made: Deployment, fields: dict[str, Any]
) -> None:
    before = gateway.get(PATH)
    answer = patch(gateway, **fields)
    expected = before.json
    expected["spec_sources"] |= {name: "caller" for name in fields if fields[name] is not None}
    assert (answer.status, answer.json) == (200, expected)
    assert gateway.get(PATH).json == answer.json
    edition = before.headers["etag"].partition("-")[0]
    assert answer.headers["etag"].partition("-")[0] == edition
    assert (answer.json["outcome"], answer.json["outcome_generation"]) == ("succeeded", 1)
    assert started() == 0


def test_a_null_that_keeps_the_value_changes_only_its_source(
    gateway: Gateway, made: Deployment
) -> None:
    assert patch(gateway, port=80).json["spec_sources"]["port"] == "caller"
    answer = patch(gateway, port=None)
    assert (answer.status, answer.json["spec"]["port"]) == (200, 80)
    assert answer.json["spec_sources"]["port"] == "default"
    assert gateway.get(PATH).json == answer.json
    assert started() == 0


def test_a_failed_update_keeps_the_source_that_changed_before_it(
    gateway: Gateway, made: Deployment
) -> None:
    patch(gateway, port=80)
    patch(gateway, cpu=512, memory=1024)

    def roll_back(deployment: Deployment) -> None:
        assert deployment.last_active
        deployment.restore(deployment.last_active)

    store.update(made.id, roll_back)
    answer = gateway.get(PATH).json
    assert (answer["spec"]["cpu"], answer["spec_sources"]["port"]) == (256, "caller")


def test_the_same_values_for_a_paused_deployment_change_nothing(
    gateway: Gateway, made: Deployment
) -> None:
    store.update(made.id, lambda d: d.pause(MOMENT))
    store.update(made.id, lambda d: d.activate(MOMENT, 0.03))
    assert (patch(gateway, count=1).status, started()) == (200, 0)


@pytest.mark.parametrize("fields", [{"count": 2}, {"tags": {}}, {"ttl": None}, {"port": 81}])
def test_another_value_starts_an_operation(
    gateway: Gateway, made: Deployment, fields: dict[str, Any]
) -> None:
    answer = gateway.patch(PATH, {"environment": {"MODE": "x"}, **fields})
    assert (answer.status, answer.json["status"], started()) == (202, "UPDATING", 1)


# --- the image -----------------------------------------------------------------------------


def test_an_image_with_the_same_digest_changes_nothing(
    gateway: Gateway, made: Deployment, digest: str
) -> None:
    repository = IMAGE.partition(":")[0]
    manifest = aws.client("ecr").batch_get_image(
        repositoryName="recommend", imageIds=[{"imageTag": "1"}]
    )["images"][0]["imageManifest"]
    aws.client("ecr").put_image(
        repositoryName="recommend", imageManifest=manifest, imageTag="stable"
    )
    for reference in (IMAGE, f"{repository}:stable", f"{repository}@{digest}"):
        answer = patch(gateway, image=reference, count=1)
        assert (answer.status, answer.json["image"]["digest"]) == (200, digest)
    assert started() == 0


def test_a_tag_that_has_moved_is_a_change(gateway: Gateway, made: Deployment) -> None:
    store.update(made.id, lambda d: setattr(d.image, "digest", DIGEST))
    answer = patch(gateway, image=IMAGE)
    assert (answer.status, answer.json["image"]["digest"], started()) == (202, None, 1)


def test_the_same_digest_of_another_repository_is_a_change(
    gateway: Gateway, made: Deployment, digest: str
) -> None:
    assert patch(gateway, image=f"{REGISTRY}/other@{digest}").status == 202


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "ThrottlingException", "ServerException"]
)
def test_a_registry_that_cannot_be_read_is_a_change(
    gateway: Gateway, made: Deployment, code: str
) -> None:
    aws_says.refuse("ecr", "DescribeImages", code)
    assert (patch(gateway, image=IMAGE).status, started()) == (202, 1)


def test_an_image_that_does_not_exist_is_a_change(gateway: Gateway, made: Deployment) -> None:
    assert patch(gateway, image=f"{REGISTRY}/recommend:none").status == 202


def test_the_registry_is_read_only_if_the_answer_depends_on_it(
    gateway: Gateway, made: Deployment, aws_calls: list[str]
) -> None:
    patch(gateway, count=1)
    patch(gateway, image=IMAGE, count=2)
    assert patch(gateway, image=IMAGE).status == 409
    assert [call for call in aws_calls if call.startswith("ecr.")] == []


# --- what comes before ---------------------------------------------------------------------


def test_a_running_operation_is_a_conflict_even_if_nothing_changes(
    gateway: Gateway, made: Deployment
) -> None:
    patch(gateway, count=2)
    for fields in ({"count": 2}, {"count": 1}, {"image": IMAGE}):
        refused = gateway.patch(PATH, fields)
        assert (refused.status, refused.code) == (409, "OPERATION_IN_PROGRESS")


def test_a_stale_edition_and_a_fault_come_before_no_change(
    gateway: Gateway, made: Deployment
) -> None:
    stale = gateway.patch(PATH, {"count": 1}, headers={"If-Match": '"0-0-0.00"'})
    assert (stale.status, stale.code) == (412, "PRECONDITION_FAILED")
    assert gateway.patch(PATH, {"count": 1, "port": 0}).status == 422


def test_a_failed_deployment_starts_again_even_if_nothing_changes(
    gateway: Gateway, made: Deployment
) -> None:
    def fail(deployment: Deployment) -> None:
        deployment.repair("somebody deleted the listener", MOMENT)
        deployment.end_failed(MOMENT)

    store.update(made.id, fail)
    answer = patch(gateway, count=1)
    assert (answer.status, answer.json["status"], started()) == (202, Status.UPDATING, 1)


def test_a_repeated_change_with_its_key_is_still_accepted(
    gateway: Gateway, made: Deployment
) -> None:
    headers = {"Idempotency-Key": "scale-1"}
    first = gateway.patch(PATH, {"count": 2}, headers=headers)
    store.update(made.id, lambda d: d.activate(MOMENT, 0.08))
    again = gateway.patch(PATH, {"count": 2}, headers=headers)
    assert (first.status, again.status, again.json) == (202, 202, first.json)
    assert gateway.patch(PATH, {"count": 2}).status == 200


# --- validate_only -------------------------------------------------------------------------


@pytest.fixture
def opened(gateway: Gateway) -> None:
    """An account in which a change would succeed."""
    open_default_vpc(aws.client("ec2"))


def validate(gateway: Gateway, headers: dict[str, str] | None = None, **fields: Any) -> Answered:
    return gateway.patch(PATH, fields, query={"validate_only": "true"}, headers=headers or {})


def failed_checks(answer: Answered) -> dict[str, str]:
    checks = answer.json["checks"]
    return {check["name"]: check["code"] for check in checks if check["status"] == "failed"}


@pytest.mark.usefixtures("opened")
def test_a_validation_shows_checks_cost_and_changes(
    gateway: Gateway, made: Deployment, digest: str
) -> None:
    before = gateway.get(PATH)
    answer = validate(gateway, count=2, environment={"MODE": "y"})
    assert answer.status == 200
    assert set(answer.json) == {
        "valid",
        "checks",
        "cost",
        "image",
        "spec",
        "changes",
        "restarts",
    }
    assert (answer.json["valid"], answer.json["restarts"]) == (True, True)
    assert sorted(answer.json["changes"], key=lambda each: str(each["field"])) == [
        {"field": "count", "before": 1, "after": 2},
        {"field": "environment", "before": {"MODE": "x"}, "after": {"MODE": "y"}},
    ]
    assert answer.json["spec"]["count"] == 2
    assert answer.json["image"]["digest"] == digest
    assert answer.json["cost"]["usd_per_hour"] > before.json["cost"]["usd_per_hour"]
    after = gateway.get(PATH)
    assert (after.json, after.headers["etag"]) == (before.json, before.headers["etag"])
    assert started() == 0


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize(
    ("fields", "changed", "restarts"),
    [
        ({"count": 1}, [], False),
        ({"image": IMAGE}, [], False),
        ({"count": 3}, ["count"], False),
        ({"ttl": None, "tags": {}}, ["tags", "ttl"], False),
        ({"ingress_cidrs": ["0.0.0.0/0"]}, ["ingress_cidrs"], False),
        (
            {"scaling": {"min": 1, "max": 2, "metric": "cpu", "target": 50}},
            ["count", "scaling"],
            False,
        ),
        ({"port": 81}, ["port"], True),
        ({"cpu": 512, "memory": 1024}, ["cpu", "memory"], True),
        ({"command": ["serve"]}, ["command"], True),
        ({"image": f"{REGISTRY}/recommend:2"}, ["image"], True),
    ],
)
def test_only_a_change_of_the_tasks_restarts_them(
    gateway: Gateway, made: Deployment, fields: dict[str, Any], changed: list[str], restarts: bool
) -> None:
    push_image("2")
    answer = gateway.patch(PATH, fields, query={"validate_only": "true"})
    shown = sorted(each["field"] for each in answer.json["changes"])
    assert (shown, answer.json["restarts"]) == (changed, restarts)
    # The change itself is the same.
    assert gateway.patch(PATH, fields).status == (202 if changed else 200)


@pytest.mark.usefixtures("opened")
def test_a_moved_tag_is_shown_with_its_digests(
    gateway: Gateway, made: Deployment, digest: str
) -> None:
    store.update(made.id, lambda d: setattr(d.image, "digest", DIGEST))
    repository = IMAGE.partition(":")[0]
    assert validate(gateway, image=IMAGE).json["changes"] == [
        {"field": "image", "before": f"{repository}@{DIGEST}", "after": f"{repository}@{digest}"}
    ]


@pytest.mark.usefixtures("opened")
def test_a_change_that_would_fail_is_not_valid(
    gateway: Gateway, made: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOWED_DOMAINS", "*.example.com")
    monkeypatch.setenv("MAX_TASKS_PER_OWNER", "2")
    settings.cache_clear()
    assert gateway.post("/deployments", body_of(name="other", domain=DOMAIN)).status == 202
    answer = validate(gateway, image=f"{REGISTRY}/recommend:none", domain=DOMAIN, count=3)
    assert answer.json["valid"] is False
    assert failed_checks(answer) == {
        "domain": "NAME_TAKEN",
        "quota": "QUOTA_EXCEEDED",
        "image": "IMAGE_NOT_FOUND",
    }


@pytest.mark.usefixtures("opened")
def test_a_failed_deployment_is_validated_too(gateway: Gateway, made: Deployment) -> None:
    store.update(made.id, lambda d: d.repair("somebody deleted the listener", MOMENT))
    store.update(made.id, lambda d: d.end_failed(MOMENT))
    answer = validate(gateway, count=1)
    assert (answer.status, answer.json["valid"]) == (200, True)
    assert (answer.json["changes"], answer.json["restarts"]) == ([], True)
    assert gateway.get(PATH).json["status"] == "FAILED"


@pytest.mark.usefixtures("opened")
def test_a_paused_deployment_has_no_task_to_restart(gateway: Gateway, made: Deployment) -> None:
    store.update(made.id, lambda d: d.pause(MOMENT))
    store.update(made.id, lambda d: d.activate(MOMENT, 0.03))
    answer = validate(gateway, port=81)
    assert (len(answer.json["changes"]), answer.json["restarts"]) == (1, False)


@pytest.mark.usefixtures("opened")
def test_a_validation_is_refused_as_the_change(gateway: Gateway, made: Deployment) -> None:
    assert validate(gateway, port=0).status == 422
    assert validate(gateway).status == 422
    assert validate(gateway, headers={"If-Match": '"0-0-0.00"'}, count=2).status == 412
    denied = gateway.patch(PATH, {"count": 2}, query={"validate_only": "true"}, caller="reader")
    assert denied.status == 403
    patch(gateway, count=2)
    refused = validate(gateway, count=2)
    assert (refused.status, refused.code) == (409, "OPERATION_IN_PROGRESS")
    other = gateway.patch(PATH, {"count": 2}, query={"validate": "true"})
    assert other.status == 422


@pytest.mark.parametrize("name", ["checks", "rollout", "compare", "track", "gpu", "colour"])
@pytest.mark.parametrize("query", [{}, {"validate_only": "true"}])
def test_an_unknown_field_is_refused_even_if_it_is_null(
    gateway: Gateway, made: Deployment, name: str, query: dict[str, str]
) -> None:
    answer = gateway.patch(PATH, {"count": 1, name: None}, query=query)
    assert (answer.status, answer.fields) == (422, [name])
    assert started() == 0
