"""`validate_only=true`: runs every check and shows the cost, but creates nothing."""

from typing import Any

import pytest

from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from local.network import open_default_vpc
from tests.support.builders import CERTIFICATE, DOMAIN, IMAGE, REGISTRY, SECRET, TASK_ROLE, body_of
from tests.support.gateway import Answered, Gateway
from tests.unit.conftest import push_image


@pytest.fixture(autouse=True)
def opened(gateway: Gateway) -> None:
    """An account in which a create would succeed."""
    open_default_vpc(aws.client("ec2"))
    push_image()


def validate(gateway: Gateway, **fields: Any) -> Answered:
    return gateway.post("/deployments", body_of(**fields), query={"validate_only": "true"})


def checks(answer: Answered) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in answer.json["checks"]}


def records() -> list[Any]:
    items = aws.client("dynamodb").scan(TableName="slipway-records")["Items"]
    return [item for item in items if not item["pk"]["S"].startswith("TOKEN")]


def test_a_valid_request_shows_the_cost(gateway: Gateway) -> None:
    answer = validate(gateway)
    assert (answer.status, answer.json["valid"]) == (200, True)
    assert checks(answer)["image"]["status"] == "passed"
    assert checks(answer)["secrets"]["status"] == "skipped"
    assert checks(answer)["Fargate vCPU quota"]["status"] == "not_known"
    assert answer.json["cost"]["usd_per_hour"] > 0
    assert answer.json["image"]["digest"].startswith("sha256:")
    assert answer.json["spec"]["cpu"] == 256


def test_nothing_is_created(gateway: Gateway, aws_calls: list[str]) -> None:
    validate(gateway)
    looks = ("Get", "Describe", "Batch")
    made = [
        call
        for call in aws_calls
        if not call.startswith("dynamodb.") and not call.split(".")[1].startswith(looks)
    ]
    assert made == []
    assert records() == []


def test_all_faults_are_reported_at_once_with_their_hints(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOWED_SECRETS", SECRET)
    monkeypatch.setenv("ALLOWED_DOMAINS", "*.example.com")
    settings.cache_clear()
    gateway.post("/deployments", body_of(domain=DOMAIN))
    answer = validate(
        gateway,
        image=f"{REGISTRY}/recommend:none",
        secrets={"KEY": SECRET},
        certificate_arn=CERTIFICATE,
        domain=DOMAIN,
    )
    failed = {n: c["code"] for n, c in checks(answer).items() if c["status"] == "failed"}
    assert answer.json["valid"] is False
    assert failed == {
        "name": "NAME_TAKEN",
        "domain": "NAME_TAKEN",
        "image": "IMAGE_NOT_FOUND",
        "secrets": "SECRET_UNAVAILABLE",
        "certificate": "NETWORK_MISCONFIGURED",
    }
    assert all(c["message"] and c["hint"] for c in answer.json["checks"] if c["code"])


def test_an_unused_domain_is_valid(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_DOMAINS", "*.example.com")
    settings.cache_clear()
    answer = validate(gateway, domain=DOMAIN)
    assert answer.json["valid"] is True
    assert checks(answer)["domain"]["status"] == "passed"
    assert (
        checks(answer)["DNS record"]["status"] == "skipped"
    )  # the account has no such hosted zone


def test_the_task_role_is_checked(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = validate(gateway, task_role_arn=TASK_ROLE)
    assert (refused.status, refused.fields) == (422, ["task_role_arn"])
    assert "none is set" in refused.json["errors"][0]["message"]
    monkeypatch.setenv("ALLOWED_TASK_ROLES", TASK_ROLE)
    settings.cache_clear()
    assert checks(validate(gateway, task_role_arn=TASK_ROLE))["task role"]["status"] == "passed"
    assert checks(validate(gateway))["task role"]["status"] == "skipped"


def test_the_cost_includes_more_storage(gateway: Gateway) -> None:
    least, more = validate(gateway), validate(gateway, storage_gib=120)
    rate = more.json["cost"]["usd_per_hour"] - least.json["cost"]["usd_per_hour"]
    assert rate == pytest.approx(100 * 0.000111)


def test_an_invalid_body_is_refused_as_without_the_flag(gateway: Gateway) -> None:
    answer = validate(gateway, port=0)
    assert (answer.status, answer.fields) == (422, ["port"])


@pytest.mark.parametrize("value", ["1", "yes", ""])
def test_the_flag_is_true_or_false(gateway: Gateway, value: str) -> None:
    answer = gateway.post("/deployments", body_of(), query={"validate_only": value})
    assert (answer.status, answer.fields) == (422, ["validate_only"])
    assert records() == []


def test_false_creates_the_deployment(gateway: Gateway) -> None:
    answer = gateway.post("/deployments", body_of(image=IMAGE), query={"validate_only": "false"})
    assert answer.status == 202
