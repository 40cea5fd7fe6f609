import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.parts import Image
from chalicelib.workflow.image import image as images
from tests.support import aws_says
from tests.support.builders import DIGEST, IMAGE, REGION, REGISTRY, deployment_of
from tests.unit.conftest import push_image


def wanting(reference: str) -> Deployment:
    deployment = deployment_of()
    deployment.image = Image(reference=reference)
    return deployment


def resolved(deployment: Deployment) -> Image:
    outcome = images.resolve(deployment)
    if outcome.change:
        outcome.change(deployment)
    return deployment.image


def test_a_tag_becomes_a_digest_with_its_size(image: str) -> None:
    found = resolved(wanting(IMAGE))
    assert (found.reference, found.digest) == (IMAGE, image)
    assert found.size_bytes is not None
    assert found.size_bytes > 0


def test_an_image_can_be_named_by_its_digest(image: str) -> None:
    assert resolved(wanting(f"{REGISTRY}/recommend@{image}")).digest == image


def test_a_resolved_digest_is_kept(aws_calls: list[str]) -> None:
    deployment = deployment_of(port=8080, health_check={"path": "/"}, smoke_test={"path": "/"})
    deployment.image = Image(reference=IMAGE, digest=DIGEST)
    assert resolved(deployment).digest == DIGEST
    assert aws_calls == []


def test_a_moved_tag_is_another_digest(image: str) -> None:
    again = push_image("2")
    assert resolved(wanting(f"{REGISTRY}/recommend:2")).digest == again != image


def test_other_registries_are_not_called(aws_calls: list[str]) -> None:
    found = resolved(wanting("ghcr.io/team/recommend:1"))
    assert found == Image(reference="ghcr.io/team/recommend:1")
    assert aws_calls == []


@pytest.mark.usefixtures("image")
@pytest.mark.parametrize(
    "reference",
    [
        f"{REGISTRY}/recommend:no-such-tag",
        f"{REGISTRY}/recommend@{DIGEST}",
        f"{REGISTRY}/no-such-repository:1",
    ],
)
def test_a_missing_image_is_a_failure(reference: str) -> None:
    with pytest.raises(DeploymentFailed, match="does not exist") as raised:
        images.resolve(wanting(reference))
    assert raised.value.code is FailureCode.IMAGE_NOT_FOUND
    assert raised.value.hint


@pytest.mark.usefixtures("cloud")
def test_an_unreadable_image_is_a_failure() -> None:
    aws_says.refuse("ecr", "DescribeImages", "AccessDeniedException", "not authorized")
    with pytest.raises(DeploymentFailed) as raised:
        images.resolve(wanting(IMAGE))
    assert raised.value.code is FailureCode.IMAGE_ACCESS_DENIED
    assert raised.value.evidence == {"aws_message": "not authorized"}


@pytest.mark.usefixtures("cloud")
def test_other_errors_are_left_to_the_step_frame() -> None:
    aws_says.refuse("ecr", "DescribeImages", "ThrottlingException")
    with pytest.raises(ClientError):
        images.resolve(wanting(IMAGE))


def test_an_image_of_another_region_is_looked_up_there(cloud: None) -> None:
    digest = push_image(client=boto3.client("ecr", region_name="eu-west-1"))
    assert resolved(wanting(IMAGE.replace(REGION, "eu-west-1"))).digest == digest
