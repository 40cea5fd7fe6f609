"""Carries a WebSocket: after the upgrade, bytes go both ways until one side closes.

"Application Load Balancers provide native support for WebSockets."
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-listeners.html
"""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from local.load_balancers.exchange import Exchange
from local.load_balancers.request import Headers

_CHUNK = 64 * 1024
_HEADER_BYTES = 32 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def is_websocket(http: web.BaseRequest) -> bool:
    """Whether the client asks for a WebSocket."""
    options = http.headers.get("Connection", "").lower()
    return "upgrade" in options and http.headers.get("Upgrade", "").lower() == "websocket"


class _ToTarget:
    """Receives what the client sends after its request, in place of aiohttp's parser."""

    def __init__(self, writer: asyncio.StreamWriter, exchange: Exchange) -> None:
        self._writer, self._exchange = writer, exchange

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._exchange.touch()
        self._writer.write(data)
        return False, b""

    def feed_eof(self) -> None:
        self._writer.close()


async def tunnel(
    http: web.BaseRequest,
    address: tuple[str, int],
    target: str,
    headers: Headers,
    exchange: Exchange,
) -> None:
    """Send the request for the upgrade; return when both sides have nothing more to send.

    Args:
        target: path and query.

    Raises:
        OSError: the target did not answer, so the client got no answer either.
    """
    reader, writer = await asyncio.open_connection(*address, limit=_HEADER_BYTES)
    try:
        upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
        lines = [f"{name}: {value}" for name, value in [*headers, *upgrade]]
        writer.write("\r\n".join([f"{http.method} {target} HTTP/1.1", *lines, "", ""]).encode())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (EOFError, asyncio.LimitOverrunError) as error:
            raise ConnectionError("the target sent no response") from error
        accepted = head.split(b" ", 2)[1] == b"101"
        if accepted:
            http.protocol.set_parser(_ToTarget(writer, exchange))  # type: ignore[arg-type]
        await _copy(head, reader, http, exchange, None if accepted else _length(head))
    finally:
        writer.close()


def _length(head: bytes) -> int | None:
    found = _LENGTH.search(head)
    return int(found[1]) if found else None


async def _copy(
    head: bytes,
    reader: asyncio.StreamReader,
    http: web.BaseRequest,
    exchange: Exchange,
    length: int | None,
) -> None:
    """Copy the response to the client. Args: length: of the body; None until the end."""
    data = head
    while data and http.transport is not None:
        exchange.touch()
        http.transport.write(data)
        http.writer.output_size += len(data)  # from now on, no error page can be sent
        await http.writer.drain()
        if length is not None:
            length -= len(data) if data is not head else 0
        data = await reader.read(_CHUNK) if length is None or length > 0 else b""
