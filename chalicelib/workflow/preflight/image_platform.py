"""Checks in Amazon ECR that the image supports the architecture of the deployment."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.parts import Image
from chalicelib.domain.spec.fargate import PLATFORMS
from chalicelib.workflow import image
from chalicelib.workflow.preflight.subject import NotKnown, Subject

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
IMAGE_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
CONFIG_TYPES = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# A config has a few KB. The limit also allows a history of thousands of lines.
MOST_CONFIG_BYTES = 4 * 1024 * 1024
CONFIG_SECONDS = 8.0
READ_BYTES = 64 * 1024


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
    reference, digest, name = requested.parsed, requested.digest, requested.reference
    if reference.ecr is None:
        raise NotKnown(f"{reference.registry} is not an Amazon ECR registry")
    if digest is None:
        raise NotKnown("the image is not in Amazon ECR yet")
    account, region = reference.ecr
    ecr = image.ecr_client(region)
    where = {"registryId": account, "repositoryName": reference.repository}
    try:
        answer = ecr.batch_get_image(
            **where,
            imageIds=[{"imageDigest": digest}],
            acceptedMediaTypes=[*INDEX_TYPES, *IMAGE_TYPES],
        )
    except ecr.exceptions.RepositoryNotFoundException as error:
        reason = f"the repository {reference.repository} does not exist"
        raise image.not_found(name, reason, error) from None
    if not answer["images"]:
        failure = (answer.get("failures") or [{}])[0]
        if failure.get("failureCode") == "ImageNotFound":
            raise image.not_found(name, f"{reference.repository} has no image {digest}", None)
        raise NotKnown(f"Amazon ECR returned {failure.get('failureCode', 'no image')}")
    manifest = _json(answer["images"][0]["imageManifest"])
    if isinstance(manifest.get("manifests"), list):
        return _of_index(manifest["manifests"], wanted)
    return {_of_config(ecr, where, manifest.get("config"))}


def _of_index(entries: list[Any], wanted: str) -> set[str]:
    """The platforms in an index (OCI) or manifest list (Docker).

    Entries with `unknown/unknown` are attestations, which buildx adds next to the images.
    https://docs.docker.com/build/metadata/attestations/attestation-storage/
    """
    described = [entry.get("platform") for entry in entries if isinstance(entry, dict)]
    platforms = {_platform(platform) for platform in described if platform}
    # An entry without a platform can be anything, even another index.
    if wanted not in platforms and not all(described):
        raise NotKnown("the index of the image does not name every platform")
    return platforms - {"unknown/unknown"}


def _platform(described: dict[str, Any]) -> str:
    parts = [described.get("os", ""), described.get("architecture", "")]
    # Every arm64 is v8, with or without the variant. 32-bit arm needs the variant.
    if described.get("architecture") == "arm" and described.get("variant"):
        parts.append(described["variant"])
    return "/".join(map(str, parts))


def _of_config(ecr: Any, where: dict[str, str], config: Any) -> str:
    """The platform of a single image, from its config. ECR serves the config at a presigned URL."""
    config = config if isinstance(config, dict) else {}
    digest = str(config.get("digest"))
    if config.get("mediaType") not in CONFIG_TYPES or not DIGEST.fullmatch(digest):
        raise NotKnown("the manifest does not name an image config")
    url = ecr.get_download_url_for_layer(**where, layerDigest=digest)["downloadUrl"]
    content = _download(url)
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
        raise NotKnown("the image config does not match its digest")
    platform = _platform(_json(content))
    if not all(platform.split("/")):
        raise NotKnown("the image config does not name a platform")
    return platform


def _download(url: str) -> bytes:
    """The body at a presigned HTTPS URL. Size and time are limited."""
    parts = urlsplit(url)
    # The URL of an emulator is not presigned and points outside the emulator.
    if parts.scheme != "https" or "X-Amz-Signature" not in parse_qs(parts.query):
        raise NotKnown("the registry returned no presigned URL for the image config")
    connection = http.client.HTTPSConnection(parts.netloc, timeout=CONFIG_SECONDS)
    deadline = time.monotonic() + CONFIG_SECONDS
    content = b""
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise NotKnown(f"the download of the image config returned {response.status}")
        while part := response.read1(READ_BYTES):
            content += part
            if len(content) > MOST_CONFIG_BYTES or time.monotonic() > deadline:
                raise NotKnown("the image config is too large or its download is too slow")
    except (OSError, http.client.HTTPException) as error:
        raise NotKnown(f"the download of the image config failed: {type(error).__name__}") from None
    finally:
        connection.close()
    return content


def _json(text: str | bytes) -> dict[str, Any]:
    try:
        document: Any = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise NotKnown("the manifest or the config of the image is not a JSON object")
    return document
