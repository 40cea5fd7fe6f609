"""The load balancers of the local stack: one HTTP server that follows the configuration."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from local.load_balancers.addresses import TargetAddresses
from local.load_balancers.choosing import Chooser
from local.load_balancers.configuration import Configuration, group_dimension
from local.load_balancers.forwarding import Forwarder
from local.load_balancers.metrics import Hosts, Metrics
from local.load_balancers.nodes import Nodes
from local.load_balancers.reading import Elbv2, read
from local.load_balancers.server import Handler, Server
from local.load_balancers.stickiness import Cookies
from local.load_balancers.targets import Group, TargetGroups
from local.load_balancers.times import Times

logger = logging.getLogger(__name__)

# Seconds until a failed reading is repeated: a resource was deleted meanwhile, for example.
REPEAT_SECONDS = 0.5
# Seconds between two readings at least, so that a burst of changes causes few of them.
GAP_SECONDS = 0.1
SHUTDOWN_SECONDS = 1.0


class LoadBalancers:
    """Every load balancer of the local stack: one HTTP server on loopback.

    `http://127.0.0.1:<port>/<load balancer name>/…` reaches the load balancer `<name>` with the
    path `/…`. All methods belong to one event loop.
    """

    def __init__(
        self,
        elbv2: Elbv2,
        *,
        time_scale: float,
        seed: int = 0,
        propagation: float = 10.0,
        poll: float = 10.0,
        allowed_networks: Iterable[str] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Args:
        elbv2: reads the configuration; its DescribeTargetHealth lists the registered targets.
        time_scale: the factor on the times that `Times` lists.
        seed: decides when each node learns a change.
        propagation: seconds on AWS, before scaling, until both nodes know a change.
        poll: seconds between readings if nothing calls `changed`.
        allowed_networks: networks of containers; otherwise targets must be on loopback.
        now: the time of the metrics and cookies.
        """
        self._elbv2, self._seed, self._poll = elbv2, seed, poll
        times = Times(time_scale)
        self._propagation = times.scaled(propagation)
        self._metrics = Metrics(now)
        self._groups = TargetGroups(times, TargetAddresses(allowed_networks), self._count_hosts)
        self._cookies = Cookies(now)
        self._balancers: dict[str, Nodes] = {}
        self._balancer_of_group: dict[str, str] = {}
        self._changed = asyncio.Event()
        self._one_reading = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._forwarder: Forwarder | None = None
        self._runner: web.ServerRunner | None = None
        self.url = ""

    async def start(self, port: int = 0) -> None:
        """Read the configuration, and serve on 127.0.0.1. Args: port: 0 for any free port."""
        self._forwarder = Forwarder()
        chooser = Chooser(self._groups, self._cookies)
        handler = Handler(self._balancers, chooser, self._forwarder, self._metrics)
        self._runner = web.ServerRunner(Server(handler), shutdown_timeout=SHUTDOWN_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._reading = asyncio.create_task(self._keep_reading())

    async def stop(self) -> None:
        """Close all connections and end all health checks."""
        self._groups.stop()
        if self._reading:
            self._reading.cancel()
        if self._runner:
            await self._runner.cleanup()
        if self._forwarder:
            await self._forwarder.close()

    def changed(self) -> None:
        """Read the configuration again now: a change was accepted."""
        self._changed.set()

    async def refresh(self) -> None:
        """Read the configuration and follow it. Raises what the API raises."""
        async with self._one_reading:
            self._apply(await asyncio.to_thread(read, self._elbv2))

    def target_health(
        self, target_group_arn: str, registered: Iterable[Mapping[str, Any]] | None = None
    ) -> list[dict[str, Any]]:
        """`TargetHealthDescriptions` as DescribeTargetHealth returns them, also while draining.

        Args:
            registered: the `Target`s that the emulator lists now. If given, one that was not read
                yet is `initial`, and one that is no longer listed is `draining`.
        """
        return self._groups.descriptions(target_group_arn, registered)

    def metric(
        self,
        name: str,
        dimensions: Mapping[str, str],
        statistic: str,
        start: datetime,
        end: datetime,
        period: timedelta,
    ) -> dict[datetime, float]:
        """The values of a metric of AWS/ApplicationELB; a period without a value is missing."""
        return self._metrics.read(name, dimensions, statistic, start, end, period)

    async def _keep_reading(self) -> None:
        while True:
            self._changed.clear()
            wait = self._poll
            try:
                await self.refresh()
            except Exception as error:  # whatever the emulator does, the load balancers go on
                logger.warning("The load balancers' configuration was not read: %s", error)
                wait = REPEAT_SECONDS
            await asyncio.sleep(GAP_SECONDS)
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _apply(self, configuration: Configuration) -> None:
        now = asyncio.get_running_loop().time()
        known = {each.name: each for each in configuration.load_balancers}
        for name in self._balancers.keys() - known.keys():
            del self._balancers[name]
        for name, balancer in known.items():
            nodes = self._balancers.get(name)
            if nodes is None or nodes.latest.arn != balancer.arn:
                self._balancers[name] = Nodes(balancer, self._propagation, self._seed)
            else:
                nodes.change(now, balancer)
        before = self._balancer_of_group
        self._balancer_of_group = {
            arn: each.dimension for each in known.values() for arn in each.target_groups()
        }
        for arn, dimension in before.items() - self._balancer_of_group.items():
            self._metrics.hosts(dimension, group_dimension(arn), None)
        self._groups.apply(configuration)

    def _count_hosts(self, group: Group) -> None:
        balancer = self._balancer_of_group.get(group.configuration.arn)
        if balancer is None or not group.configuration.health_check.enabled:
            return
        states = [target.health.state for target in group.registered.values()]
        hosts = Hosts(states.count("healthy"), states.count("unhealthy"))
        self._metrics.hosts(balancer, group.configuration.dimension, hosts)
