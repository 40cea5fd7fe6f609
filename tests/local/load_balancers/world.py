"""Load balancers, targets and clients in one event loop whose clock the test advances."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from aiohttp import web

from local.load_balancers import LoadBalancers
from tests.local.load_balancers.elbv2 import MemoryElbv2, forward

START = datetime(2030, 1, 1, tzinfo=UTC)
# Nothing in these tests takes that long, even on a busy machine; it only ends a test that hangs.
HANGS_SECONDS = 20
_HOSTS = (f"127.77.{number // 250}.{number % 250 + 1}" for number in itertools.count())

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class ClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be advanced: timers that are due then fire at once."""

    def __init__(self) -> None:
        super().__init__()
        self._advanced = 0.0
        self._began = super().time()

    def time(self) -> float:
        return super().time() + self._advanced

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._advanced += seconds

    def now(self) -> datetime:
        """The date for metrics and cookies: what was advanced since `START`."""
        return START + timedelta(seconds=self._advanced)


def run(scenario: Callable[[World], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run a scenario with load balancers that serve. Args: options: of `LoadBalancers`."""

    async def main() -> None:
        async with asyncio.timeout(None), World(**options) as world:
            await scenario(world)

    with asyncio.Runner(loop_factory=ClockLoop) as runner:
        runner.run(main())


async def until(predicate: Callable[[], bool]) -> None:
    """Let the event loop run until the predicate is true."""
    deadline = time.monotonic() + HANGS_SECONDS
    while not predicate():
        assert time.monotonic() < deadline, "the condition was never met"
        await asyncio.sleep(0)


async def ok(request: web.BaseRequest) -> web.StreamResponse:
    """The default answer of a target."""
    return web.Response(text="ok")


class TargetServer:
    """A real HTTP server with its own loopback address.

    Attributes:
        handle: answers requests; a test may replace it.
        checks: answers health checks.
        requests: method, path with query, and headers of each request, without health checks.
    """

    def __init__(self) -> None:
        self.host = next(_HOSTS)
        self.port = 0
        self.handle: Handle = ok
        self.checks: Handle = ok
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.checked: list[tuple[str, str, dict[str, str]]] = []
        server = web.Server(self._answer, auto_decompress=False, max_field_size=20_000)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)

    async def start(self) -> TargetServer:
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        await self._runner.cleanup()

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _ in self.requests]

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        is_check = request.headers.get("User-Agent") == "ELB-HealthChecker/2.0"
        seen = (request.method, request.raw_path, dict(request.headers))
        (self.checked if is_check else self.requests).append(seen)
        return await (self.checks if is_check else self.handle)(request)


class World:
    """The load balancers with their configuration, targets, and a client.

    Each request of the client uses a new connection.
    """

    def __init__(self, **options: Any) -> None:
        self.loop = asyncio.get_running_loop()
        assert isinstance(self.loop, ClockLoop)
        self.elbv2 = MemoryElbv2()
        values = {"time_scale": 1.0, "propagation": 0.0, "poll": 1e6, "now": self.loop.now}
        self.balancers = LoadBalancers(self.elbv2, **(values | options))
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> World:
        await self.balancers.start()
        self._stack.push_async_callback(self.balancers.stop)
        connector = aiohttp.TCPConnector(force_close=True)
        self.client = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        await self._stack.enter_async_context(self.client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def advance(self, seconds: float) -> None:
        self.loop.advance(seconds)

    async def target(self, group: str, handle: Handle = ok) -> TargetServer:
        """Start a server and register it."""
        server = await TargetServer().start()
        server.handle = handle
        self._stack.push_async_callback(server.stop)
        self.elbv2.register(group, server.host, server.port)
        return server

    async def raw_target(self, group: str, answer: bytes, health: bytes | None = None) -> str:
        """Register a target that sends raw bytes; `health` answers its health checks."""
        healthy = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" if health is None else health

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(healthy if b"ELB-HealthChecker" in head else answer)
            writer.close()

        host = next(_HOSTS)
        server = await asyncio.start_server(serve, host, 0)
        self._stack.callback(server.close)
        self.elbv2.register(group, host, server.sockets[0].getsockname()[1])
        return host

    async def simple(self, handle: Handle = ok, **settings: Any) -> tuple[str, TargetServer]:
        """A load balancer `web` that forwards to a group with one healthy target."""
        group = self.elbv2.group("models", **settings)
        server = await self.target(group, handle)
        self.elbv2.listener(self.elbv2.balancer(), forward(group))
        await self.ready(group)
        return group, server

    async def apply(self) -> None:
        """Let the load balancers learn the configuration."""
        await self.balancers.refresh()

    async def ready(self, *groups: str) -> None:
        """Learn the configuration, and wait until all targets of the groups are healthy."""
        await self.apply()
        for group in groups:
            await until(lambda group=group: set(self.states(group)) == {"healthy"})

    def health(self, group: str) -> list[dict[str, str]]:
        """The `TargetHealth` of each target."""
        return [each["TargetHealth"] for each in self.balancers.target_health(group)]

    def states(self, group: str) -> list[str]:
        return [each["State"] for each in self.health(group)]

    async def check_again(self, server: TargetServer, seconds: float = 30) -> None:
        """Let an interval pass, and wait until the target was checked again."""
        count = len(server.checked)
        self.advance(seconds)
        await until(lambda: len(server.checked) > count)

    async def call(
        self, path: str = "/", name: str = "web", method: str = "GET", **options: Any
    ) -> Answer:
        """Send a request to a load balancer and read the whole response."""
        options = {"allow_redirects": False, **options}
        url = f"{self.balancers.url}/{name}{path}"
        async with self.client.request(method, url, **options) as response:
            body = await response.read()
            return Answer(response.status, response.reason or "", response.headers, body)

    async def raw(self, request: bytes, until: bytes = b"") -> bytes:
        """Send bytes, and read until the server closes the connection, or sent `until`."""
        host, port = self.balancers.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request)
        try:
            return await (reader.readuntil(until) if until else reader.read())
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    def metric(self, name: str, statistic: str = "Sum", **dimensions: str) -> list[float]:
        """The values of a metric in the periods of five minutes since the start."""
        end = START + timedelta(days=1)
        found = self.balancers.metric(name, dimensions, statistic, START, end, timedelta(minutes=5))
        return list(found.values())


class Answer:
    """A response with its body."""

    def __init__(self, status: int, reason: str, headers: Any, body: bytes) -> None:
        self.status, self.reason, self.headers, self.body = status, reason, headers, body

    @property
    def text(self) -> str:
        return self.body.decode()
