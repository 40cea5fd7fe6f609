"""Is the image built for the architecture that the deployment asks for? Asked of Amazon ECR."""

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
# A config has a few KB; one with a history of thousands of lines is still read.
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
        raise NotKnown("the image names no platform")
    raise _mismatch(deployment.spec.architecture, wanted, platforms)


def _mismatch(asked: str, wanted: str, platforms: set[str]) -> DeploymentFailed:
    names = {platform: name for name, platform in PLATFORMS.items()}
    built_for = " and ".join(
        f"{names[platform]} ({platform})" if platform in names else platform
        for platform in sorted(platforms)
    )
    others = [names[platform] for platform in sorted(platforms) if platform in names]
    other_fix = f', or deploy with "architecture": "{others[0]}"' if others else ""
    return DeploymentFailed(
        FailureCode.ARCHITECTURE_MISMATCH,
        f"The image is built for {built_for}, the deployment asks for {asked}.",
        hint=f"Build it with docker buildx build --platform {wanted} and push it{other_fix}.",
        evidence={"image_platforms": sorted(platforms), "wanted_platform": wanted},
    )


def _platforms(asked: Image, wanted: str) -> set[str]:
    """Platforms such as `linux/arm64` that the image can run on."""
    reference, digest, name = asked.parsed, asked.digest, asked.reference
    if reference.ecr is None or digest is None:
        raise NotKnown(f"{reference.registry} is not ECR")
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
        reason = f"there is no repository {reference.repository}"
        raise image.not_found(name, reason, error) from None
    if not answer["images"]:
        failure = (answer.get("failures") or [{}])[0]
        if failure.get("failureCode") == "ImageNotFound":
            raise image.not_found(name, f"{reference.repository} has no image {digest}", None)
        raise NotKnown(f"ECR answers {failure.get('failureCode', 'nothing')}")
    manifest = _json(answer["images"][0]["imageManifest"])
    if isinstance(manifest.get("manifests"), list):
        return _of_index(manifest["manifests"], wanted)
    return {_of_config(ecr, where, manifest.get("config"))}


def _of_index(entries: list[Any], wanted: str) -> set[str]:
    """What an index (OCI) or manifest list (Docker) names.

    Entries of `unknown/unknown` are attestations, which buildx puts beside the images.
    https://docs.docker.com/build/metadata/attestations/attestation-storage/
    """
    described = [entry.get("platform") for entry in entries if isinstance(entry, dict)]
    platforms = {_platform(platform) for platform in described if platform}
    # An entry without a platform may be anything, another index too.
    if wanted not in platforms and not all(described):
        raise NotKnown("the image's index does not name every platform")
    return platforms - {"unknown/unknown"}


def _platform(described: dict[str, Any]) -> str:
    parts = [described.get("os", ""), described.get("architecture", "")]
    # Every arm64 is v8, whether it says so or not; for 32-bit arm the variant tells them apart.
    if described.get("architecture") == "arm" and described.get("variant"):
        parts.append(described["variant"])
    return "/".join(map(str, parts))


def _of_config(ecr: Any, where: dict[str, str], config: Any) -> str:
    """The platform of a single image: its config tells, which ECR gives under a presigned URL."""
    config = config if isinstance(config, dict) else {}
    digest = str(config.get("digest"))
    if config.get("mediaType") not in CONFIG_TYPES or not DIGEST.fullmatch(digest):
        raise NotKnown("the manifest names no image config")
    url = ecr.get_download_url_for_layer(**where, layerDigest=digest)["downloadUrl"]
    content = _download(url)
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
        raise NotKnown("the image config is not what its digest says")
    platform = _platform(_json(content))
    if not all(platform.split("/")):
        raise NotKnown("the image config names no platform")
    return platform


def _download(url: str) -> bytes:
    """The body under a presigned https URL, of bounded size and in bounded time."""
    parts = urlsplit(url)
    # An emulator's URL is not presigned and leads out of the emulator.
    if parts.scheme != "https" or "X-Amz-Signature" not in parse_qs(parts.query):
        raise NotKnown("the registry gives no presigned URL for the image config")
    connection = http.client.HTTPSConnection(parts.netloc, timeout=CONFIG_SECONDS)
    deadline = time.monotonic() + CONFIG_SECONDS
    content = b""
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise NotKnown(f"the image config answers {response.status}")
        while part := response.read1(READ_BYTES):
            content += part
            if len(content) > MOST_CONFIG_BYTES or time.monotonic() > deadline:
                raise NotKnown("the image config is too large or too slow to read")
    except (OSError, http.client.HTTPException) as error:
        raise NotKnown(f"the image config cannot be read: {type(error).__name__}") from None
    finally:
        connection.close()
    return content


def _json(text: str | bytes) -> dict[str, Any]:
    try:
        document: Any = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise NotKnown("the image's manifest or config is no JSON object")
    return document
