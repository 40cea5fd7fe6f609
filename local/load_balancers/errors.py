"""The load balancer's own answers: error pages, fixed responses and redirects."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

SERVER = "awselb/2.0"
# The texts of AWS's pages where they differ from those of the HTTP standard.
_TITLES = {
    405: "405 Not Allowed",
    408: "408 Request Time-out",
    414: "414 Request-URI Too Large",
    503: "503 Service Temporarily Unavailable",
    504: "504 Gateway Time-out",
}


class OnlyGivenHeaders(web.StreamResponse):
    """A response without the headers that aiohttp adds if they are missing."""

    async def _prepare_headers(self) -> None:
        given = {name.title() for name in self.headers}
        await super()._prepare_headers()
        for name in {"Server", "Content-Type"} - given:
            self.headers.popall(name, None)


class OwnResponse(OnlyGivenHeaders, web.Response):
    """An answer that no target gave."""


def title(status: int) -> str:
    """The status with its text, e.g. "502 Bad Gateway"."""
    if status in _TITLES:
        return _TITLES[status]
    known = status in HTTPStatus._value2member_map_
    return f"{status} {HTTPStatus(status).phrase}" if known else str(status)


def page(status: int, extra: Mapping[str, str] | None = None) -> OwnResponse:
    """An error page (or the page of a redirect), as AWS's load balancers send it."""
    text = title(status)
    body = (
        f"<html>\r\n<head><title>{text}</title></head>\r\n<body>\r\n"
        f"<center><h1>{text}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
    return own(status, body, "text/html", extra)


def own(
    status: int, body: str, content_type: str, extra: Mapping[str, str] | None = None
) -> OwnResponse:
    """An answer with the load balancer's `Server` header."""
    headers = {"Server": SERVER, "Content-Type": content_type, **(extra or {})}
    reason = title(status).partition(" ")[2]
    return OwnResponse(status=status, reason=reason, body=body.encode(), headers=headers)
