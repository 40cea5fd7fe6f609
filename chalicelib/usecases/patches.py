"""What a PATCH would change, found out on a copy of the record. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.parts import Image
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform import clock, deadline
from chalicelib.platform.observability import logger
from chalicelib.workflow import image

# The API answers within 29 s: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
REGISTRY = timedelta(seconds=10)


@dataclass(frozen=True)
class Change:
    """A field of the spec that would change, with its values as the API shows them."""

    field: str
    before: Any
    after: Any


def named_image(deployment: Deployment, spec: Spec) -> Image:
    """The image of `spec`, which the caller named. It has a digest if its registry can be read."""
    tried = deployment.model_copy(deep=True, update={"image": Image(reference=spec.image)})
    try:
        outcome = deadline.within(REGISTRY, lambda: image.resolve(tried))
        if outcome.change:
            outcome.change(tried)
    except Exception as error:
        # The operation reports it, so it counts as a change.
        extra = {"deployment": deployment.id, "reason": str(error)}
        logger.info("image of a change not resolved", extra=extra)
    return tried.image


def changes(deployment: Deployment, spec: Spec, named: Image | None) -> list[Change]:
    """The fields that an update to `spec` would change. Raises as `Deployment.update`.

    Args:
        named: the image, if the caller named one. With the digest that runs, it is unchanged.
    """
    tried = deployment.model_copy(deep=True)
    tried.update(spec, clock.now(), new_image=False)
    changed = list(_differences(deployment.spec, tried.spec))
    if named is None:
        return changed
    changed = [each for each in changed if each.field != "image"]
    if not _is_same(deployment.image, named):
        changed.append(_of_image(deployment.image, named))
    return changed


def _differences(before: Spec, after: Spec) -> Iterator[Change]:
    new = after.model_dump(mode="json")
    for field, old in before.model_dump(mode="json").items():
        if old != new[field]:
            yield Change(field, old, new[field])


def _is_same(running: Image, named: Image) -> bool:
    """Whether both are the same digest of the same repository."""
    digests = [each.digest or each.parsed.digest for each in (running, named)]
    places = [(each.parsed.registry, each.parsed.repository) for each in (running, named)]
    return None not in digests and digests[0] == digests[1] and places[0] == places[1]


def _of_image(running: Image, named: Image) -> Change:
    """The references; with their digests if only these differ."""
    if running.reference != named.reference:
        return Change("image", running.reference, named.reference)
    return Change("image", running.pinned, named.pinned)
