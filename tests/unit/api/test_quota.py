"""`QUOTA_EXCEEDED` over HTTP."""

from typing import Any

import pytest

from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.store import deployments as store
from local.network import open_default_vpc
from tests.support.builders import MOMENT, body_of
from tests.support.gateway import Answered, Gateway
from tests.unit.conftest import push_image


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, environment: None) -> None:
    monkeypatch.setenv("MAX_DEPLOYMENTS_PER_OWNER", "2")
    monkeypatch.setenv("MAX_VCPU_PER_OWNER", "1.5")
    settings.cache_clear()


def create(gateway: Gateway, name: str, **fields: Any) -> Answered:
    return gateway.post("/deployments", body_of(name=name, **fields))


def test_a_create_over_the_quota_is_429_with_limit_and_use(gateway: Gateway) -> None:
    create(gateway, "a")
    create(gateway, "b", count=4)
    answer = create(gateway, "c", cpu=512, memory=1024)
    assert (answer.status, answer.code) == (429, "QUOTA_EXCEEDED")
    assert answer.headers["retry-after"] == "60"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["quota"] == [
        {"name": "deployments", "limit": 2, "used": 2, "asked": 1},
        {"name": "vcpu", "limit": 1.5, "used": 1.25, "asked": 0.5},
    ]
    assert "2 deployments (2 used, 1 more requested)" in answer.json["detail"]
    assert "to raise MaxDeploymentsPerOwner and MaxVcpuPerOwner." in answer.json["detail"]
    assert len(gateway.get("/deployments").json["deployments"]) == 2


def test_a_patch_over_the_quota_changes_nothing(gateway: Gateway) -> None:
    made = create(gateway, "a", count=1).json["id"]
    store.update(made, lambda deployment: deployment.activate(MOMENT, 0.04))
    answer = gateway.patch("/deployments/a", {"count": 7})
    assert answer.json["quota"] == [{"name": "vcpu", "limit": 1.5, "used": 0.25, "asked": 1.5}]
    found = gateway.get("/deployments/a").json
    assert (found["status"], found["spec"]["count"]) == ("ACTIVE", 1)
    assert gateway.patch("/deployments/a", {"count": 6}).status == 202


def test_an_admins_deployments_count_the_same(gateway: Gateway) -> None:
    for name, status in (("a", 202), ("b", 202), ("c", 429)):
        assert gateway.post("/deployments", body_of(name=name), caller="admin").status == status
    assert create(gateway, "c").status == 202


def test_a_refused_create_gives_its_key_back(gateway: Gateway) -> None:
    key = {"Idempotency-Key": "one"}
    create(gateway, "a")
    create(gateway, "b")
    assert gateway.post("/deployments", body_of(name="c"), headers=key).status == 429
    assert gateway.post("/deployments", body_of(name="b"), headers=key).status == 409


def test_validate_only_shows_the_quota(gateway: Gateway) -> None:
    open_default_vpc(aws.client("ec2"))
    push_image()

    def check() -> dict[str, Any]:
        query = {"validate_only": "true"}
        answer = gateway.post("/deployments", body_of(name="c"), query=query).json
        (found,) = [check for check in answer["checks"] if check["name"] == "quota"]
        assert answer["valid"] == (found["status"] == "passed")
        return found

    assert (check()["status"], check()["code"]) == ("passed", None)
    create(gateway, "a")
    create(gateway, "b")
    assert (check()["status"], check()["code"]) == ("failed", "QUOTA_EXCEEDED")
    assert check()["quota"] == [{"name": "deployments", "limit": 2, "used": 2, "asked": 1}]
    assert check()["message"]
    assert check()["hint"]
