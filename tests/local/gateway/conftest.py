"""A server in the place of MiniStack, and a relay in front of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from aiohttp import web

from local.emulator import Keys
from local.gateway.access import Access
from local.gateway.relay import Relay, server

KEYS = Keys("AKIAOWN", "secret", "token")


class Loop:
    """An asyncio loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Upstream:
    """Records what arrives, and answers with `respond`.

    Attributes:
        seen: (method, path and query, headers as they arrived, body) of each request.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, list[tuple[str, str]], bytes]] = []
        self.respond: Callable[[], web.StreamResponse] = lambda: web.Response(text="answer")

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        headers = [(name.decode(), value.decode()) for name, value in request.raw_headers]
        body = b"".join([chunk async for chunk in request.content.iter_any()])
        self.seen.append((request.method, request.raw_path, headers, body))
        return self.respond()


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    """The loop of the servers."""
    running = Loop()
    yield running
    running.close()


@pytest.fixture
def upstream() -> Upstream:
    """What stands in the place of MiniStack."""
    return Upstream()


@pytest.fixture
def relay_url(loop: Loop, upstream: Upstream) -> Iterator[str]:
    """The URL of a relay in front of `upstream`."""

    async def serve(served: web.Server) -> tuple[web.ServerRunner, str]:
        runner = web.ServerRunner(served)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def start() -> tuple[Any, ...]:
        behind, behind_url = await serve(
            web.Server(upstream.handle, auto_decompress=False, max_line_size=100_000)
        )
        relay = Relay(behind_url, Access(KEYS, False), [], f"{behind_url}/balancers")
        front, url = await serve(server(relay))
        return url, front, relay, behind

    async def stop() -> None:
        await front.cleanup()
        await relay.close()
        await behind.cleanup()

    url, front, relay, behind = loop.run(start())
    yield url
    loop.run(stop())
