"""What a PATCH would change, found out on a copy of the record. Nothing is written."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import PreconditionFailed
from chalicelib.domain.parts import Image
from chalicelib.domain.rates import hourly_rate
from chalicelib.domain.record import Status
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform import clock, deadline
from chalicelib.platform.observability import logger

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
    # Few requests name an image, and the import takes time at the start of every function.
    from chalicelib.workflow.image import image

    copy = deployment.model_copy(deep=True, update={"image": Image(reference=spec.image)})
    try:
        outcome = deadline.within(REGISTRY, lambda: image.resolve(copy))
        if outcome.change:
            outcome.change(copy)
    except Exception as error:
        # The operation reports it, so it counts as a change.
        extra = {"deployment": deployment.id, "reason": str(error)}
        logger.info("image of a change not resolved", extra=extra)
    return copy.image


def apply(deployment: Deployment, spec: Spec, *, new_image: bool) -> None:
    """Starts the operation of a PATCH. Raises as `Deployment.update`."""
    if deployment.status is Status.FAILED:
        rate = hourly_rate(spec, 0 if deployment.paused else None)
        deployment.start_again(spec, clock.now(), rate, new_image=new_image)
    else:
        deployment.update(spec, clock.now(), new_image=new_image)


def tried(deployment: Deployment, spec: Spec, *, new_image: bool = False) -> Deployment:
    """A copy to which the PATCH was applied. Raises as `Deployment.update`."""
    copy = deployment.model_copy(deep=True)
    apply(copy, spec, new_image=new_image)
    return copy


def changes(before: Deployment, after: Deployment, named: Image | None) -> list[Change]:
    """The fields of the spec that differ.

    Args:
        named: the image, if the caller named one. With the digest that runs, it is unchanged.
    """
    changed = list(_differences(before.spec, after.spec))
    if named is None:
        return changed
    changed = [each for each in changed if each.field != "image"]
    if not _is_same(before.image, named):
        changed.append(_of_image(before.image, named))
    return changed


def check_edition(deployment: Deployment, editions: Collection[int] | None) -> None:
    """Raises `PreconditionFailed` unless the record has one of the editions; None is any."""
    if editions is not None and deployment.edition not in editions:
        raise PreconditionFailed(
            f"{deployment.id} has changed since you read it. Read it again, then decide whether to "
            "send the change."
        )


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
