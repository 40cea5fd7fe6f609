"""All checks together. Each check has its own test module."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.parts import Image
from chalicelib.platform import aws
from chalicelib.resources import service as ecs_service
from chalicelib.workflow.preflight import preflight
from chalicelib.workflow.preflight.subject import Subject
from local.network import open_default_vpc
from tests.support import aws_says
from tests.support.builders import (
    CERTIFICATE,
    DOMAIN,
    IMAGE,
    MOMENT,
    SECRET,
    active,
    deployment_of,
    rolling_back,
    spec_of,
)

INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture
def opened(cloud: None) -> None:
    """An account without faults, in which only Service Quotas returns an error."""
    open_default_vpc(aws.client("ec2"))
    aws.client("ecr").create_repository(repositoryName="recommend")


def resolved(architecture: str = "amd64", **fields: Any) -> Deployment:
    """A deployment whose image is in the registry and built for `architecture`."""
    deployment = deployment_of(**fields)
    deployment.image = push(architecture, IMAGE)
    return deployment


def push(architecture: str, reference: str) -> Image:
    entry = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:" + "0" * 64,
        "size": 1,
        "platform": {"os": "linux", "architecture": architecture},
    }
    manifest = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]})
    answer = aws.client("ecr").put_image(
        repositoryName="recommend", imageManifest=manifest, imageTag=reference.rpartition(":")[2]
    )
    return Image(reference=reference, digest=answer["image"]["imageId"]["imageDigest"])


def allow_vcpu(count: float) -> None:
    aws_says.answer("service-quotas", "GetServiceQuota", {"Quota": {"Value": count}})


def failure(deployment: Deployment) -> DeploymentFailed:
    with pytest.raises(DeploymentFailed) as raised:
        preflight.check(deployment)
    return raised.value


@pytest.mark.usefixtures("opened")
def test_the_checks_are_reported() -> None:
    allow_vcpu(6)
    outcome = preflight.check(resolved())
    assert outcome.status == "succeeded"
    assert outcome.message == (
        "architecture, subnets and routes, free addresses, load balancer quota, "
        "target group quota, Fargate vCPU quota"
    )


@pytest.mark.usefixtures("opened")
def test_secrets_are_checked_if_there_are_any() -> None:
    described = {"ARN": SECRET, "VersionIdsToStages": {"1": ["AWSCURRENT"]}}
    aws_says.answer("secretsmanager", "DescribeSecret", described)
    assert ", secrets, " in preflight.check(resolved(secrets={"TOKEN": SECRET})).message


@pytest.mark.usefixtures("opened")
def test_the_first_fault_is_the_failure_and_the_others_are_named() -> None:
    allow_vcpu(0)
    fault = failure(resolved("arm64", secrets={"TOKEN": SECRET}))
    assert fault.code is FailureCode.ARCHITECTURE_MISMATCH
    also = fault.evidence["also"]
    assert [entry["code"] for entry in also] == ["SECRET_UNAVAILABLE", "AWS_QUOTA_EXCEEDED"]
    assert all(entry["check"] and entry["message"] and entry["hint"] for entry in also)


@pytest.mark.usefixtures("opened")
def test_a_single_fault_names_no_others() -> None:
    assert "also" not in failure(resolved("arm64")).evidence


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AccessDeniedException", 400),
        ("UnauthorizedOperation", 403),
        ("InvalidAction", 400),
        ("NotImplemented", 501),
    ],
)
def test_a_denied_read_does_not_fail_the_preflight(code: str, status: int) -> None:
    refused = (
        ("ecr", "BatchGetImage"),
        ("secretsmanager", "DescribeSecret"),
        ("acm", "DescribeCertificate"),
        ("route53", "ListHostedZones"),
        ("ec2", "DescribeSubnets"),
        ("elbv2", "DescribeAccountLimits"),
        ("service-quotas", "GetServiceQuota"),
    )
    for service, operation in refused:
        aws_says.refuse(service, operation, code, status=status)
    fields = {"secrets": {"TOKEN": SECRET}, "certificate_arn": CERTIFICATE, "domain": DOMAIN}
    outcome = preflight.check(resolved(**fields))
    assert outcome.status == "succeeded"
    for name, _ in preflight.CHECKS:
        assert f"{name} unknown: " in outcome.message
    assert f"Fargate vCPU quota unknown: GetServiceQuota returned {code}" in outcome.message


@pytest.mark.usefixtures("opened")
def test_the_step_frame_handles_throttling() -> None:
    aws_says.refuse("elbv2", "DescribeAccountLimits", "ThrottlingException", times=1)
    deployment = resolved()
    with pytest.raises(ClientError, match="ThrottlingException"):
        preflight.check(deployment)
    assert preflight.check(deployment).status == "succeeded"


@pytest.mark.usefixtures("opened")
def test_the_step_frame_handles_a_server_error() -> None:
    aws_says.refuse("ec2", "DescribeRouteTables", "InternalError", status=503)
    with pytest.raises(ClientError, match="InternalError"):
        preflight.check(resolved())


@pytest.mark.usefixtures("opened")
def test_the_step_frame_handles_a_lost_connection() -> None:
    error = ConnectionClosedError(endpoint_url="https://aws.example")
    aws_says.lose("service-quotas", "GetServiceQuota", error)
    with pytest.raises(ConnectionClosedError):
        preflight.check(resolved())


@pytest.mark.usefixtures("opened")
def test_a_fault_is_reported_even_if_another_check_failed() -> None:
    aws_says.refuse("elbv2", "DescribeAccountLimits", "ThrottlingException")
    assert failure(resolved("arm64")).code is FailureCode.ARCHITECTURE_MISMATCH


@pytest.mark.usefixtures("opened")
def test_an_internal_error_is_not_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> bool:
        raise KeyError("no such thing")

    monkeypatch.setattr(preflight, "CHECKS", (("broken", broken),))
    with pytest.raises(KeyError):
        preflight.check(resolved())


def test_a_rollback_is_not_checked(cloud: None, aws_calls: list[str]) -> None:
    outcome = preflight.check(rolling_back(MOMENT))
    assert outcome.status == "skipped"
    assert aws_calls == []


@pytest.mark.usefixtures("opened")
def test_an_update_is_checked_too() -> None:
    deployment = active()
    deployment.update(spec_of(image=f"{IMAGE}2"), MOMENT, new_image=True)
    deployment.image = push("arm64", f"{IMAGE}2")
    assert failure(deployment).code is FailureCode.ARCHITECTURE_MISMATCH


@pytest.mark.usefixtures("opened")
def test_a_check_without_a_response_delays_a_deploy_only_briefly() -> None:
    deployment = resolved()
    aws_says.refuse("service-quotas", "GetServiceQuota", "ThrottlingException")
    for _ in range(preflight.MOST_TRIES - 1):
        deployment.begin_step("preflight", "r", MOMENT, MOMENT)
        with pytest.raises(ClientError):
            preflight.check(deployment)
    deployment.begin_step("preflight", "r", MOMENT, MOMENT)
    assert "Fargate vCPU quota unknown: " in preflight.check(deployment).message


def test_a_pause_is_not_checked(cloud: None, aws_calls: list[str]) -> None:
    deployment = active()
    deployment.pause(MOMENT)
    assert preflight.check(deployment).status == "skipped"
    assert aws_calls == []


def test_a_resume_checks_the_capacity_for_its_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = active(count=3)
    deployment.pause(MOMENT)
    deployment.activate(MOMENT, 0.03)
    deployment.resume(MOMENT)
    paused = {"status": "ACTIVE", "runningCount": 0, "pendingCount": 0}
    monkeypatch.setattr(ecs_service, "find", lambda _: paused)
    assert Subject(deployment).new_tasks == 3


def test_a_repair_is_not_checked(cloud: None, aws_calls: list[str]) -> None:
    deployment = active()
    deployment.repair("the service was deleted", MOMENT)
    assert preflight.check(deployment).status == "skipped"
    assert aws_calls == []
