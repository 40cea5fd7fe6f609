"""The first step: check that the image exists, before any resource is created."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.operation import Kind, Path
from chalicelib.domain.parts import Image
from chalicelib.platform import aws
from chalicelib.workflow.image import image_config, pull_through, resolution
from chalicelib.workflow.step import Outcome


def resolve(deployment: Deployment, *, may_import: bool = False) -> Outcome:
    """Gets the image's digest and size from Amazon ECR, and what the spec takes from the image.

    Slipway has no credentials for other registries, so it cannot query them. An image in another
    registry keeps its reference, and ECS is the first to find out whether it exists. The same
    applies to an image that a pull-through cache has not imported. `may_import` imports it.
    """
    image, operation = deployment.image, deployment.operation
    if image.digest and operation.kind is Kind.RESUME and operation.path is Path.CONVERGE:
        _check_pinned(image)
    resolved, message = _resolved(image, may_import)
    image_settings, note = resolution.read(deployment, resolved)

    def change(record: Deployment) -> None:
        record.resolve(resolved, image_settings)

    return Outcome(message="; ".join(filter(None, (message, note))), change=change)


def _resolved(image: Image, may_import: bool) -> tuple[Image, str]:
    """The image with its digest, if its registry can be queried, and a message about that."""
    if image.digest:
        return image, f"{image.digest}, resolved earlier"
    reference = image.parsed
    if reference.ecr is None:
        return image, f"not checked because {reference.registry} is not Amazon ECR"
    try:
        return _pinned(image)
    except DeploymentFailed as failure:
        if failure.code is not FailureCode.IMAGE_NOT_FOUND:
            raise
        account, region = reference.ecr
        rule = pull_through.rule_for(image_config.ecr_client(region), reference, account)
        if rule is None:
            raise
    return _through_cache(image, rule, may_import)


def _pinned(image: Image) -> tuple[Image, str]:
    reference = image.parsed
    assert reference.ecr is not None
    identifier = (
        {"imageDigest": reference.digest} if reference.digest else {"imageTag": reference.tag}
    )
    details = _describe(*reference.ecr, reference.repository, identifier, image.reference)
    resolved = Image(
        reference=image.reference,
        digest=details["imageDigest"],
        size_bytes=details.get("imageSizeInBytes"),
    )
    return resolved, resolved.digest or ""


def _through_cache(image: Image, rule: pull_through.Rule, may_import: bool) -> tuple[Image, str]:
    """Without a digest, ECS resolves the tag at the first pull, and the next operation pins it.

    ECS gives all tasks of one service revision the same digest.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html
    """
    reference = image.parsed
    assert reference.ecr is not None
    if reference.digest:
        raise pull_through.by_digest(reference, rule)
    if may_import:
        account, region = reference.ecr
        pull_through.import_tag(image_config.ecr_client(region), reference, account, rule)
        try:
            return _pinned(image)
        except DeploymentFailed as failure:
            if failure.code is not FailureCode.IMAGE_NOT_FOUND:
                raise
    return image, pull_through.not_yet_here(rule)


def _check_pinned(image: Image) -> None:
    """Fails if ECR no longer has the digest: a resume must start tasks, and none could start.

    Every other operation goes on, because the running tasks need no image.
    """
    reference, digest = image.parsed, image.digest
    if reference.ecr is None:
        return
    try:
        _describe(*reference.ecr, reference.repository, {"imageDigest": digest}, image.reference)
    except DeploymentFailed as error:
        if error.code is not FailureCode.IMAGE_NOT_FOUND:
            return  # ECS may be allowed to read what Slipway is not
        message, hint = digest_gone(image)
        raise DeploymentFailed(error.code, message, hint=hint, evidence=error.evidence) from None


def digest_gone(image: Image) -> tuple[str, str]:
    """The message and the hint for an image that its registry no longer has under its digest."""
    reference = image.parsed
    where = f"{reference.registry}/{reference.repository}"
    message = (
        f"{where} no longer has {image.digest}, the digest that this deployment runs. A lifecycle "
        "rule or a person has deleted the image."
    )
    hint = (
        "Push the same image again, or PATCH `image` to deploy another one. To keep images in "
        "use, read `image.digest` of the deployments before a rule deletes images."
    )
    return message, hint


def _describe(
    account: str, region: str, repository: str, identifier: dict[str, Any], reference: str
) -> dict[str, Any]:
    ecr = image_config.ecr_client(region)
    try:
        answer = ecr.describe_images(
            registryId=account, repositoryName=repository, imageIds=[identifier]
        )
    except ecr.exceptions.RepositoryNotFoundException as error:
        raise not_found(reference, f"there is no repository {repository}", error) from None
    except ecr.exceptions.ImageNotFoundException as error:
        tag_or_digest = identifier.get("imageTag") or identifier.get("imageDigest")
        reason = f"{repository} has no image {tag_or_digest}"
        raise not_found(reference, reason, error) from None
    except ecr.exceptions.ClientError as error:
        if aws.code_of(error) not in aws.DENIED:
            raise
        raise DeploymentFailed(
            FailureCode.IMAGE_ACCESS_DENIED,
            f"Slipway is not allowed to read {reference}.",
            hint="Allow Slipway's account in the repository policy, or push the image to a "
            "repository in Slipway's account.",
            evidence={"aws_message": aws.message_of(error)},
        ) from None
    if not answer["imageDetails"]:
        raise not_found(reference, f"{repository} has no such image", None)
    return answer["imageDetails"][0]


def not_found(reference: str, reason: str, error: Exception | None) -> DeploymentFailed:
    """The failure for an image that does not exist in its registry."""
    return DeploymentFailed(
        FailureCode.IMAGE_NOT_FOUND,
        f"The image {reference} does not exist: {reason}.",
        hint="Check that the tag is correct and the push is complete, then deploy again.",
        evidence={"aws_message": aws.message_of(error)} if error else {},
    )
