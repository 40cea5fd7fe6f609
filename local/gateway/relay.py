"""Relays requests to MiniStack. A request that no part of the gateway handles is streamed."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from local.gateway import api_errors
from local.gateway.access import Access
from local.gateway.messages import HttpAnswer, HttpRequest

# Headers of the connection, not of the message. Each side of the relay has its own.
# https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
OF_THE_CONNECTION = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "expect"}
)
# The signature may cover these, so none may be added.
NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
# Up to this size a body is read and sent at once, which takes less time than a stream.
WHOLE_BYTES = 256 * 1024
# More than any limit of AWS, so that MiniStack decides.
HEADER_BYTES = 64 * 1024
# MiniStack closes idle connections after 75 s.
KEEP_ALIVE_SECONDS = 60.0
ALB_PREFIX = "/_alb/"
DNS_NAME = re.compile(r"([\w-]+)-\w+\.[\w-]+\.elb\.amazonaws\.com(?::\d+)?", re.IGNORECASE)
log = logging.getLogger("gateway")

Forward = Callable[[HttpRequest], Awaitable[HttpAnswer]]


class Handler(Protocol):
    """A part of the gateway that answers some requests itself."""

    def wants(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        """Whether it handles a request, decided before the body is read."""
        ...

    async def handle(self, request: HttpRequest, forward: Forward) -> HttpAnswer:
        """Answer a request; `forward` sends a request to MiniStack."""
        ...


def server(relay: Relay) -> web.Server:
    """Return an HTTP server that passes requests to a relay as they arrive."""
    return web.Server(
        relay.answer,
        access_log=None,
        auto_decompress=False,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
    )


class Relay:
    """Answers the requests that arrive at the gateway."""

    def __init__(
        self, upstream: str, access: Access, handlers: list[Handler], load_balancers_url: str = ""
    ) -> None:
        """Args:
        upstream: MiniStack's URL.
        handlers: the first that wants a request handles it.
        load_balancers_url: where `/<name>/…` reaches the load balancer `<name>`.
        """
        self._upstream, self._access, self._handlers = upstream, access, handlers
        self._load_balancers_url = load_balancers_url
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
            # A Lambda function may answer after 15 minutes.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            auto_decompress=False,
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=NOT_ADDED,
        )

    async def close(self) -> None:
        """Close the connections to MiniStack."""
        await self._session.close()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        method, path, headers = request.method, request.raw_path, request.headers
        if not path.startswith("/"):
            return web.Response(status=400, text="The request target must be a path.")
        name_and_path = load_balancer_path(path, headers.get("Host", ""))
        if name_and_path is None:
            refusal = self._access.refusal(method, path, headers)
            if refusal is not None:
                return _response(refusal)
        if headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # what follows is not a part of this response
        try:
            if name_and_path is not None:
                return await self._stream(request, self._load_balancers_url + name_and_path)
            for handler in self._handlers:
                if handler.wants(method, path, headers):
                    received = HttpRequest(method, path, headers, await request.read())
                    return _response(await handler.handle(received, self.forward))
            return await self._stream(request, self._upstream + path)
        except aiohttp.ClientError as error:
            log.warning("%s %s: %r", method, path, error)
            return web.Response(status=502, text=f"There is no answer: {error!r}")

    async def forward(self, request: HttpRequest) -> HttpAnswer:
        """Send a request to MiniStack and return its answer."""
        headers = _of_the_message(request.headers)
        headers.pop("Content-Length", None)  # a handler may have changed the body
        url = self._upstream + request.path
        async with self._send(request.method, url, headers, request.body) as answer:
            return HttpAnswer(answer.status, _of_the_message(answer.headers), await answer.read())

    def _send(
        self,
        method: str,
        url: str,
        headers: CIMultiDict[str],
        body: bytes | aiohttp.StreamReader | None,
    ) -> aiohttp.client._RequestContextManager:
        return self._session.request(
            method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
        )

    async def _stream(self, request: web.BaseRequest, url: str) -> web.StreamResponse:
        body: bytes | aiohttp.StreamReader | None = None
        if request.can_read_body:
            size = request.content_length
            is_small = size is not None and size <= WHOLE_BYTES
            body = await request.content.read() if is_small else request.content
        headers = _of_the_message(request.headers)
        async with self._send(request.method, url, headers, body) as answer:
            passed_on = _of_the_message(answer.headers)
            size = answer.content_length
            if request.method == "HEAD" or (size is not None and size <= WHOLE_BYTES):
                content = await answer.read()
                if answer.status >= 400:
                    content = api_errors.completed(content, request.raw_path)
                    passed_on.popall("Content-Length", None)
                return web.Response(
                    status=answer.status, reason=answer.reason, headers=passed_on, body=content
                )
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=passed_on
            )
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response


def load_balancer_path(path: str, host: str) -> str | None:
    """Return `/<name>/…` of a request to a load balancer, or None.

    MiniStack's two ways to reach a load balancer lead to the stack's own ones: `/_alb/<name>/…`,
    and the DNS name `<name>-<id>.<region>.elb.amazonaws.com` in the Host header.
    """
    if path.startswith(ALB_PREFIX):
        return path.removeprefix(ALB_PREFIX[:-1])
    if found := DNS_NAME.fullmatch(host):
        return f"/{found[1]}{path}"
    return None


def _of_the_message(headers: Mapping[str, str]) -> CIMultiDict[str]:
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in OF_THE_CONNECTION
    )


def _response(answer: HttpAnswer) -> web.Response:
    headers = {
        name: value for name, value in answer.headers.items() if name.lower() != "content-length"
    }
    return web.Response(status=answer.status, headers=headers, body=answer.body)
