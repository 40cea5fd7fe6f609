"""What an owner may hold of the account, and what a deployment holds of that.

Nothing is counted up and down anywhere: a sum over the records cannot drift from them
(`usage.py` takes it).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import QuotaExceeded
from chalicelib.domain.operation import Path
from chalicelib.domain.record import Status

CPU_UNITS = 1024
# A teardown gives room within a minute or two.
RETRY_AFTER_SECONDS = 60
# Leftovers with which tasks may still run.
RUNS_TASKS = {"service", "unknown"}


@dataclass(frozen=True)
class Use:
    """Live deployments, tasks, and CPU units (1024 are a vCPU): whole numbers, and exact sums."""

    deployments: int = 0
    tasks: int = 0
    cpu: int = 0

    def __add__(self, other: Use) -> Use:
        return Use(
            self.deployments + other.deployments, self.tasks + other.tasks, self.cpu + other.cpu
        )

    def exceeds(self, other: Use) -> bool:
        """Whether it is more in any respect."""
        return any(
            mine > theirs for mine, theirs in zip(_values(self), _values(other), strict=True)
        )


@dataclass(frozen=True)
class Limit:
    """One limit of an owner: its name in an answer, the template's parameter, how much it is."""

    name: str
    parameter: str
    most: float


@dataclass(frozen=True)
class Exceeded:
    """A limit that a request would exceed; a member of the problem's `quota`.

    Attributes:
        used: what the owner's deployments hold now, the one that is to change included.
        asked: how much more the request asks for.
    """

    name: str
    limit: float
    used: float
    asked: float


def held(deployment: Deployment) -> Use:
    """What the deployment holds of its owner's quota.

    All it was accepted with, until AWS says that it is gone. It is a live deployment until it is
    DELETED, for it has its name; one that FAILED and was torn down has no tasks, nor has a PAUSED
    one. One that scales holds the most it may have. Of a DELETE_FAILED AWS has told what is left:
    its tasks count as long as its service does. While an operation runs, the version that a failure
    goes back to counts as well, the larger of the two: the way back is never refused.
    """
    status, path = deployment.status, deployment.operation.path
    if status is Status.DELETED:
        return Use()
    torn_down = status is Status.FAILED and path is Path.DESTROY
    left = {item.kind for item in deployment.leftovers}
    if torn_down or (left and not left & RUNS_TASKS):
        return Use(deployments=1)
    sizes = [(deployment.most_tasks, deployment.spec.cpu)]
    if deployment.last_active and (deployment.is_running or status is Status.DELETE_FAILED):
        before = deployment.last_active
        sizes.append((0 if before.paused else before.spec.most_tasks, before.spec.cpu))
    tasks = max(count for count, _ in sizes)
    return Use(deployments=1, tasks=tasks, cpu=max(count * cpu for count, cpu in sizes))


def exceeded(limits: tuple[Limit, ...], used: Use, before: Use, after: Use) -> list[Exceeded]:
    """Every limit that an owner would exceed with one deployment holding `after`, not `before`.

    `used` is of all the owner's deployments, `before` included. An owner over a limit that was
    lowered may still ask for less, and for what has other limits.
    """
    return list(_exceeded(limits, used, before, after))


def _exceeded(limits: tuple[Limit, ...], used: Use, before: Use, after: Use) -> Iterator[Exceeded]:
    rows = zip(limits, _values(used), _values(before), _values(after), strict=True)
    for limit, now_used, had, wants in rows:
        asked = wants - had
        if asked > 0 and now_used + asked > limit.most:
            yield Exceeded(limit.name, limit.most, now_used, asked)


def told(owner: str, found: list[Exceeded]) -> str:
    """What is exceeded, in words: each limit, what is used of it, and what was asked for."""
    each = (f"{e.limit:g} {e.name}: {e.used:g} used, {e.asked:g} more asked for" for e in found)
    return f"{owner} may have {'; '.join(each)}."


def fix(found: list[Exceeded], limits: tuple[Limit, ...]) -> str:
    """What can be done about it."""
    names = {exceeded.name for exceeded in found}
    parameters = " and ".join(limit.parameter for limit in limits if limit.name in names)
    return (
        "Delete or scale down deployments that are not needed, ask for less, or let the platform "
        f"team raise {parameters}."
    )


def members(found: list[Exceeded]) -> dict[str, Any]:
    """`{"quota": [{name, limit, used, asked}]}`, a member of the problem."""
    return {"quota": [asdict(exceeded) for exceeded in found]}


def refusal(owner: str, found: list[Exceeded], limits: tuple[Limit, ...]) -> QuotaExceeded:
    """The refusal that names every limit that would be exceeded."""
    return QuotaExceeded(
        f"{told(owner, found)} {fix(found, limits)}",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        extensions=members(found),
    )


def _values(use: Use) -> tuple[int, int, float]:
    """In the order of the limits, in the units that people know."""
    return use.deployments, use.tasks, use.cpu / CPU_UNITS
