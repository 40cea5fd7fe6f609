"""Checks in Amazon ECR that the image supports the architecture of the deployment."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.parts import Image
from chalicelib.domain.spec.fargate import PLATFORMS
from chalicelib.workflow.image import image, image_config
from chalicelib.workflow.preflight.subject import NotKnown, Subject


def check(subject: Subject) -> bool:
    """Raises `DeploymentFailed` (`ARCHITECTURE_MISMATCH`, `IMAGE_NOT_FOUND`) or `NotKnown`."""
    deployment = subject.deployment
    wanted = PLATFORMS[deployment.spec.architecture]
    platforms = _platforms(deployment.image, wanted)
    if wanted in platforms:
        return True
    if not platforms:
        raise NotKnown("the image does not name a platform")
    raise _mismatch(deployment.spec.architecture, wanted, platforms)


def _mismatch(architecture: str, wanted: str, platforms: set[str]) -> DeploymentFailed:
    names = {platform: name for name, platform in PLATFORMS.items()}
    built_for = " and ".join(
        f"{names[platform]} ({platform})" if platform in names else platform
        for platform in sorted(platforms)
    )
    others = [names[platform] for platform in sorted(platforms) if platform in names]
    other_fix = f', or deploy with "architecture": "{others[0]}"' if others else ""
    return DeploymentFailed(
        FailureCode.ARCHITECTURE_MISMATCH,
        f"The image is built for {built_for}, but the deployment needs {architecture}.",
        hint=f"Build the image with `docker buildx build --platform {wanted}` and push it"
        f"{other_fix}.",
        evidence={"image_platforms": sorted(platforms), "wanted_platform": wanted},
    )


def _platforms(requested: Image, wanted: str) -> set[str]:
    """The platforms of the image, such as `linux/arm64`."""
    if requested.parsed.ecr and requested.digest is None:
        raise NotKnown("the image is not in Amazon ECR yet")
    try:
        manifest = image_config.manifest(requested, requested.digest)
        if image_config.is_index(manifest):
            return _of_index(image_config.entries(manifest), wanted)
        platform = image_config.platform_of(image_config.config(requested, manifest))
    except image_config.Missing as missing:
        raise image.not_found(requested.reference, str(missing), missing.error) from None
    if not all(platform.split("/")):
        raise NotKnown("the image config does not name a platform")
    return {platform}


def _of_index(entries: list[dict[str, Any]], wanted: str) -> set[str]:
    """The platforms in an index (OCI) or manifest list (Docker).

    Entries with `unknown/unknown` are attestations, which buildx adds next to the images.
    https://docs.docker.com/build/metadata/attestations/attestation-storage/
    """
    named = [image_config.platform_of_entry(entry) for entry in entries]
    platforms = {platform for platform in named if platform}
    # An entry without a platform can be anything, even another index.
    if wanted not in platforms and not all(named):
        raise NotKnown("the index of the image does not name every platform")
    return platforms - {"unknown/unknown"}
