"""One HTTP health check of one target.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
"""

from __future__ import annotations

import asyncio
import re

from local.load_balancers import health
from local.load_balancers.configuration import HealthCheck
from local.load_balancers.health import Health

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: .*)?\r?\n")
# "The target response header exceeded 32 K for the entire response header."
_HEADER_BYTES = 32 * 1024


class _Malformed(Exception):
    """The answer is not HTTP/1.1."""


async def check(address: str, port: int, settings: HealthCheck, seconds: float) -> Health:
    """Send one request, close the connection, and return `HEALTHY` or why the check failed.

    It needs no HTTP client, so that a check costs nearly no CPU time.

    Args:
        seconds: within which the target must answer.
    """
    try:
        async with asyncio.timeout(seconds):
            status = await _status(address, port, settings.path)
    except TimeoutError:
        return health.TIMED_OUT
    except (OSError, EOFError, ValueError, _Malformed):
        return health.FAILED
    return health.HEALTHY if settings.accepts(status) else health.mismatch(status)


async def _status(address: str, port: int, path: str) -> int:
    """The status of the target's response.

    "The host header value contains the private IP address of the target, followed by the health
    check port." "The User-Agent is set to ELB-HealthChecker/2.0."
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html
    """
    reader, writer = await asyncio.open_connection(address, port, limit=_HEADER_BYTES)
    try:
        lines = (
            f"GET {path} HTTP/1.1",
            f"Host: {address}:{port}",
            "Connection: close",
            "User-Agent: ELB-HealthChecker/2.0",
            "Accept-Encoding: gzip, compressed",
        )
        writer.write("\r\n".join((*lines, "", "")).encode())
        status = 100
        while status < 200:  # interim answers come before the final one
            found = _STATUS_LINE.fullmatch(await _line(reader))
            if found is None:
                raise _Malformed
            status = int(found[1])
            while (await _line(reader)).strip():
                pass  # the headers
        return status
    finally:
        writer.close()


async def _line(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise _Malformed  # the connection ended within the headers
    return line
