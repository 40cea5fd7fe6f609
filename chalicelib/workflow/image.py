"""The first step: does the image exist? Asked before anything is made."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.parts import Image
from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.workflow.step import Outcome


def resolve(deployment: Deployment) -> Outcome:
    """The image's digest and size from Amazon ECR.

    A registry that is not ECR cannot be asked without credentials for it: such an image keeps
    its reference, and ECS is the first to find out whether it is there.
    """
    if deployment.image.digest:
        return Outcome(message=f"{deployment.image.digest}, as resolved before")
    reference = deployment.image.parsed
    if reference.ecr is None:
        return Outcome(message=f"{reference.registry} is not ECR: not checked before the pull")
    account, region = reference.ecr
    identifier = (
        {"imageDigest": reference.digest} if reference.digest else {"imageTag": reference.tag}
    )
    details = _describe(
        account, region, reference.repository, identifier, deployment.image.reference
    )
    found = Image(
        reference=deployment.image.reference,
        digest=details["imageDigest"],
        size_bytes=details.get("imageSizeInBytes"),
    )

    def change(record: Deployment) -> None:
        record.image = found

    return Outcome(message=found.digest or "", change=change)


def ecr_client(region: str) -> Any:
    """The client for a registry of `region`, which may be another than the function's own."""
    return aws.client("ecr") if region == settings().aws_region else aws.client("ecr", region)


def _describe(
    account: str, region: str, repository: str, identifier: dict[str, Any], reference: str
) -> dict[str, Any]:
    ecr = ecr_client(region)
    try:
        answer = ecr.describe_images(
            registryId=account, repositoryName=repository, imageIds=[identifier]
        )
    except ecr.exceptions.RepositoryNotFoundException as error:
        raise not_found(reference, f"there is no repository {repository}", error) from None
    except ecr.exceptions.ImageNotFoundException as error:
        what = identifier.get("imageTag") or identifier.get("imageDigest")
        raise not_found(reference, f"{repository} has no image {what}", error) from None
    except ecr.exceptions.ClientError as error:
        if aws.code_of(error) not in aws.DENIED:
            raise
        raise DeploymentFailed(
            FailureCode.IMAGE_ACCESS_DENIED,
            f"Slipway may not read {reference}.",
            hint="Allow Slipway's account in the repository's policy, or push the image here.",
            evidence={"aws_message": aws.message_of(error)},
        ) from None
    if not answer["imageDetails"]:
        raise not_found(reference, f"{repository} has no such image", None)
    return answer["imageDetails"][0]


def not_found(reference: str, reason: str, error: Exception | None) -> DeploymentFailed:
    """The failure to raise for an image that the registry does not have."""
    return DeploymentFailed(
        FailureCode.IMAGE_NOT_FOUND,
        f"The image {reference} does not exist: {reason}.",
        hint="Check the tag, and that the push has ended, then deploy again.",
        evidence={"aws_message": aws.message_of(error)} if error else {},
    )
