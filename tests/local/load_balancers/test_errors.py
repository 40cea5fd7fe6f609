"""The errors that the load balancer generates.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html
"""

import asyncio
import socket
import sys

import pytest
from aiohttp import web

from tests.local.load_balancers.elbv2 import forward
from tests.local.load_balancers.test_health import never
from tests.local.load_balancers.world import World, run, until

PAGE_503 = (
    "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n"
    "<center><h1>503 Service Temporarily Unavailable</h1></center>\r\n</body>\r\n</html>\r\n"
)


def test_no_registered_targets_is_a_503() -> None:
    """HTTP 503: The target groups for the load balancer have no registered targets."""

    async def scenario(world: World) -> None:
        world.elbv2.listener(world.elbv2.balancer(), forward(world.elbv2.group("empty")))
        await world.apply()
        answer = await world.call()
        assert (answer.status, answer.reason) == (503, "Service Temporarily Unavailable")
        assert answer.text == PAGE_503
        assert answer.headers["Server"] == "awselb/2.0"
        assert answer.headers["Content-Type"] == "text/html"

    run(scenario)


def test_an_empty_group_gets_its_share_of_errors() -> None:
    """Requests are distributed to these target groups based on their weights, whatever their
    health: the load balancer does not fail over to another group."""

    async def scenario(world: World) -> None:
        full, empty = world.elbv2.group("full"), world.elbv2.group("empty")
        await world.target(full)
        world.elbv2.listener(world.elbv2.balancer(), forward((full, 1), (empty, 1)))
        await world.ready(full)
        statuses = [(await world.call()).status for _ in range(4)]
        assert sorted(statuses) == [200, 200, 503, 503]

    run(scenario, propagation=0)


@pytest.mark.parametrize(
    "answer",
    [
        b"",  # "closed the connection with a TCP FIN while the load balancer had an outstanding…"
        b"hello\r\n\r\n",  # "The target response is malformed"
        b"\x15\x03\x01\x00\x02\x02\x0a",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 33 * 1024 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n"
        + b"".join(b"X-%d: %s\r\n" % (i, b"a" * 1000) for i in range(34))
        + b"Content-Length: 0\r\n\r\n",
    ],
)
def test_a_malformed_response_is_a_502(answer: bytes) -> None:
    """The target response is malformed or contains HTTP headers that are not valid. The target
    response header exceeded 32 K for the entire response header."""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        await world.raw_target(group, answer)
        world.elbv2.listener(world.elbv2.balancer(), forward(group))
        await world.ready(group)
        response = await world.call()
        assert (response.status, response.reason) == (502, "Bad Gateway")
        assert "<h1>502 Bad Gateway</h1>" in response.text

    run(scenario)


def test_a_refused_connection_is_a_502() -> None:
    """The load balancer received a TCP RST from the target when attempting to establish a
    connection."""

    async def scenario(world: World) -> None:
        _, server = await world.simple()
        await server.stop()
        assert (await world.call()).status == 502

    run(scenario)


def test_a_request_is_not_sent_again() -> None:
    """The target closed the connection … while the load balancer had an outstanding request."""

    async def scenario(world: World) -> None:
        _, server = await world.simple()
        assert (await world.call()).status == 200

        async def close(request: web.BaseRequest) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        server.handle = close
        assert (await world.call()).status == 502
        assert len(server.requests) == 2

    run(scenario)


def test_no_response_before_the_idle_timeout_is_a_504() -> None:
    """HTTP 504: The load balancer established a connection to the target but the target did not
    respond before the idle timeout period elapsed."""

    async def scenario(world: World) -> None:
        _, server = await world.simple(never)
        request = asyncio.create_task(world.call())
        await until(lambda: len(server.requests) == 1)
        world.advance(60)
        answer = await request
        assert (answer.status, answer.reason) == (504, "Gateway Time-out")

    run(scenario)


def test_the_idle_timeout_is_configurable_and_not_scaled() -> None:
    """idle_timeout.timeout_seconds: The idle timeout value, in seconds."""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        go = asyncio.Event()

        async def slow(_: web.BaseRequest) -> web.StreamResponse:
            await go.wait()
            return web.Response(text="late")

        server = await world.target(group, slow)
        balancer = world.elbv2.balancer()
        world.elbv2.set(balancer, "idle_timeout.timeout_seconds", 200)
        world.elbv2.listener(balancer, forward(group))
        await world.ready(group)
        request = asyncio.create_task(world.call())
        await until(lambda: len(server.requests) == 1)
        world.advance(190)
        go.set()
        assert (await request).text == "late"

    run(scenario, time_scale=0.1)


def test_data_restarts_the_idle_timeout() -> None:
    """Send at least 1 byte of data before each idle timeout period elapses."""

    async def scenario(world: World) -> None:
        parts: asyncio.Queue[bytes] = asyncio.Queue()

        async def drip(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            while part := await parts.get():
                await response.write(part)
            return response

        await world.simple(drip)
        parts.put_nowait(b"0")
        async with world.client.get(f"{world.balancers.url}/web/") as response:
            assert await response.content.readany() == b"0"
            for number in b"123":
                world.advance(50)
                parts.put_nowait(bytes([number]))
                assert await response.content.readany() == bytes([number])
            parts.put_nowait(b"")
            assert await response.content.readany() == b""

    run(scenario)


def test_a_body_shorter_than_its_content_length_breaks_the_response_off() -> None:
    """The target returns a content-length header that is larger than the entity body."""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        await world.raw_target(group, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort")
        world.elbv2.listener(world.elbv2.balancer(), forward(group))
        await world.ready(group)
        received = await world.raw(b"GET /web/ HTTP/1.1\r\nHost: a.com\r\n\r\n")
        assert not received.endswith(b"</html>\r\n")

    run(scenario)


def test_a_client_that_stops_sending_its_body_gets_a_408() -> None:
    """HTTP 408: The client did not send data before the idle timeout period expired."""

    async def read(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return web.Response(text="ok")

    async def scenario(world: World) -> None:
        _, server = await world.simple(read)
        head = b"POST /web/ HTTP/1.1\r\nHost: a.com\r\nContent-Length: 9\r\n\r\nhalf"
        request = asyncio.create_task(world.raw(head, until=b"</html>\r\n"))
        await until(lambda: len(server.requests) == 1)
        world.advance(60)
        assert (await request).startswith(b"HTTP/1.1 408 Request Time-out\r\n")

    run(scenario)


def test_a_client_that_closes_its_connection_is_counted() -> None:
    """HTTP 460: the client closed the connection with the load balancer before the idle timeout
    period elapsed. The load balancer … increments the HTTPCode_ELB_4XX_Count metric."""

    async def scenario(world: World) -> None:
        _, server = await world.simple(never)
        request = asyncio.create_task(world.call())
        await until(lambda: len(server.requests) == 1)
        request.cancel()
        balancers = world.elbv2.describe_load_balancers()["LoadBalancers"]
        dimension = balancers[0]["LoadBalancerArn"].partition(":loadbalancer/")[2]
        count = "HTTPCode_ELB_4XX_Count"
        await until(lambda: world.metric(count, LoadBalancer=dimension) == [1])

    run(scenario)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        # "The client used the TRACE method, which is not supported by Application Load Balancers."
        ("TRACE /web/ HTTP/1.1\r\nHost: a.com", "405 Not Allowed"),
        # "The request URL or query string parameters are too large."
        (f"GET /web/{'a' * 17_000} HTTP/1.1\r\nHost: a.com", "414 Request-URI Too Large"),
        # "exceeded … 16 K per single header, or 64 K for the entire request header."
        (f"GET /web/ HTTP/1.1\r\nHost: a.com\r\nX-A: {'a' * 17_000}", "400 Bad Request"),
        (
            "GET /web/ HTTP/1.1\r\nHost: a.com\r\n"
            + "\r\n".join(f"X-{n}: {'a' * 1000}" for n in range(70)),
            "400 Bad Request",
        ),
        # "a malformed request that does not meet the HTTP specification."
        ("GET /web/ HTTP/1.1", "400 Bad Request"),
        ("GET /web/ HTTP/1.1\r\nHost: a.com\r\nbad header", "400 Bad Request"),
        ("nonsense", "400 Bad Request"),
        # "The supported values for Transfer-Encoding are chunked and identity."
        ("POST /web/ HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: gzip", "501 Not Implemented"),
        (
            "POST /web/ HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: gzip, chunked",
            "501 Not Implemented",
        ),
        (
            "POST /web/ HTTP/1.1\r\nHost: a.com\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
            "400 Bad Request",
        ),
    ],
)
def test_a_request_that_is_not_routed(head: str, status: str) -> None:
    async def scenario(world: World) -> None:
        _, server = await world.simple()
        sent = f"{head}\r\n\r\n".encode()
        received = (await world.raw(sent, until=b"</html>\r\n")).decode()
        assert received.startswith(f"HTTP/1.1 {status}\r\n")
        assert f"<h1>{status}</h1>" in received
        assert "Server: awselb/2.0\r\n" in received
        assert server.requests == []

    run(scenario)


@pytest.mark.parametrize(("addresses", "status"), [(30, 200), (31, 463)])
def test_too_many_forwarded_addresses_are_a_463(addresses: int, status: int) -> None:
    """HTTP 463: The load balancer received an X-Forwarded-For request header with too many IP
    addresses. The upper limit for IP addresses is 30."""

    async def scenario(world: World) -> None:
        await world.simple()
        headers = {"X-Forwarded-For": ", ".join(["127.0.0.1"] * addresses)}
        assert (await world.call(headers=headers)).status == status

    run(scenario)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux drops what exceeds the backlog")
def test_no_connection_within_ten_seconds_is_a_504() -> None:
    """HTTP 504: The load balancer failed to establish a connection to the target before the
    connection timeout expired (10 seconds)."""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models", HealthCheckEnabled=False)
        with socket.socket() as full, socket.socket() as first:
            full.bind(("127.77.255.1", 0))
            full.listen(0)
            first.connect(full.getsockname())  # fills the backlog, which nobody accepts
            world.elbv2.register(group, *full.getsockname())
            world.elbv2.listener(world.elbv2.balancer(), forward(group))
            await world.apply()
            request = asyncio.create_task(world.call())
            balancer = world.elbv2.describe_load_balancers()["LoadBalancers"][0]
            of = {"LoadBalancer": balancer["LoadBalancerArn"].partition(":loadbalancer/")[2]}
            await until(lambda: world.metric("RequestCount", **of) == [1])
            await asyncio.sleep(0)
            world.advance(10)
            assert (await request).status == 504
            assert world.metric("TargetConnectionErrorCount", **of) == [1]

    run(scenario)


@pytest.mark.parametrize("count", [1, 4])
def test_headers_within_the_limits_pass(count: int) -> None:
    """16 K per single header, or 64 K for the entire request header."""

    async def scenario(world: World) -> None:
        await world.simple()
        parts = {f"X-{number}": "a" * 15_900 for number in range(count)}
        assert (await world.call(headers=parts)).status == 200

    run(scenario)
