"""Handles each request: finds the load balancer, its listener and rule, and performs the action."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Mapping

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.web_protocol import RequestHandler

from local.load_balancers import errors, headers
from local.load_balancers.addresses import AddressRefused
from local.load_balancers.choosing import Chooser, Visit
from local.load_balancers.configuration import (
    FixedResponse,
    Forward,
    Listener,
    LoadBalancer,
    Redirect,
    Rule,
)
from local.load_balancers.forwarding import Cut, Finished, Forwarder, ProxiedResponse
from local.load_balancers.metrics import Metrics
from local.load_balancers.nodes import Node, Nodes
from local.load_balancers.request import Request, split_port
from local.load_balancers.routing import LOCATION_BYTES, location, matching_rule
from local.load_balancers.transforms import TransformFailed, transformed

logger = logging.getLogger(__name__)

# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
LINE_BYTES = HEADER_BYTES = 16 * 1024
ALL_HEADERS_BYTES = 64 * 1024
# "The upper limit for IP addresses is 30."
FORWARDED_ADDRESSES = 30
DEFAULT_PORT = 80
# "HTTP 501: The load balancer received a Transfer-Encoding header with an unsupported value." This
# is aiohttp's message for a value that does not end with "chunked".
_UNSUPPORTED = "Request has invalid `Transfer-Encoding`"
# The parser's limits. They are higher, so that the load balancer answers with its own page.
PARSER_BYTES = 96 * 1024
PARSER_HEADERS = 2000
# Longer than the idle connections of clients that stay inside the local stack live, so that none
# sends a request on a connection that is being closed.
KEEP_ALIVE_SECONDS = 75


class Connection(RequestHandler):
    """A client's connection. It belongs to one node of each load balancer that it reaches."""

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own way to have no access log
            max_line_size=PARSER_BYTES,
            max_field_size=PARSER_BYTES,
            max_headers=PARSER_HEADERS,
            auto_decompress=False,
        )
        self._nodes: dict[Nodes, Node] = {}

    def node(self, nodes: Nodes) -> Node:
        """The node of the load balancer that serves this connection."""
        if nodes not in self._nodes:
            self._nodes[nodes] = nodes.next()
        return self._nodes[nodes]

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a malformed request (400), or close the connection without an answer."""
        if isinstance(exc, Cut) or request.writer.output_size > 0:
            if request.transport is not None and not isinstance(exc, Finished):
                request.transport.abort()
            raise ConnectionError("the connection is closed without a response") from exc
        if not isinstance(exc, BadHttpMessage):
            logger.error("A request failed.", exc_info=exc)
            return _closing(errors.page(500))
        request._version = HttpVersion11  # aiohttp could not read it, and takes 1.0
        return _closing(errors.page(501 if _UNSUPPORTED in exc.message else 400))


class Server(web.Server):
    """The HTTP server of all load balancers."""

    def __init__(self, handler: Handler) -> None:
        # Cancellation tells the handler that the client closed its connection.
        super().__init__(handler.handle, handler_cancellation=True)

    def __call__(self) -> RequestHandler:
        return Connection(self, asyncio.get_running_loop())


class Handler:
    """Handles the requests to `/<load balancer>/…`."""

    def __init__(
        self,
        balancers: Mapping[str, Nodes],
        chooser: Chooser,
        forwarder: Forwarder,
        metrics: Metrics,
    ) -> None:
        """Args: balancers: the nodes by the load balancer's name; the owner keeps it current."""
        self._balancers, self._chooser = balancers, chooser
        self._forwarder, self._metrics = forwarder, metrics

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Raises Cut where AWS would not accept the connection."""
        name, path, query = _split(http.raw_path)
        nodes = self._balancers.get(name)
        if nodes is None:
            return errors.own(404, f"No load balancer is named {name!r}.\n", "text/plain")
        protocol = http.protocol
        assert isinstance(protocol, Connection)
        node = protocol.node(nodes)
        balancer = node.known(asyncio.get_running_loop().time())
        listener, host = _listener(http, balancer)
        if listener is None:
            raise Cut(f"{name} has no listener for {http.headers.get('Host')}")
        peer = http.transport.get_extra_info("peername") if http.transport else None
        request = Request(
            method=http.method,
            host=host,
            path=path,
            query=query,
            headers=tuple(http.headers.items()),
            source=peer[0] if peer else "127.0.0.1",
            source_port=peer[1] if peer else 0,
        )
        visit = Visit(node, balancer, listener, request, self._metrics)
        visit.count("RequestCount", 0)
        response = await self._respond(http, visit)
        if not isinstance(response, ProxiedResponse):
            _finish_own(response, visit)
        return response

    async def _respond(self, http: web.BaseRequest, visit: Visit) -> web.StreamResponse:
        refused = _refused(http, visit.request)
        if refused:
            return _closing(errors.page(refused))
        rule = matching_rule(visit.listener, visit.request)
        action = rule.action if rule else None
        if isinstance(action, FixedResponse):
            visit.count("HTTP_Fixed_Response_Count")
            content_type = f"{action.content_type}; charset=utf-8"
            return errors.own(action.status, action.body, content_type)
        if isinstance(action, Redirect):
            return _redirected(action, visit)
        if rule and isinstance(action, Forward):
            return await self._forward(http, visit, rule, action)
        text = f"The local stack does not simulate {action or 'a listener without a rule'}.\n"
        return errors.own(501, text, "text/plain")

    async def _forward(
        self, http: web.BaseRequest, visit: Visit, rule: Rule, forward: Forward
    ) -> web.StreamResponse:
        try:
            rewritten = transformed(rule.transforms, visit.request)
        except TransformFailed as error:
            logger.warning("%s: a transform failed: %s", rule.arn, error)
            return errors.page(500)
        try:
            hop = self._chooser.hop(visit, forward, asyncio.get_running_loop().time())
        except AddressRefused as error:
            logger.warning("%s: %s", visit.balancer.name, error)
            return errors.page(502)
        if hop is None:
            return errors.page(503)
        drops = visit.balancer.is_on("routing.http.drop_invalid_header_fields.enabled")
        if drops and headers.has_invalid_name(visit.request.headers):
            visit.count("DroppedInvalidHeaderRequestCount")
        return await self._forwarder.send(http, rewritten, hop)


def _split(target: str) -> tuple[str, str, str]:
    """Split "/name/path?query" into the load balancer's name, "/path" and "query"."""
    whole, _, query = target.partition("?")
    name, slash, path = whole.removeprefix("/").partition("/")
    return name, f"/{path}" if slash else "/", query


def _listener(http: web.BaseRequest, balancer: LoadBalancer) -> tuple[Listener | None, str]:
    """The listener for a request, and the Host header that AWS's load balancer would see.

    All load balancers share one local port, so the port in the Host header identifies the listener;
    the default is 80. A client that uses the local URL as it is sends the loopback address: it
    means the load balancer's own name. Without TLS, an HTTPS listener is reached in the same way.
    """
    if not balancer.is_active:
        return None, ""  # its DNS name does not resolve yet
    host = http.headers.get("Host", "")
    name, port = split_port(host)
    own = http.transport.get_extra_info("sockname")[1] if http.transport else None
    listener = balancer.listener(DEFAULT_PORT if port is None or port == own else port)
    if not _is_local(name):
        return listener, host
    listener = listener or balancer.listener(DEFAULT_PORT)
    if listener is None or listener.port == DEFAULT_PORT:
        return listener, balancer.dns_name
    return listener, f"{balancer.dns_name}:{port}"


def _is_local(name: str) -> bool:
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name in ("", "localhost")


def _refused(http: web.BaseRequest, request: Request) -> int | None:
    """The status for a request that the load balancer does not route.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html
    """
    if request.method == "TRACE":
        return 405
    if len(request.path) + len(request.query) + len(request.method) + 11 > LINE_BYTES:
        return 414
    longest = max((headers.size([pair]) for pair in request.headers), default=0)
    if longest > HEADER_BYTES or headers.size(request.headers) > ALL_HEADERS_BYTES:
        return 400
    if http.version >= (1, 1) and "Host" not in http.headers:
        return 400
    if http.headers.get("Transfer-Encoding", "chunked").lower() != "chunked":
        return 501
    if len(",".join(request.all("x-forwarded-for")).split(",")) > FORWARDED_ADDRESSES:
        return 463
    return None


def _redirected(redirect: Redirect, visit: Visit) -> web.StreamResponse:
    url = location(redirect, visit.listener, visit.request)
    if len(url) > LOCATION_BYTES:
        visit.count("HTTP_Redirect_Url_Limit_Exceeded_Count")
        return errors.page(500)
    visit.count("HTTP_Redirect_Count")
    return errors.page(redirect.status, {"Location": url})


def _finish_own(response: web.StreamResponse, visit: Visit) -> None:
    """Count an answer of the load balancer itself, and add the listener's headers."""
    status = response.status
    if status >= 300:
        visit.count(f"HTTPCode_ELB_{status // 100}XX_Count")
    if status in (500, 502, 503, 504):
        visit.count(f"HTTPCode_ELB_{status}_Count")
    response.headers.update(headers.added_headers(visit.listener))
    if visit.listener.attributes.get("routing.http.response.server.enabled") == "false":
        response.headers.popall("Server", None)


def _closing(response: web.StreamResponse) -> web.StreamResponse:
    response.force_close()
    return response
