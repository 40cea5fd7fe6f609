"""Relays requests to MiniStack. A request that no part of the gateway handles is streamed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

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
# MiniStack closes idle connections after 75 s.
KEEP_ALIVE_SECONDS = 60.0
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


class Relay:
    """Answers the requests that arrive at the gateway."""

    def __init__(self, upstream: str, access: Access, handlers: list[Handler]) -> None:
        """Args: upstream: MiniStack's URL; handlers: the first that wants a request handles it."""
        self._upstream, self._access, self._handlers = upstream, access, handlers
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
            # A Lambda function may answer after 15 minutes.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            auto_decompress=False,
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
        refusal = self._access.refusal(method, path, headers)
        if refusal is not None:
            return _response(refusal)
        if headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # what follows is not a part of this response
        try:
            for handler in self._handlers:
                if handler.wants(method, path, headers):
                    received = HttpRequest(method, path, headers, await request.read())
                    return _response(await handler.handle(received, self.forward))
            return await self._stream(request)
        except aiohttp.ClientError as error:
            log.warning("%s %s: %r", method, path, error)
            return web.Response(status=502, text=f"MiniStack does not answer: {error!r}")

    async def forward(self, request: HttpRequest) -> HttpAnswer:
        """Send a request to MiniStack and return its answer."""
        headers = _of_the_message(request.headers)
        headers.pop("Content-Length", None)  # a handler may have changed the body
        async with self._send(request.method, request.path, headers, request.body) as answer:
            return HttpAnswer(answer.status, _of_the_message(answer.headers), await answer.read())

    def _send(
        self,
        method: str,
        path: str,
        headers: CIMultiDict[str],
        body: bytes | aiohttp.StreamReader | None,
    ) -> aiohttp.client._RequestContextManager:
        url = URL(self._upstream + path, encoded=True)
        return self._session.request(method, url, headers=headers, data=body, allow_redirects=False)

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        body: bytes | aiohttp.StreamReader | None = None
        if request.can_read_body:
            size = request.content_length
            is_small = size is not None and size <= WHOLE_BYTES
            body = await request.content.read() if is_small else request.content
        headers = _of_the_message(request.headers)
        async with self._send(request.method, request.raw_path, headers, body) as answer:
            passed_on = _of_the_message(answer.headers)
            size = answer.content_length
            if request.method == "HEAD" or (size is not None and size <= WHOLE_BYTES):
                return web.Response(
                    status=answer.status,
                    reason=answer.reason,
                    headers=passed_on,
                    body=await answer.read(),
                )
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=passed_on
            )
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response


def _of_the_message(headers: Mapping[str, str]) -> CIMultiDict[str]:
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in OF_THE_CONNECTION
    )


def _response(answer: HttpAnswer) -> web.Response:
    headers = {
        name: value for name, value in answer.headers.items() if name.lower() != "content-length"
    }
    return web.Response(status=answer.status, headers=headers, body=answer.body)
