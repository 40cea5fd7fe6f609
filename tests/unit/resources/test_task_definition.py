from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.parts import Image
from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.resources import task_definition
from tests.support.builders import (
    ACCOUNT,
    DIGEST,
    ID,
    IMAGE,
    PARAMETER,
    REGISTRY,
    SECRET,
    TASK_ROLE,
    deployment_of,
    spec_of,
)

pytestmark = pytest.mark.usefixtures("cloud")


def newest() -> dict[str, Any]:
    described = aws.client("ecs").describe_task_definition(taskDefinition=ID)
    return described["taskDefinition"]


def container(deployment: Deployment) -> dict[str, Any]:
    task_definition.ensure(deployment)
    return newest()["containerDefinitions"][0]


def test_a_spec_is_registered_once(deployment: Deployment) -> None:
    assert task_definition.ensure(deployment) == task_definition.ensure(deployment)
    assert len(task_definition.revisions(ID, "ACTIVE")) == 1


def test_a_revision_has_the_stacks_tags(deployment: Deployment) -> None:
    task_definition.ensure(deployment)
    described = aws.client("ecs").describe_task_definition(taskDefinition=ID, include=["TAGS"])
    tags = {tag["key"]: tag["value"] for tag in described["tags"]}
    assert (tags["slipway:deployment"], tags["slipway:owner"]) == (ID, "team-a")
    assert (tags["slipway:stack"], tags["team"]) == ("slipway-test", "a")


def test_a_change_of_only_the_count_registers_no_revision(deployment: Deployment) -> None:
    first = task_definition.ensure(deployment)
    deployment.spec = spec_of(count=5, tags={"team": "a"})
    assert task_definition.ensure(deployment) == first


def test_another_image_is_a_new_revision_and_a_rollback_reuses_the_old_one(
    deployment: Deployment,
) -> None:
    arns = []
    for tag in ("1", "2", "3", "1"):
        deployment.image = Image(reference=f"{REGISTRY}/recommend:{tag}")
        assert (task_definition.find(deployment) is None) is (len(arns) < 3)
        arns.append(task_definition.ensure(deployment).arn)
        assert task_definition.find(deployment) == arns[-1]
    assert arns[3] == arns[0]
    assert len(set(arns)) == 3


def test_a_revision_uses_the_image_digest() -> None:
    deployment = deployment_of()
    deployment.image = Image(reference=IMAGE, digest=DIGEST)
    assert container(deployment)["image"] == f"{REGISTRY}/recommend@{DIGEST}"


def test_a_revision_matches_the_spec() -> None:
    made = container(
        deployment_of(
            cpu=1024,
            memory=4096,
            architecture="ARM64",
            port=8080,
            command=["serve", "--fast"],
            environment={"B": "2", "A": "1"},
        )
    )
    assert made["command"] == ["serve", "--fast"]
    assert made["environment"] == [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "2"},
        {"name": "PORT", "value": "8080"},
    ]
    assert made["portMappings"][0]["containerPort"] == 8080
    assert made["logConfiguration"]["options"]["awslogs-group"].endswith(ID)
    described = newest()
    assert (described["cpu"], described["memory"]) == ("1024", "4096")
    assert described["runtimePlatform"]["cpuArchitecture"] == "ARM64"
    assert described["networkMode"] == "awsvpc"
    assert described["executionRoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/slipway-execution"
    assert described["taskRoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/slipway-task"


@pytest.mark.parametrize(("port", "lowered"), [(80, True), (1023, True), (1024, False)])
def test_a_user_without_root_can_bind_a_low_port(port: int, lowered: bool) -> None:
    controls = container(deployment_of(port=port)).get("systemControls", [])
    names = [control["namespace"] for control in controls]
    assert names == (["net.ipv4.ip_unprivileged_port_start"] if lowered else [])


def test_the_callers_port_variable_takes_precedence() -> None:
    made = container(deployment_of(environment={"PORT": "9000"}))
    assert made["environment"] == [{"name": "PORT", "value": "9000"}]


def test_a_revision_refers_to_secrets_without_their_values() -> None:
    made = container(deployment_of(secrets={"TOKEN": f"{SECRET}:key::", "KEY": PARAMETER}))
    assert made["secrets"] == [
        {"name": "KEY", "valueFrom": PARAMETER},
        {"name": "TOKEN", "valueFrom": f"{SECRET}:key::"},
    ]


def test_a_secret_named_port_replaces_the_variable() -> None:
    assert container(deployment_of(secrets={"PORT": SECRET}))["environment"] == []


def test_a_longer_id_is_another_family(deployment: Deployment) -> None:
    longer = deployment_of(f"{ID}-ghijkl", name="x")
    task_definition.ensure(longer)
    assert task_definition.find(deployment) is None
    assert task_definition.exists(ID) == []
    task_definition.ensure(deployment)
    task_definition.delete(ID)
    assert task_definition.exists(ID) == []
    assert len(task_definition.exists(longer.id)) == 1


def test_delete_removes_every_revision(deployment: Deployment) -> None:
    for n in range(12):
        deployment.spec = spec_of(environment={"N": str(n)})
        task_definition.ensure(deployment)
    task_definition.delete(ID)
    assert task_definition.exists(ID) == []


def test_delete_continues_with_deregistered_revisions(deployment: Deployment) -> None:
    arn = task_definition.ensure(deployment).arn
    aws.client("ecs").deregister_task_definition(taskDefinition=arn)
    assert task_definition.exists(ID) == [arn]
    task_definition.delete(ID)
    assert task_definition.exists(ID) == []


def test_deleting_missing_revisions_succeeds() -> None:
    task_definition.delete(ID)
    assert task_definition.exists(ID) == []


@pytest.mark.parametrize(
    ("request_timeout", "seconds"), [(1, 2), (20, 20), (120, 120), (121, 120), (3600, 120)]
)
def test_the_stop_timeout_follows_the_time_of_one_request(
    deployment: Deployment, request_timeout: int, seconds: int
) -> None:
    deployment.spec = spec_of(request_timeout=request_timeout)
    assert container(deployment)["stopTimeout"] == seconds


def test_a_longer_request_timeout_registers_no_revision_beyond_the_longest_stop_timeout(
    deployment: Deployment,
) -> None:
    deployment.spec = spec_of(request_timeout=200)
    first = task_definition.ensure(deployment)
    deployment.spec = spec_of(request_timeout=3000)
    assert task_definition.ensure(deployment) == first


def test_a_spec_of_an_earlier_version_keeps_its_revision(deployment: Deployment) -> None:
    deployment.spec = deployment.spec.model_copy(update={"request_timeout": None})
    assert container(deployment)["stopTimeout"] == 10


def test_ephemeral_storage_is_requested_only_beyond_what_each_task_has(
    deployment: Deployment,
) -> None:
    task_definition.ensure(deployment)
    assert "ephemeralStorage" not in newest()
    deployment.spec = spec_of(storage_gib=21)
    task_definition.ensure(deployment)
    assert newest()["ephemeralStorage"] == {"sizeInGiB": 21}


def test_the_container_has_the_role_of_the_spec_or_one_without_permissions(
    deployment: Deployment,
) -> None:
    task_definition.ensure(deployment)
    assert newest()["taskRoleArn"] == settings().task_role_arn
    deployment.spec = spec_of(task_role_arn=TASK_ROLE)
    task_definition.ensure(deployment)
    assert newest()["taskRoleArn"] == TASK_ROLE
