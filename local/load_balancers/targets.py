"""The targets of all target groups: their health, and those that are draining."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from local.load_balancers import health
from local.load_balancers.addresses import AddressRefused, TargetAddresses
from local.load_balancers.checks import check
from local.load_balancers.configuration import (
    TRAFFIC_PORT,
    Configuration,
    HealthCheck,
    TargetGroup,
)
from local.load_balancers.exchange import Exchange
from local.load_balancers.health import Checked, Health
from local.load_balancers.times import Times

logger = logging.getLogger(__name__)

# A target in slow start mode gets at least this share, because it must get requests to warm up.
SHARE_MIN = 0.01

TargetKey = tuple[str, int]


class Target:
    """A registered target, or one that is draining."""

    def __init__(self, target_id: str, port: int) -> None:
        self.id, self.port = target_id, port
        self.draining = False
        self._exchanges: set[Exchange] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.checked = Checked()
        self.slow_start: tuple[float, float] | None = None
        self.starts_slowly = True
        self.checks: asyncio.Task[None] | None = None
        self.override: Health | None = None

    @property
    def health(self) -> Health:
        if self.draining:
            return health.DRAINING
        return self.override or self.checked.health

    @property
    def is_healthy(self) -> bool:
        """Whether it may get requests; without health checks, it may."""
        return self.health in (health.HEALTHY, health.DISABLED)

    @property
    def in_flight(self) -> int:
        """The number of requests that it is answering."""
        return len(self._exchanges)

    def begin(self, exchange: Exchange) -> None:
        """It starts to answer a request."""
        self._exchanges.add(exchange)
        self._idle.clear()

    def end(self, exchange: Exchange) -> None:
        """It has answered a request."""
        self._exchanges.discard(exchange)
        if not self._exchanges:
            self._idle.set()

    async def drain(self, until: float, at_most_until: float) -> None:
        """Wait until a time of the event loop, then for requests in progress, and end those."""
        await asyncio.sleep(until - asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout_at(max(until, at_most_until)):
                await self._idle.wait()
        except TimeoutError:
            for exchange in tuple(self._exchanges):
                exchange.expire()

    def share(self, now: float) -> float:
        """Its share of the requests: less than 1 in slow start mode, in which it rises linearly."""
        if self.slow_start is None:
            return 1.0
        since, duration = self.slow_start
        if now >= since + duration:
            self.slow_start = None
            return 1.0
        return max((now - since) / duration, SHARE_MIN)

    def stop_checks(self) -> None:
        if self.checks:
            self.checks.cancel()
            self.checks = None


class Group:
    """A target group with its registered targets and those that are draining."""

    def __init__(self, configuration: TargetGroup) -> None:
        self.configuration = configuration
        self.in_use = self.is_served = False
        self.registered: dict[TargetKey, Target] = {}
        self.drained: dict[TargetKey, Target] = {}

    def targets(self) -> list[Target]:
        return list(self.registered.values())

    def check_port(self, target: Target) -> int:
        port = self.configuration.health_check.port
        return target.port if port == TRAFFIC_PORT else int(port)

    def description(self, key: TargetKey, result: Health) -> dict[str, Any]:
        """One entry of DescribeTargetHealth's answer."""
        port = self.configuration.health_check.port
        return {
            "Target": {"Id": key[0], "Port": key[1]},
            "HealthCheckPort": str(key[1]) if port == TRAFFIC_PORT else port,
            "TargetHealth": result.answer(),
        }


class TargetGroups:
    """Every target group that the configuration names."""

    def __init__(
        self,
        times: Times,
        addresses: TargetAddresses,
        on_change: Callable[[Group], None],
    ) -> None:
        """Args: on_change: is called when the health of one of a group's targets has changed."""
        self._times, self._addresses, self._on_change = times, addresses, on_change
        self._groups: dict[str, Group] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def get(self, arn: str) -> Group | None:
        return self._groups.get(arn)

    def resolve(self, target: Target) -> str:
        """The address to connect to. Raises AddressRefused."""
        return self._addresses.resolve(target.id)

    def apply(self, configuration: Configuration) -> None:
        """Register and deregister targets, and start and stop health checks."""
        used = configuration.used_target_groups()
        served = configuration.used_target_groups(only_active=True)
        for arn in self._groups.keys() - configuration.target_groups.keys():
            self._deregister(self._groups[arn], ())
            del self._groups[arn]
        for arn, described in configuration.target_groups.items():
            group = self._groups.setdefault(arn, Group(described))
            group.configuration = described
            self._deregister(group, described.targets)
            self._register(group, described.targets)
            group.in_use, group.is_served = arn in used, arn in served
            self._check_health(group)
            self._on_change(group)

    @staticmethod
    def _register(group: Group, keys: Iterable[TargetKey]) -> None:
        new = [key for key in keys if key not in group.registered]
        has_warm = any(target.is_healthy for target in group.registered.values())
        for key in new:
            group.registered[key] = Target(*key)
            group.registered[key].starts_slowly = has_warm

    def _deregister(self, group: Group, remaining: Iterable[TargetKey]) -> None:
        """Let the targets drain that are not in `remaining`.

        "Elastic Load Balancing stops sending requests to targets that are deregistering." The
        state stays `draining` until the delay has elapsed, even if no request is in flight.
        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
        """
        for key in group.registered.keys() - set(remaining):
            target = group.registered.pop(key)
            target.stop_checks()
            if not group.in_use:
                continue
            target.draining = True
            group.drained[key] = target
            now = asyncio.get_running_loop().time()
            self._start(self._drain(group, key, target, now))

    async def _drain(self, group: Group, key: TargetKey, target: Target, since: float) -> None:
        """Show a target as draining for the scaled delay, and while it answers requests.

        A request has as much time as on AWS, because requests are not scaled. After that it ends
        with a 502: "The deregistration delay period elapsed for a request being handled by a
        target that was deregistered."
        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html
        """
        delay = group.configuration.deregistration_delay
        await target.drain(since + self._times.scaled(delay), since + delay)
        if group.drained.get(key) is target:
            del group.drained[key]

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task that ends with the load balancers."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _check_health(self, group: Group) -> None:
        """Start or stop the health checks of a group's targets."""
        for target in group.registered.values():
            target.override = _override(group)
            if target.override:
                target.stop_checks()
                target.checked = Checked()
            elif target.checks is None:
                target.checks = self._start(self._check_repeatedly(group, target))

    async def _check_repeatedly(self, group: Group, target: Target) -> None:
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            settings = group.configuration.health_check
            target.checked.begin()
            result = await self._check(group, target)
            before = target.health
            target.checked.record(result, settings)
            if target.health != before:
                if target.is_healthy:
                    self._start_slowly(group, target, loop.time())
                else:
                    target.slow_start = None
                self._on_change(group)
            steady = target.is_healthy and result == health.HEALTHY
            due = started + self._times.interval(settings.interval, steady)
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _check(self, group: Group, target: Target) -> Health:
        settings = group.configuration.health_check
        try:
            address = self.resolve(target)
        except AddressRefused as error:
            if target.health.state != "unhealthy":
                logger.warning("Not checked: %s", error)
            return health.INTERNAL_ERROR
        seconds = self._times.check_timeout(settings.timeout)
        return await check(address, group.check_port(target), settings, seconds)

    def _start_slowly(self, group: Group, target: Target, now: float) -> None:
        """Start slow start mode if it is on and another healthy target is not in it.

        "When you enable slow start for an empty target group and then register targets using a
        single registration operation, these targets do not enter slow start mode. Newly registered
        targets enter slow start mode only when there is at least one healthy target that is not in
        slow start mode."
        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
        """
        duration = self._times.scaled(group.configuration.slow_start)
        others = (each for each in group.registered.values() if each is not target)
        warm = any(each.is_healthy and each.share(now) == 1 for each in others)
        if duration and warm and target.starts_slowly:
            target.slow_start = (now, duration)
        target.starts_slowly = True  # if it becomes unhealthy and then healthy again

    def descriptions(
        self, arn: str, registered: Iterable[Mapping[str, Any]] | None
    ) -> list[dict[str, Any]]:
        """`TargetHealthDescriptions`; see `LoadBalancers.target_health`."""
        # A group that was not read yet is so new that no rule names it.
        group = self._groups.get(arn) or Group(TargetGroup(arn, 80, HealthCheck(), ()))
        keys = list(group.registered)
        if registered is not None:
            default = group.configuration.port
            keys = [(each["Id"], int(each.get("Port", default))) for each in registered]
        shown = {key: self._shown(group, key) for key in keys}
        gone = group.registered.keys() - shown.keys() if group.in_use else set()
        shown |= dict.fromkeys([*gone, *(group.drained.keys() - shown.keys())], health.DRAINING)
        return [group.description(key, result) for key, result in shown.items()]

    @staticmethod
    def _shown(group: Group, key: TargetKey) -> Health:
        target = group.registered.get(key)
        return target.health if target else _override(group) or health.REGISTERING

    def stop(self) -> None:
        """End all health checks and drains."""
        for task in self._tasks:
            task.cancel()


def _override(group: Group) -> Health | None:
    """The state of all targets of a group whose targets are not checked."""
    if not group.in_use:
        return health.NOT_IN_USE
    if not group.is_served:
        return health.REGISTERING  # its load balancer is still provisioning
    return None if group.configuration.health_check.enabled else health.DISABLED
