"""How requests reach targets, and how responses come back.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html
"""

import asyncio
import re

import aiohttp
import pytest
from aiohttp import web

from tests.local.load_balancers.elbv2 import forward
from tests.local.load_balancers.world import World, run, until


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=await request.content.read())


def test_the_client_address_is_appended_to_x_forwarded_for() -> None:
    """Otherwise, the load balancer adds the client IP address to the existing header and then
    passes the header to your server."""

    async def scenario(world: World) -> None:
        _, server = await world.simple()
        await world.call()
        await world.call(headers={"X-Forwarded-For": "127.0.0.4, 127.0.0.8"})
        sent = [headers["X-Forwarded-For"] for _, _, headers in server.requests]
        assert sent == ["127.0.0.1", "127.0.0.4, 127.0.0.8, 127.0.0.1"]

    run(scenario)


@pytest.mark.parametrize(("mode", "expected"), [("preserve", "127.0.0.4"), ("remove", None)])
def test_x_forwarded_for_may_be_preserved_or_removed(mode: str, expected: str | None) -> None:
    """The table of examples of the append, preserve and remove modes."""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        server = await world.target(group)
        balancer = world.elbv2.balancer()
        world.elbv2.set(balancer, "routing.http.xff_header_processing.mode", mode)
        world.elbv2.listener(balancer, forward(group))
        await world.ready(group)
        await world.call(headers={"X-Forwarded-For": "127.0.0.4"})
        await world.call()
        sent = [headers.get("X-Forwarded-For") for _, _, headers in server.requests]
        assert sent == [expected, None]

    run(scenario)


def test_x_forwarded_for_may_have_the_client_port() -> None:
    """X-Forwarded-For: client-ip-address:client-port-number"""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        server = await world.target(group)
        balancer = world.elbv2.balancer()
        world.elbv2.set(balancer, "routing.http.xff_client_port.enabled", "true")
        world.elbv2.listener(balancer, forward(group))
        await world.ready(group)
        await world.call()
        assert re.fullmatch(r"127\.0\.0\.1:\d+", server.requests[0][2]["X-Forwarded-For"])

    run(scenario)


def test_protocol_and_port_are_those_of_the_listener() -> None:
    """X-Forwarded-Proto: the protocol (HTTP or HTTPS) that a client used. X-Forwarded-Port: the
    destination port that the client used."""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        server = await world.target(group)
        balancer = world.elbv2.balancer()
        world.elbv2.listener(balancer, forward(group))
        world.elbv2.listener(balancer, forward(group), 443, "HTTPS")
        await world.ready(group)
        forged = {"X-Forwarded-Proto": "https", "X-Forwarded-Port": "1"}
        await world.call(headers=forged)
        await world.call(headers={"Host": "a.com:443"})
        names = ("X-Forwarded-Proto", "X-Forwarded-Port")
        sent = [tuple(headers[name] for name in names) for _, _, headers in server.requests]
        assert sent == [("http", "80"), ("https", "443")]

    run(scenario)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (None, r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}"),
        ("Root=1-67891233-abc", r"Self=1-[0-9a-f]{8}-[0-9a-f]{24};Root=1-67891233-abc"),
        ("Root=1-6-a;CalledFrom=app", r"Self=1-\w{8}-\w{24};Root=1-6-a;CalledFrom=app"),
        ("Self=1-5-b;Root=1-6-a", r"Self=1-\w{8}-\w{24};Root=1-6-a"),
    ],
)
def test_the_trace_id_is_added_or_updated(sent: str | None, expected: str) -> None:
    """If the X-Amzn-Trace-Id header is present and has a Root field, the load balancer inserts a
    Self field … has a Self field, the load balancer updates the value of the Self field.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-request-tracing.html
    """

    async def scenario(world: World) -> None:
        _, server = await world.simple()
        await world.call(headers={"X-Amzn-Trace-Id": sent} if sent else {})
        assert re.fullmatch(expected, server.requests[0][2]["X-Amzn-Trace-Id"])

    run(scenario)


@pytest.mark.parametrize(
    ("port", "sent", "preserve", "received"),
    [
        (80, "a.com", False, "a.com"),
        (443, "a.com:443", False, "a.com"),
        (8080, "a.com:8080", False, "a.com:8080"),
        (443, "a.com:443", True, "a.com:443"),
    ],
)
def test_the_host_header_has_the_listeners_port(
    port: int, sent: str, preserve: bool, received: str
) -> None:
    """When not using the default ports (ports 80 or 443), we append the port number to the host
    header if it isn't already appended by the client. If the value is true, the Application Load
    Balancer preserves the Host header in the HTTP request."""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        server = await world.target(group)
        balancer = world.elbv2.balancer()
        if preserve:
            world.elbv2.set(balancer, "routing.http.preserve_host_header.enabled", "true")
        world.elbv2.listener(balancer, forward(group), port)
        await world.ready(group)
        await world.call(headers={"Host": sent})
        assert server.requests[0][2]["Host"] == received

    run(scenario)


def test_headers_of_a_connection_are_not_forwarded() -> None:
    """https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1"""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        headers = {"X-Model": "a", "X-Hop": "1", "Keep-Alive": "timeout=5", "Connection": "X-Hop"}
        return web.Response(text="ok", headers=headers)

    async def scenario(world: World) -> None:
        _, server = await world.simple(answer)
        sent = {"X-Kept": "1", "X-Dropped": "1", "TE": "trailers", "Connection": "X-Dropped"}
        response = await world.call(headers=sent)
        received = server.requests[0][2]
        assert received["X-Kept"] == "1"
        assert not {"X-Dropped", "TE"} & received.keys()
        assert response.headers["X-Model"] == "a"
        assert not {"X-Hop", "Keep-Alive"} & set(response.headers)

    run(scenario)


def test_invalid_header_names_are_dropped_if_configured() -> None:
    """Indicates whether HTTP headers with invalid header fields are removed by the load balancer
    (true) or routed to targets (false)."""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        server = await world.target(group)
        balancer = world.elbv2.balancer()
        world.elbv2.listener(balancer, forward(group))
        await world.ready(group)
        await world.call(headers={"x_a": "1"})
        world.elbv2.set(balancer, "routing.http.drop_invalid_header_fields.enabled", "true")
        await world.apply()
        await world.call(headers={"x_a": "1", "x-a": "2"})
        assert server.requests[0][2]["x_a"] == "1"
        assert "x_a" not in server.requests[1][2]
        assert server.requests[1][2]["x-a"] == "2"

    run(scenario)


def test_the_listener_may_add_response_headers() -> None:
    """routing.http.response.strict_transport_security.header_value

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/header-modification.html
    """

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        await world.target(group)
        listener = world.elbv2.listener(world.elbv2.balancer(), forward(group))
        prefix = "routing.http.response"
        world.elbv2.set(listener, f"{prefix}.strict_transport_security.header_value", "max-age=1")
        world.elbv2.set(listener, f"{prefix}.server.enabled", "false")
        await world.ready(group)
        answer = await world.call()
        assert answer.headers["Strict-Transport-Security"] == "max-age=1"
        assert "Server" not in answer.headers

    run(scenario)


def test_the_response_is_the_targets() -> None:
    """The load balancer forwards valid HTTP responses from targets to the client, including HTTP
    errors."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        response = web.Response(status=418, reason="I am a teapot", text="no coffee")
        response.headers.add("Set-Cookie", "a=1")
        response.headers.add("Set-Cookie", "b=2")
        return response

    async def scenario(world: World) -> None:
        await world.simple(answer)
        response = await world.call()
        assert (response.status, response.reason) == (418, "I am a teapot")
        assert response.text == "no coffee"
        assert response.headers.getall("Set-Cookie") == ["a=1", "b=2"]

    run(scenario)


def test_no_header_is_added_to_the_response() -> None:
    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        await world.raw_target(group, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        world.elbv2.listener(world.elbv2.balancer(), forward(group))
        await world.ready(group)
        answer = await world.call()
        assert answer.text == "ok"
        assert not {"Server", "Content-Type"} & set(answer.headers)

    run(scenario)


def test_no_header_is_added_to_the_request() -> None:
    async def scenario(world: World) -> None:
        _, server = await world.simple()
        await world.raw(b"GET /web/ HTTP/1.1\r\nHost: a.com\r\nConnection: close\r\n\r\n")
        own = {"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Amzn-Trace-Id"}
        assert server.requests[0][2].keys() == {"Host", *own}

    run(scenario)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_the_method_is_forwarded(method: str) -> None:
    async def scenario(world: World) -> None:
        _, server = await world.simple()
        answer = await world.call("/a", method=method)
        assert answer.status == 200
        assert answer.headers["Content-Length"] == "2"
        assert answer.text == ("" if method == "HEAD" else "ok")
        assert server.requests[0][0] == method

    run(scenario)


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_a_body_has_none(status: int) -> None:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status)

    async def scenario(world: World) -> None:
        await world.simple(answer)
        response = await world.call()
        assert (response.status, response.body) == (status, b"")

    run(scenario)


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_body_reaches_the_target_and_comes_back(size: int) -> None:
    async def scenario(world: World) -> None:
        _, server = await world.simple(echo)
        answer = await world.call(method="POST", data=b"x" * size)
        assert len(answer.body) == size
        assert server.requests[0][2]["Content-Length"] == str(size)

    run(scenario)


def test_a_chunked_body_is_streamed_in_both_directions() -> None:
    """The load balancer never waits for a whole body: each part arrives before the next is sent."""

    async def relay(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for part in request.content.iter_any():
            await response.write(part)
        return response

    async def scenario(world: World) -> None:
        _, server = await world.simple(relay)
        parts: asyncio.Queue[bytes] = asyncio.Queue()

        async def body():
            while part := await parts.get():
                yield part

        parts.put_nowait(b"first")
        async with world.client.post(f"{world.balancers.url}/web/", data=body()) as response:
            assert await response.content.readany() == b"first"
            parts.put_nowait(b"second")
            assert await response.content.readany() == b"second"
            parts.put_nowait(b"")
            assert await response.content.read() == b""
            assert response.headers["Transfer-Encoding"] == "chunked"
        assert server.requests[0][2]["Transfer-Encoding"] == "chunked"

    run(scenario)


def test_a_response_that_ends_with_its_connection_is_complete() -> None:
    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        await world.raw_target(group, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")
        world.elbv2.listener(world.elbv2.balancer(), forward(group))
        await world.ready(group)
        assert (await world.call()).text == "all of it"

    run(scenario)


def test_a_client_that_expects_100_gets_it_before_it_sends_the_body() -> None:
    """https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1"""

    async def scenario(world: World) -> None:
        await world.simple(echo)
        answer = await world.call(method="POST", data=b"body", expect100=True)
        assert (answer.status, answer.body) == (200, b"body")

    run(scenario)


def test_a_compressed_body_is_not_touched() -> None:
    async def scenario(world: World) -> None:
        await world.simple(echo)
        headers = {"Content-Encoding": "gzip"}
        answer = await world.call(method="POST", data=b"not really gzip", headers=headers)
        assert answer.body == b"not really gzip"

    run(scenario)


def test_connections_stay_open_for_the_next_request() -> None:
    """If you enable HTTP keep-alive, the load balancer can reuse backend connections."""
    ports: set[int] = set()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.Response(text="ok")

    async def scenario(world: World) -> None:
        await world.simple(answer)
        async with aiohttp.ClientSession() as client:
            for _ in range(3):
                async with client.get(f"{world.balancers.url}/web/") as response:
                    assert await response.text() == "ok"
        assert len(ports) == 1

    run(scenario)


def test_a_client_of_http_1_0_gets_an_answer_without_chunks() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"part")
        return response

    async def scenario(world: World) -> None:
        await world.simple(answer)
        received = await world.raw(b"GET /web/ HTTP/1.0\r\n\r\n")
        assert received.startswith(b"HTTP/1.0 200 OK\r\n")
        assert received.endswith(b"\r\n\r\npart")

    run(scenario)


async def _websocket(request: web.BaseRequest) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=["chat"])
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(f"you said {message.data}")
    return socket


def test_a_websocket_goes_through_the_load_balancer() -> None:
    """You can upgrade an existing HTTP/1.1 connection into a WebSocket connection by using an HTTP
    connection upgrade.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-listeners.html
    """

    async def scenario(world: World) -> None:
        _, server = await world.simple(_websocket)
        url = f"{world.balancers.url}/web/chat?room=1"
        async with world.client.ws_connect(url, protocols=["chat"]) as socket:
            assert socket.protocol == "chat"
            for text in ("a", "b" * 70_000):
                await socket.send_str(text)
                assert (await socket.receive()).data == f"you said {text}"
        assert server.paths == ["/chat?room=1"]

    run(scenario)


def test_a_refused_websocket_gets_the_targets_answer() -> None:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=403, text="no sockets")

    async def scenario(world: World) -> None:
        await world.simple(answer)
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            await world.client.ws_connect(f"{world.balancers.url}/web/")
        assert error.value.status == 403

    run(scenario)


def test_a_websocket_without_data_is_closed_after_the_idle_timeout() -> None:
    """If no data has been sent or received by the time that the idle timeout period elapses, the
    load balancer closes the connection."""

    async def scenario(world: World) -> None:
        _, server = await world.simple(_websocket)
        async with world.client.ws_connect(f"{world.balancers.url}/web/") as socket:
            await until(lambda: len(server.requests) == 1)
            world.advance(60)
            message = await socket.receive()
            assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE)

    run(scenario)


def test_data_from_the_client_alone_keeps_a_websocket_open() -> None:
    """Send at least 1 byte of data before each idle timeout period elapses."""
    received: list[str] = []

    async def listen(request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            received.append(message.data)
        return socket

    async def scenario(world: World) -> None:
        await world.simple(listen)
        async with world.client.ws_connect(f"{world.balancers.url}/web/") as socket:
            for text in "abc":
                await socket.send_str(text)
                await until(lambda text=text: text in received)
                world.advance(50)

    run(scenario)
