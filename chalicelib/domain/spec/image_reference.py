"""Container image references: `registry/repository[:tag][@digest]`.

The grammar is https://github.com/distribution/reference, except that the registry is required:
without it, the container engine's default decides where the image comes from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from chalicelib.domain.spec.faults import shown

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = rf"(?P<registry>(?:(?:{_LABEL}\.)+{_LABEL}|localhost)(?::\d{{1,5}})?)"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REFERENCE = re.compile(
    rf"{_HOST}/(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
_ECR = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html
ECR_REPOSITORY = re.compile(
    r"(?=.{2,256}$)([a-z0-9]+([._-][a-z0-9]+)*/)*[a-z0-9]+([._-][a-z0-9]+)*", re.ASCII
)

MAX_LENGTH = 512
MOST_SCHEME = 16


@dataclass(frozen=True)
class ImageReference:
    """The parts of a reference. `tag` is `latest` if the reference has no tag and no digest."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def ecr(self) -> tuple[str, str] | None:
        """(account ID, region) of a private Amazon ECR registry; None for any other registry."""
        match = _ECR.fullmatch(self.registry)
        return (match["account"], match["region"]) if match else None

    def pinned(self, digest: str) -> str:
        """The reference by digest, so that a task started later runs the same image."""
        return f"{self.registry}/{self.repository}@{digest}"


def parse(reference: str) -> ImageReference:
    """The parts of `reference`. Raises `ValueError` that states the expected form."""
    match = REFERENCE.fullmatch(reference) if len(reference) <= MAX_LENGTH else None
    if not match:
        raise ValueError(
            f"must be an image reference that starts with a registry, not {shown(reference)}. "
            f"{_fix(reference)}"
        )
    tag = match["tag"] or (None if match["digest"] else "latest")
    return ImageReference(match["registry"], match["repository"], tag, match["digest"])


def _fix(reference: str) -> str:
    """What to change in a malformed reference; an example if the fault is not a common one."""
    if len(reference) > MAX_LENGTH:
        return f"At most {MAX_LENGTH} characters are allowed"
    scheme, separator, _ = reference.partition("://")
    if separator:
        return f"Remove {scheme[:MOST_SCHEME]}://"
    if any(character.isspace() for character in reference):
        return "Remove the spaces and line breaks"
    if REFERENCE.fullmatch(reference.lower()):
        return "Write the repository and the digest in lowercase"
    return "Example: 123456789012.dkr.ecr.us-east-1.amazonaws.com/recommend:1"


def is_allowed(image: ImageReference, allowed_registries: tuple[str, ...]) -> bool:
    """Whether the image is in an allowed registry, or below an allowed `registry/path`."""
    full = f"{image.registry}/{image.repository}/"
    return any(full.startswith(entry.rstrip("/") + "/") for entry in allowed_registries)
