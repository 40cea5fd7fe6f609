"""The quota of an owner, and how much of it a deployment uses.

There is no counter that could drift from the records: `store/quota_guard.py` sums them up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import QuotaExceeded
from chalicelib.domain.operation import Path
from chalicelib.domain.parts import ResourceKind
from chalicelib.domain.record import Status

CPU_UNITS = 1024
# A teardown frees quota within a minute or two.
RETRY_AFTER_SECONDS = 60
# Leftovers of these kinds may still run tasks.
RUNS_TASKS = {ResourceKind.SERVICE, ResourceKind.UNKNOWN}


@dataclass(frozen=True)
class Use:
    """Live deployments, tasks, and CPU units (1024 are one vCPU): integers, so sums are exact."""

    deployments: int = 0
    tasks: int = 0
    cpu: int = 0

    def __add__(self, other: Use) -> Use:
        return Use(
            self.deployments + other.deployments, self.tasks + other.tasks, self.cpu + other.cpu
        )

    def exceeds(self, other: Use) -> bool:
        """Whether it is more in at least one respect."""
        pairs = zip(_values(self), _values(other), strict=True)
        return any(value > other_value for value, other_value in pairs)


@dataclass(frozen=True)
class Limit:
    """One limit of an owner: its name in responses, its template parameter, and its value."""

    name: str
    parameter: str
    most: float


@dataclass(frozen=True)
class Exceeded:
    """A limit that a request would exceed; a member of the problem's `quota`.

    Attributes:
        used: what the owner's deployments use now, including the one to be changed.
        asked: how much more the request needs.
    """

    name: str
    limit: float
    used: float
    asked: float


def held(deployment: Deployment) -> Use:
    """What the deployment uses of its owner's quota.

    - It counts as a live deployment until it is DELETED, because it keeps its name.
    - Its tasks count as accepted, until AWS reports that they are gone. With automatic scaling, the
      maximum counts.
    - It has no tasks if it is PAUSED, or FAILED and torn down.
    - If it is DELETE_FAILED, its tasks count while the service is among the leftovers.
    - While an operation runs, the larger of two versions counts: the new one, and the one that a
      failure restores. So restoring a version never exceeds the quota.
    """
    status, path = deployment.status, deployment.operation.path
    if status is Status.DELETED:
        return Use()
    torn_down = status is Status.FAILED and path is Path.DESTROY
    kinds = {leftover.kind for leftover in deployment.leftovers}
    if torn_down or (kinds and not kinds & RUNS_TASKS):
        return Use(deployments=1)
    sizes = [(deployment.most_tasks, deployment.spec.cpu)]
    if deployment.last_active and (deployment.is_running or status is Status.DELETE_FAILED):
        before = deployment.last_active
        sizes.append((0 if before.paused else before.spec.most_tasks, before.spec.cpu))
    tasks = max(count for count, _ in sizes)
    return Use(deployments=1, tasks=tasks, cpu=max(count * cpu for count, cpu in sizes))


def exceeded(limits: tuple[Limit, ...], used: Use, before: Use, after: Use) -> list[Exceeded]:
    """Every limit that the owner exceeds if one deployment uses `after` instead of `before`.

    `used` is what all the owner's deployments use, including `before`. If a limit was lowered below
    what an owner uses, requests for less, or for what has other limits, are still accepted.
    """
    return list(_exceeded(limits, used, before, after))


def _exceeded(limits: tuple[Limit, ...], used: Use, before: Use, after: Use) -> Iterator[Exceeded]:
    rows = zip(limits, _values(used), _values(before), _values(after), strict=True)
    for limit, now_used, value_before, value_after in rows:
        asked = value_after - value_before
        if asked > 0 and now_used + asked > limit.most:
            yield Exceeded(limit.name, limit.most, now_used, asked)


def explanation(owner: str, excess: list[Exceeded]) -> str:
    """A sentence with each exceeded limit, what is used of it, and what was requested."""
    each = (f"{e.limit:g} {e.name} ({e.used:g} used, {e.asked:g} more requested)" for e in excess)
    return f"The quota of {owner} is {', '.join(each)}."


def fix(excess: list[Exceeded], limits: tuple[Limit, ...]) -> str:
    """What the owner can do about it."""
    names = {exceeded.name for exceeded in excess}
    parameters = " and ".join(limit.parameter for limit in limits if limit.name in names)
    return (
        "Delete or scale down deployments that you do not need, request less, or ask your platform "
        f"team to raise {parameters}."
    )


def members(excess: list[Exceeded]) -> dict[str, Any]:
    """`{"quota": [{name, limit, used, asked}]}`, a member of the problem."""
    return {"quota": [asdict(exceeded) for exceeded in excess]}


def refusal(owner: str, excess: list[Exceeded], limits: tuple[Limit, ...]) -> QuotaExceeded:
    """The refusal, which names every limit that would be exceeded."""
    return QuotaExceeded(
        f"{explanation(owner, excess)} {fix(excess, limits)}",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        extensions=members(excess),
    )


def _values(use: Use) -> tuple[int, int, float]:
    """In the order and the units of the limits: vCPU, not CPU units."""
    return use.deployments, use.tasks, use.cpu / CPU_UNITS
