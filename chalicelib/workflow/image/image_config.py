"""Reads manifests and configs of images in Amazon ECR.

A config describes one image for one platform: what it exposes, its labels, its architecture.
https://github.com/opencontainers/image-spec/blob/main/config.md
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import time
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, parse_qs, urljoin, urlsplit

from chalicelib.domain.parts import Image
from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.workflow.preflight.subject import NotKnown

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
LEAST_SECONDS = 0.5
READ_BYTES = 64 * 1024
# Amazon S3 redirects requests to a new bucket for a while.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/Redirects.html
MOST_REDIRECTS = 3
REDIRECTS = {301, 302, 303, 307, 308}


class Missing(Exception):
    """The registry does not have the image; the message says what is missing.

    Attributes:
        error: of botocore, if there is one.
    """

    def __init__(self, message: str, error: Exception | None = None) -> None:
        super().__init__(message)
        self.error = error


class Interrupted(NotKnown):
    """The download of a config failed, but the next one may succeed."""


def ecr_client(region: str) -> Any:
    """The client for a registry in `region`, which may differ from the function's region."""
    return aws.client("ecr") if region == settings().aws_region else aws.client("ecr", region)


def read(image: Image, platform: str) -> dict[str, Any]:
    """The config of the image for a platform, such as `linux/arm64`.

    Raises `NotKnown` if it cannot be read, `Missing`, or an error of botocore.
    """
    document = manifest(image, image.digest)
    if is_index(document):
        fitting = [entry for entry in entries(document) if platform_of_entry(entry) == platform]
        if not fitting:
            raise NotKnown(f"the index of the image has no image for {platform}")
        document = manifest(image, str(fitting[0].get("digest")))
    return config(image, document)


def manifest(image: Image, digest: str | None) -> dict[str, Any]:
    """The manifest or the index with the digest, in the repository of the image. Raises as `read`.

    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchGetImage.html
    """
    ecr, where = _repository(image)
    if digest is None or not DIGEST.fullmatch(digest):
        raise NotKnown("the digest of the image is not known")
    try:
        answer = ecr.batch_get_image(
            **where,
            imageIds=[{"imageDigest": digest}],
            acceptedMediaTypes=[*INDEX_TYPES, *IMAGE_TYPES],
        )
    except ecr.exceptions.RepositoryNotFoundException as error:
        reason = f"the repository {where['repositoryName']} does not exist"
        raise Missing(reason, error) from None
    if not answer["images"]:
        failure = (answer.get("failures") or [{}])[0]
        if failure.get("failureCode") == "ImageNotFound":
            raise Missing(f"{where['repositoryName']} has no image {digest}")
        raise NotKnown(f"Amazon ECR returned {failure.get('failureCode', 'no image')}")
    return _json(answer["images"][0]["imageManifest"])


def is_index(document: dict[str, Any]) -> bool:
    """Whether it is an index (OCI) or a manifest list (Docker)."""
    return isinstance(document.get("manifests"), list)


def entries(index: dict[str, Any]) -> list[dict[str, Any]]:
    """The descriptors in an index."""
    return [entry for entry in index["manifests"] if isinstance(entry, dict)]


def platform_of_entry(entry: dict[str, Any]) -> str | None:
    """The platform of an entry in an index; None if the entry does not name one."""
    described = entry.get("platform")
    return platform_of(described) if isinstance(described, dict) and described else None


def platform_of(described: dict[str, Any]) -> str:
    """The platform that a config or an entry describes, such as `linux/arm64`."""
    parts = [described.get("os", ""), described.get("architecture", "")]
    # Every arm64 is v8, with or without the variant. 32-bit arm needs the variant.
    if described.get("architecture") == "arm" and described.get("variant"):
        parts.append(described["variant"])
    return "/".join(map(str, parts))


def config(image: Image, document: dict[str, Any]) -> dict[str, Any]:
    """The config that a manifest names. ECR serves it at a presigned URL. Raises as `read`.

    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetDownloadUrlForLayer.html
    """
    described = document.get("config")
    described = described if isinstance(described, dict) else {}
    digest = str(described.get("digest"))
    if described.get("mediaType") not in CONFIG_TYPES or not DIGEST.fullmatch(digest):
        raise NotKnown("the manifest does not name an image config")
    ecr, where = _repository(image)
    url = ecr.get_download_url_for_layer(**where, layerDigest=digest)["downloadUrl"]
    content = _download(url, is_local=_is_loopback(urlsplit(ecr.meta.endpoint_url)))
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
        raise NotKnown("the image config does not match its digest")
    return _json(content)


def _repository(image: Image) -> tuple[Any, dict[str, str]]:
    reference = image.parsed
    if reference.ecr is None:
        raise NotKnown(f"{reference.registry} is not an Amazon ECR registry")
    account, region = reference.ecr
    return ecr_client(region), {"registryId": account, "repositoryName": reference.repository}


def _download(url: str, *, is_local: bool) -> bytes:
    """The body at a presigned HTTPS URL. Size, time and redirects are limited.

    `is_local`: the registry is an emulator on this machine, and may serve on loopback.
    """
    deadline = time.monotonic() + CONFIG_SECONDS
    for _ in range(MOST_REDIRECTS + 1):
        parts = urlsplit(url)
        # The URL of an emulator may not be presigned, and may point outside the emulator.
        is_presigned = parts.scheme == "https" and "X-Amz-Signature" in parse_qs(parts.query)
        if not is_presigned and not (is_local and _is_loopback(parts)):
            raise NotKnown("the registry returned no presigned URL for the image config")
        try:
            status, location, content = _get(parts, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Interrupted(
                f"the download of the image config failed: {type(error).__name__}"
            ) from None
        if status == http.client.OK:
            return content
        if status not in REDIRECTS or not location:
            kind = Interrupted if status >= http.client.INTERNAL_SERVER_ERROR else NotKnown
            raise kind(f"the download of the image config returned {status}")
        url = urljoin(url, location)
    raise NotKnown("the download of the image config was redirected too often")


def _get(parts: SplitResult, deadline: float) -> tuple[int, str | None, bytes]:
    """The status, the Location header, and the body of a response with status 200."""
    connections = {"https": http.client.HTTPSConnection, "http": http.client.HTTPConnection}
    remaining = max(deadline - time.monotonic(), LEAST_SECONDS)
    connection = connections[parts.scheme](parts.netloc, timeout=remaining)
    content = b""
    try:
        connection.request("GET", f"{parts.path or '/'}?{parts.query}")
        response = connection.getresponse()
        if response.status != http.client.OK:
            return response.status, response.getheader("Location"), b""
        while part := response.read1(READ_BYTES):
            content += part
            if len(content) > MOST_CONFIG_BYTES or time.monotonic() > deadline:
                raise NotKnown("the image config is too large or its download is too slow")
    finally:
        connection.close()
    return response.status, None, content


def _is_loopback(parts: SplitResult) -> bool:
    try:
        return parts.scheme == "http" and ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _json(text: str | bytes) -> dict[str, Any]:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise NotKnown("the manifest or the config of the image is not a JSON object")
    return document
