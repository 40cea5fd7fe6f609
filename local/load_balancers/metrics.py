"""The metrics of the load balancers, as CloudWatch returns them for AWS/ApplicationELB.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

MINUTE = timedelta(minutes=1)
# What is older is forgotten; AWS keeps one-minute values for 15 days.
KEPT = timedelta(days=1)
# At most this many response times of one minute are kept; later ones count in Sum and Average.
VALUES_PER_MINUTE = 20_000

# The metrics that are also reported for each target group; all others only for a load balancer.
_PER_TARGET_GROUP = re.compile(r"HTTPCode_Target_|RequestCount$|Target|UnhealthyRouting|NonSticky")

Key = frozenset[tuple[str, str]]


class _Values:
    """The values that were measured in one minute."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.low, self.high = math.inf, -math.inf
        self.samples: list[float] = []

    def add(self, value: float) -> None:
        self.count += 1
        self.sum += value
        self.low, self.high = min(self.low, value), max(self.high, value)
        if len(self.samples) < VALUES_PER_MINUTE:
            self.samples.append(value)

    def merge(self, other: _Values) -> None:
        self.count += other.count
        self.sum += other.sum
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.samples += other.samples

    def statistic(self, name: str) -> float:
        """The value of `Sum`, `Average`, …, or of a percentile such as `p99` or `p99.9`."""
        simple = {
            "SampleCount": float(self.count),
            "Sum": self.sum,
            "Average": self.sum / max(self.count, 1),
            "Minimum": self.low,
            "Maximum": self.high,
        }
        if name in simple:
            return simple[name]
        if not re.fullmatch(r"p\d{1,2}(\.\d+)?|p100", name):
            raise ValueError(f"unknown statistic {name!r}: use {', '.join(simple)} or p0 to p100")
        ordered = sorted(self.samples)
        return ordered[max(math.ceil(float(name[1:]) / 100 * len(ordered)) - 1, 0)]


class Hosts(NamedTuple):
    """The numbers of targets of a target group."""

    healthy: int
    unhealthy: int


class Metrics:
    """Collects the metrics of all load balancers. Health checks are not counted.

    "If there are no requests flowing through the load balancer or no data for a metric, the metric
    is not reported." So most values exist only if they are not 0.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._minutes: dict[tuple[str, Key], dict[datetime, _Values]] = {}
        self._hosts: dict[tuple[str, str], list[tuple[datetime, Hosts | None]]] = {}

    def count(self, name: str, balancer: str, zone: str, group: str | None = None) -> None:
        """Add 1 to a metric. Args: balancer, group: the values of their dimensions."""
        self.add(name, 1, balancer, zone, group)

    def add(
        self, name: str, value: float, balancer: str, zone: str, group: str | None = None
    ) -> None:
        """Add a value to a metric; 0 makes a counter visible that nothing counted yet."""
        minute = _floor(self._now())
        for key in _keys(name, balancer, zone, group):
            minutes = self._minutes.setdefault((name, key), {})
            if minute not in minutes:
                _forget(minutes, minute - KEPT)
                minutes[minute] = _Values()
            if value:
                minutes[minute].add(value)

    def hosts(self, balancer: str, group: str, hosts: Hosts | None) -> None:
        """From now on, the group has so many targets; None: the load balancer does not use it."""
        changes = self._hosts.setdefault((balancer, group), [])
        if not changes or changes[-1][1] != hosts:
            changes.append((self._now(), hosts))

    def read(
        self,
        name: str,
        dimensions: Mapping[str, str],
        statistic: str,
        start: datetime,
        end: datetime,
        period: timedelta,
    ) -> dict[datetime, float]:
        """The statistic of each period from `start`, which is rounded down to the minute."""
        minutes = self._read_minutes(name, dimensions)
        periods: dict[datetime, _Values] = {}
        start = _floor(start)
        for minute, values in sorted(minutes.items()):
            if start <= minute < end:
                at = start + (minute - start) // period * period
                periods.setdefault(at, _Values()).merge(values)
        return {
            at: values.statistic(statistic)
            for at, values in periods.items()
            if values.count or statistic in ("Sum", "SampleCount")
        }

    def _read_minutes(self, name: str, dimensions: Mapping[str, str]) -> dict[datetime, _Values]:
        if name in ("HealthyHostCount", "UnHealthyHostCount"):
            pair = (dimensions.get("LoadBalancer", ""), dimensions.get("TargetGroup", ""))
            healthy = name == "HealthyHostCount"
            return dict(_host_minutes(self._hosts.get(pair, []), healthy, self._now()))
        return self._minutes.get((name, frozenset(dimensions.items())), {})


def _keys(name: str, balancer: str, zone: str, group: str | None) -> Iterator[Key]:
    """The sets of dimensions under which a value is reported."""
    sets = [{"LoadBalancer": balancer}]
    if group is not None and _PER_TARGET_GROUP.match(name):
        sets.append({"LoadBalancer": balancer, "TargetGroup": group})
    for dimensions in sets:
        yield frozenset(dimensions.items())
        yield frozenset({**dimensions, "AvailabilityZone": zone}.items())


def _host_minutes(
    changes: list[tuple[datetime, Hosts | None]], healthy: bool, now: datetime
) -> Iterator[tuple[datetime, _Values]]:
    """Each minute's values: the number at its start, and those after each change in it."""
    if not changes:
        return
    minute = max(_floor(changes[0][0]), _floor(now) - KEPT)
    coming = deque(changes)
    current: Hosts | None = None
    while minute <= now:
        seen = [current]
        while coming and coming[0][0] < minute + MINUTE:
            current = coming.popleft()[1]
            seen.append(current)
        values = _Values()
        for hosts in seen:
            if hosts is not None:
                values.add(hosts.healthy if healthy else hosts.unhealthy)
        if values.count:
            yield minute, values
        minute += MINUTE


def _floor(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _forget(minutes: dict[datetime, _Values], before: datetime) -> None:
    for minute in [each for each in minutes if each < before]:
        del minutes[minute]
