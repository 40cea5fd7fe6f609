"""A request as the routing sees it: no sockets, so that each decision is a pure function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Request:
    """What a client sent to a load balancer.

    Attributes:
        host: the Host header, e.g. "example.com:8080"; it may be empty.
        path: the path as sent, percent-encoded, e.g. "/a%20b".
        query: as sent, without the "?".
        headers: names and values in their order; a name may appear more than once.
        source: the address of the client.
        source_port: its port.
    """

    method: str
    host: str
    path: str
    query: str
    headers: Headers
    source: str
    source_port: int = 0

    @property
    def hostname(self) -> str:
        """The host without its port."""
        return split_port(self.host)[0]

    def all(self, name: str) -> list[str]:
        """The values of the header `name`, which is lower case."""
        return [value for key, value in self.headers if key.lower() == name]

    def cookies(self) -> dict[str, str]:
        """The cookies by name, without quotation marks; of two with one name, the first."""
        pairs = (part.partition("=") for line in self.all("cookie") for part in line.split(";"))
        found: dict[str, str] = {}
        for name, _, value in pairs:
            found.setdefault(name.strip(), value.strip().strip('"'))
        return found


def split_port(host: str) -> tuple[str, int | None]:
    """Split "example.com:80" into the name and the port; the port may be missing."""
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit() and (":" not in name or name.endswith("]")):
        return name, int(port)
    return host, None
