"""The headers that a target receives, and those that the client gets back."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

from local.load_balancers.configuration import Listener, LoadBalancer
from local.load_balancers.request import Headers, Request, split_port

# They belong to one connection, so a proxy does not forward them. Bodies are framed anew.
# https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
HOP_BY_HOP = frozenset(
    [
        "connection",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
_VALID_NAME = re.compile(r"[-A-Za-z0-9]+")
_DEFAULT_PORTS = (80, 443)
# "If the HTTP headers are greater than 7 KB, the load balancer rewrites the X-Amzn-Trace-Id header
# with a Root field."
_TRACED_BYTES = 7 * 1024

_RESPONSE_PREFIX, _RESPONSE_SUFFIX = "routing.http.response.", ".header_value"


def size(headers: Headers) -> int:
    """The bytes of the headers, with ": " and line ends."""
    return sum(len(name) + len(value) + 4 for name, value in headers)


def forwarded(headers: Headers) -> list[tuple[str, str]]:
    """The headers without those of the connection."""
    named = {
        option.strip().lower()
        for name, value in headers
        if name.lower() == "connection"
        for option in value.split(",")
    }
    dropped = HOP_BY_HOP | named
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def to_target(
    request: Request, listener: Listener, balancer: LoadBalancer, now: float
) -> list[tuple[str, str]]:
    """The headers of the request to a target.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html

    Args:
        now: seconds since the epoch, for the trace ID.
    """
    own = {
        "Host": _host(request, listener, balancer),
        "X-Forwarded-For": _forwarded_for(request, balancer),
        "X-Forwarded-Proto": listener.protocol.lower(),
        "X-Forwarded-Port": str(listener.port),
        "X-Amzn-Trace-Id": trace_id(request, now),
    }
    replaced = {name.lower() for name in own}
    rest = [pair for pair in forwarded(request.headers) if pair[0].lower() not in replaced]
    if balancer.is_on("routing.http.drop_invalid_header_fields.enabled"):
        rest = [(name, value) for name, value in rest if _VALID_NAME.fullmatch(name)]
    return [*((name, value) for name, value in own.items() if value is not None), *rest]


def has_invalid_name(headers: Headers) -> bool:
    """Whether a header's name has characters other than letters, digits and hyphens."""
    return any(not _VALID_NAME.fullmatch(name) for name, _ in headers)


def _host(request: Request, listener: Listener, balancer: LoadBalancer) -> str:
    """The Host header. By default it has the listener's port, if that is not 80 or 443.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html#host-header-preservation
    """
    if balancer.is_on("routing.http.preserve_host_header.enabled"):
        return request.host
    name = split_port(request.host)[0]
    return name if listener.port in _DEFAULT_PORTS else f"{name}:{listener.port}"


def _forwarded_for(request: Request, balancer: LoadBalancer) -> str | None:
    """The addresses of the client and of the proxies before; None for no header."""
    mode = balancer.attributes.get("routing.http.xff_header_processing.mode", "append")
    sent = ", ".join(request.all("x-forwarded-for"))
    if mode == "remove":
        return None
    if mode == "preserve":
        return sent or None
    client = request.source
    with_port = balancer.is_on("routing.http.xff_client_port.enabled")
    if ":" in client and (with_port or sent):
        client = f"[{client}]"
    if with_port:
        client = f"{client}:{request.source_port}"
    return f"{sent}, {client}" if sent else client


def trace_id(request: Request, now: float) -> str:
    """The header that identifies the request.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-request-tracing.html
    """
    new = f"1-{int(now):08x}-{secrets.token_hex(12)}"
    sent = ";".join(request.all("x-amzn-trace-id"))
    fields = [part.strip() for part in sent.split(";") if part.strip()]
    names = {part.partition("=")[0] for part in fields}
    if size(request.headers) > _TRACED_BYTES or not names & {"Root", "Self"}:
        kept = [] if size(request.headers) > _TRACED_BYTES else fields
        return ";".join([f"Root={new}", *kept])
    others = [part for part in fields if not part.startswith("Self=")]
    return ";".join([f"Self={new}", *others])


def to_client(
    headers: Headers, listener: Listener, cookies: Iterable[str]
) -> list[tuple[str, str]]:
    """The headers of a target's response, with those that the listener adds or removes.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/header-modification.html
    """
    added = added_headers(listener)
    replaced = {name.lower() for name in added}
    if listener.attributes.get("routing.http.response.server.enabled") == "false":
        replaced.add("server")
    kept = [pair for pair in forwarded(headers) if pair[0].lower() not in replaced]
    return [*kept, *added.items(), *(("Set-Cookie", cookie) for cookie in cookies)]


def added_headers(listener: Listener) -> dict[str, str]:
    """The headers that the listener's attributes add, e.g. `Strict-Transport-Security`."""
    names = {
        key.removeprefix(_RESPONSE_PREFIX).removesuffix(_RESPONSE_SUFFIX): value
        for key, value in listener.attributes.items()
        if value and key.startswith(_RESPONSE_PREFIX) and key.endswith(_RESPONSE_SUFFIX)
    }
    return {name.replace("_", "-").title(): value for name, value in names.items()}
