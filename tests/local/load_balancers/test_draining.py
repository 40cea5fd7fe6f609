"""Deregistration.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
"""

import asyncio

from aiohttp import web

from tests.local.load_balancers.elbv2 import forward
from tests.local.load_balancers.world import World, run, until

DRAINING = {
    "State": "draining",
    "Reason": "Target.DeregistrationInProgress",
    "Description": "Target deregistration is in progress",
}


class Slow:
    """A target's answer that waits until the test lets it go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, _: web.BaseRequest) -> web.StreamResponse:
        await self.go.wait()
        return web.Response(text="late")


def test_requests_in_progress_finish_while_the_target_drains() -> None:
    """Elastic Load Balancing stops sending requests to targets that are deregistering. … waits 300
    seconds before completing the deregistration process, which can help in-flight requests to the
    target to complete."""

    async def scenario(world: World) -> None:
        slow = Slow()
        group, server = await world.simple(slow)
        request = asyncio.create_task(world.call())
        await until(lambda: len(server.requests) == 1)
        world.elbv2.deregister(group, server.host)
        await world.apply()
        assert world.health(group) == [DRAINING]
        assert (await world.call()).status == 503
        world.advance(50)
        slow.go.set()
        assert (await request).text == "late"
        assert len(server.requests) == 1

    run(scenario)


def test_the_state_is_draining_until_the_delay_has_elapsed() -> None:
    """Even though target deregistration is complete, the status of the target is displayed as
    draining until the deregistration delay timeout expires. After the timeout expires, the target
    transitions to an unused state."""

    async def scenario(world: World) -> None:
        group, server = await world.simple()
        world.elbv2.set(group, "deregistration_delay.timeout_seconds", 1000)
        world.elbv2.deregister(group, server.host)
        await world.apply()
        world.advance(990)
        await world.apply()
        assert world.health(group) == [DRAINING]
        world.advance(10)
        await until(lambda: world.health(group) == [])

    run(scenario)


def test_a_request_longer_than_the_delay_ends_with_a_502() -> None:
    """HTTP 502: The deregistration delay period elapsed for a request being handled by a target
    that was deregistered."""

    async def scenario(world: World) -> None:
        group, server = await world.simple(Slow())
        world.elbv2.set(group, "deregistration_delay.timeout_seconds", 20)
        request = asyncio.create_task(world.call())
        await until(lambda: len(server.requests) == 1)
        world.elbv2.deregister(group, server.host)
        await world.apply()
        world.advance(20)
        assert (await request).status == 502

    run(scenario)


def test_a_response_longer_than_the_delay_breaks_off() -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begin")
        await asyncio.Event().wait()
        return response

    async def scenario(world: World) -> None:
        group, server = await world.simple(endless)
        world.elbv2.set(group, "deregistration_delay.timeout_seconds", 20)
        raw = b"GET /web/ HTTP/1.1\r\nHost: a.com\r\n\r\n"
        request = asyncio.create_task(world.raw(raw))
        await until(lambda: len(server.requests) == 1)
        world.elbv2.deregister(group, server.host)
        await world.apply()
        world.advance(20)
        assert not (await request).endswith(b"0\r\n\r\n")

    run(scenario)


def test_a_request_has_its_time_also_if_the_delay_is_scaled() -> None:
    """Requests are not scaled: what AWS lets finish also finishes here."""

    async def scenario(world: World) -> None:
        slow = Slow()
        group, server = await world.simple(slow)
        world.elbv2.set(group, "deregistration_delay.timeout_seconds", 50)
        request = asyncio.create_task(world.call())
        await until(lambda: len(server.requests) == 1)
        world.elbv2.deregister(group, server.host)
        await world.apply()
        world.advance(45)
        await world.call()
        assert world.health(group) == [DRAINING]
        slow.go.set()
        assert (await request).text == "late"
        await until(lambda: world.health(group) == [])

    run(scenario, time_scale=0.1)


def test_a_request_longer_than_the_unscaled_delay_ends_with_a_502() -> None:
    async def scenario(world: World) -> None:
        group, server = await world.simple(Slow())
        world.elbv2.set(group, "deregistration_delay.timeout_seconds", 50)
        request = asyncio.create_task(world.call())
        await until(lambda: len(server.requests) == 1)
        world.elbv2.deregister(group, server.host)
        await world.apply()
        await until(lambda: world.health(group) == [DRAINING])
        world.advance(5)
        await world.call()
        assert not request.done()
        world.advance(45)
        assert (await request).status == 502

    run(scenario, time_scale=0.1)


def test_the_delay_is_scaled() -> None:
    async def scenario(world: World) -> None:
        group, server = await world.simple()
        world.elbv2.deregister(group, server.host)
        await world.apply()
        world.advance(30)
        await until(lambda: world.health(group) == [])

    run(scenario, time_scale=0.1)


def test_a_target_that_is_registered_again_is_checked_again() -> None:
    """If you register the same target again, it is a new target."""

    async def scenario(world: World) -> None:
        group, server = await world.simple()
        world.elbv2.deregister(group, server.host)
        await world.apply()
        world.elbv2.register(group, server.host, server.port)
        await world.ready(group)
        assert (await world.call()).status == 200
        assert len(server.checked) == 2
        world.advance(300)
        assert world.states(group) == ["healthy"]

    run(scenario)


def test_a_target_that_is_no_longer_listed_drains_at_once() -> None:
    """The initial state of a deregistering target is draining."""

    async def scenario(world: World) -> None:
        group, server = await world.simple()
        described = world.balancers.target_health(group, [])
        assert [each["TargetHealth"] for each in described] == [DRAINING]
        assert described[0]["Target"] == {"Id": server.host, "Port": server.port}

    run(scenario)


def test_a_target_of_an_unused_group_disappears_at_once() -> None:
    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        server = await world.target(group)
        await world.apply()
        world.elbv2.deregister(group, server.host)
        await world.apply()
        assert world.balancers.target_health(group) == []

    run(scenario)


def test_requests_go_on_when_the_rule_moves_to_another_group() -> None:
    """A weight that becomes 0 stops new requests, not those in progress."""

    async def scenario(world: World) -> None:
        slow = Slow()
        old, first = await world.simple(slow)
        new = world.elbv2.group("new")
        second = await world.target(new)
        request = asyncio.create_task(world.call())
        await until(lambda: len(first.requests) == 1)
        balancer = world.elbv2.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
        listener = world.elbv2.describe_listeners(balancer)["Listeners"][0]["ListenerArn"]
        world.elbv2.rule(listener, "default", forward((old, 0), (new, 1)))
        await world.ready(new)
        assert (await world.call()).text == "ok"
        slow.go.set()
        assert (await request).text == "late"
        assert (len(first.requests), len(second.requests)) == (1, 1)

    run(scenario)
