"""Sends a request to a target and streams the response back; no body is kept in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from local.load_balancers import errors, headers
from local.load_balancers.configuration import Listener, LoadBalancer
from local.load_balancers.exchange import Exchange
from local.load_balancers.request import Headers, Request
from local.load_balancers.targets import Target
from local.load_balancers.tunnel import is_websocket, tunnel

# "The load balancer failed to establish a connection to the target before the connection timeout
# expired (10 seconds)."
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html
CONNECT_SECONDS = 10
# "The target response header exceeded 32 K for the entire response header."
RESPONSE_HEADER_BYTES = 32 * 1024
_NOT_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    ConnectionRefusedError,  # of a WebSocket
)
# aiohttp would add these to the client's headers.
_NOT_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class Cut(ConnectionError):
    """The client's connection is closed without (the rest of) a response."""


class Finished(Cut):
    """The response is complete, and the client's connection closes after it."""


@dataclass(frozen=True)
class Hop:
    """The way of one request: from a listener of a load balancer to a target.

    Attributes:
        address: to connect to.
        set_cookies: from the names of the cookies that the target sets to the stickiness cookies.
        count: counts a metric of the load balancer and the target group.
    """

    balancer: LoadBalancer
    listener: Listener
    target: Target
    address: str
    set_cookies: Callable[[set[str]], list[str]]
    count: Callable[[str, float], None]


class ProxiedResponse(errors.OnlyGivenHeaders):
    """A target's response."""


class Forwarder:
    """The connections to the targets."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            max_line_size=RESPONSE_HEADER_BYTES,
            max_field_size=RESPONSE_HEADER_BYTES,
        )
        # A request whose connection the target closes is not sent again: AWS answers with a 502.
        # aiohttp has no public setting for this.
        self._session._retry_connection = False

    async def close(self) -> None:
        await self._session.close()

    async def send(self, http: web.BaseRequest, request: Request, hop: Hop) -> web.StreamResponse:
        """Forward the request; return the response, which may have been sent already.

        Raises:
            Cut: the response broke off after its headers were sent.
        """
        exchange = Exchange(hop.balancer.idle_timeout)
        hop.target.begin(exchange)
        try:
            return await self._answer(http, request, hop, exchange)
        except asyncio.CancelledError:
            # "The client closed the connection before sending the full request body" or "the
            # client closed the connection … before the idle timeout period elapsed" (460).
            hop.count("HTTPCode_ELB_4XX_Count", 1)
            raise
        finally:
            hop.target.end(exchange)

    async def _answer(
        self, http: web.BaseRequest, request: Request, hop: Hop, exchange: Exchange
    ) -> web.StreamResponse:
        sent = asyncio.get_running_loop().time()
        response: web.StreamResponse | None = None
        try:
            if is_websocket(http):
                return await self._tunnel(http, request, hop, exchange)
            async with exchange, self._request(http, request, hop, exchange) as upstream:
                pairs = [(name, value) for name, value in upstream.headers.items()]
                if headers.size(pairs) > RESPONSE_HEADER_BYTES:
                    return errors.page(502)
                exchange.touch()
                hop.count("TargetResponseTime", asyncio.get_running_loop().time() - sent)
                hop.count(f"HTTPCode_Target_{upstream.status // 100}XX_Count", 1)
                response = _begun(upstream, pairs, hop)
                await response.prepare(http)
                async for chunk in upstream.content.iter_any():
                    exchange.touch()
                    await response.write(chunk)
                await response.write_eof()
                return response
        except Cut:
            raise
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            if response is not None or http.writer.output_size > 0:
                raise Cut from error
            return errors.page(self._status_of(error, exchange, hop))

    @staticmethod
    async def _tunnel(
        http: web.BaseRequest, request: Request, hop: Hop, exchange: Exchange
    ) -> web.StreamResponse:
        target = f"{request.path}?{request.query}" if request.query else request.path
        to_target = headers.to_target(request, hop.listener, hop.balancer, time.time())
        async with exchange:
            await tunnel(http, (hop.address, hop.target.port), target, to_target, exchange)
        raise Finished

    def _request(
        self, http: web.BaseRequest, request: Request, hop: Hop, exchange: Exchange
    ) -> aiohttp.client._RequestContextManager:
        url = URL.build(
            scheme="http",
            host=hop.address,
            port=hop.target.port,
            path=request.path,
            query_string=request.query,
            encoded=True,
        )
        to_target = headers.to_target(request, hop.listener, hop.balancer, time.time())
        return self._session.request(
            request.method,
            url,
            headers=CIMultiDict(to_target),
            data=_body(http, exchange) if http.body_exists else None,
            allow_redirects=False,
            skip_auto_headers=_NOT_ADDED,
        )

    @staticmethod
    def _status_of(error: Exception, exchange: Exchange, hop: Hop) -> int:
        """The status of the load balancer's own answer.

        https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html
        """
        if isinstance(error, _NOT_CONNECTED):
            hop.count("TargetConnectionErrorCount", 1)
        if exchange.expired or not isinstance(error, TimeoutError):
            return 502
        return 408 if exchange.receiving else 504


async def _body(http: web.BaseRequest, exchange: Exchange) -> AsyncIterator[bytes]:
    exchange.receiving = True
    if http.headers.get("Expect", "").lower() == "100-continue":
        await http.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        http.writer.output_size = 0  # so that aiohttp sees no response yet
    async for chunk in http.content.iter_any():
        exchange.touch()
        yield chunk
    exchange.receiving = False


def _begun(upstream: aiohttp.ClientResponse, pairs: Headers, hop: Hop) -> ProxiedResponse:
    lines = upstream.headers.getall("Set-Cookie", [])
    cookies = hop.set_cookies({line.partition("=")[0].strip() for line in lines})
    return ProxiedResponse(
        status=upstream.status,
        reason=upstream.reason,
        headers=CIMultiDict(headers.to_client(pairs, hop.listener, cookies)),
    )
