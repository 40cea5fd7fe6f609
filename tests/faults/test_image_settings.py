"""Whole operations whose spec takes values from the image, on the simulated AWS."""

from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.store import deployments as store
from tests.faults.environment import image, opened
from tests.faults.world import OWNERS, World

SAMPLE = {
    "ExposedPorts": {"8080/tcp": {}},
    "Labels": {
        "slipway.health_check.path": "/health",
        "slipway.smoke_test.path": "/predict",
        "slipway.smoke_test.method": "POST",
        "slipway.smoke_test.body": '{"uid": 20}',
    },
}


def record(deployment_id: str) -> Deployment:
    found = store.get(deployment_id)
    assert found
    return found


def created(world: World, **spec: Any) -> Deployment:
    """A two-field create, unless the test sets more; run to its end."""
    reply = world.create(name="model", image=image("sample"), **spec)
    assert reply.status == 202, reply
    assert reply.body["spec"]["port"] == spec.get("port")
    assert world.run_until_idle()
    return record(reply.body["id"])


def message(deployment: Deployment, step: str) -> str:
    return deployment.operation.step(step).message


def test_a_name_and_an_image_are_enough() -> None:
    with opened() as world:
        world.account.push("sample", execution=SAMPLE)
        deployment = created(world)
        spec = deployment.spec
        assert deployment.status == "ACTIVE", deployment.failure
        assert (spec.port, spec.health_check.path) == (8080, "/health")
        assert (spec.smoke_test.method, spec.smoke_test.body) == ("POST", {"uid": 20})
        assert deployment.prediction
        assert deployment.prediction.path == "/predict"
        assert "port 8080 from EXPOSE" in message(deployment, "resolve_image")
        assert "No prediction" not in message(deployment, "smoke_test")
        (group,) = world.account.raw("elbv2").describe_target_groups()["TargetGroups"]
        assert (group["Port"], group["HealthCheckPath"]) == (8080, "/health")
        assert group["Matcher"]["HttpCode"] == "200-399"


def test_an_image_without_settings_is_deployed_with_the_defaults() -> None:
    with opened() as world:
        world.account.push("sample", execution={})
        deployment = created(world)
        assert deployment.status == "ACTIVE", deployment.failure
        assert (deployment.spec.port, deployment.spec.health_check.status) == (80, "200-499")
        assert "No prediction was proven" in message(deployment, "smoke_test")


def test_a_bad_label_creates_nothing() -> None:
    with opened() as world:
        world.account.push("sample", execution={"Labels": {"slipway.health_check.path": "up"}})
        deployment = created(world)
        assert deployment.failure
        assert (deployment.status, deployment.failure.code) == ("FAILED", "IMAGE_INVALID")
        assert "slipway.health_check.path" in deployment.failure.message
        assert deployment.resources == []


@pytest.mark.parametrize("fails", [False, True])
def test_an_update_takes_the_values_of_its_image_and_a_rollback_the_earlier_ones(
    fails: bool,
) -> None:
    with opened() as world:
        world.account.push("sample", execution=SAMPLE)
        deployment = created(world)
        labels = {"slipway.smoke_test.path": "no path" if fails else "/v2"}
        world.account.push("next", execution={"ExposedPorts": {"9090": {}}, "Labels": labels})
        reply = world.update(deployment.id, image=image("next"))
        assert reply.status == 202, reply
        assert world.run_until_idle()
        changed = record(deployment.id)
        if fails:
            assert changed.operation.status == "rolled_back"
            assert (changed.spec, changed.spec_sources) == (
                deployment.spec,
                deployment.spec_sources,
            )
            return
        assert changed.operation.status == "succeeded", changed.failure
        assert (changed.spec.port, changed.spec.smoke_test.path) == (9090, "/v2")
        assert changed.spec.health_check.path == "/"
        world.ask("rollback", OWNERS[0], deployment.id)
        assert world.run_until_idle()
        assert record(deployment.id).spec == deployment.spec
