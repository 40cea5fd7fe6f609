"""How a target is chosen.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html
"""

import asyncio

from aiohttp import web

from local.load_balancers.selection import Turns
from local.load_balancers.targets import Target
from tests.local.load_balancers.elbv2 import forward
from tests.local.load_balancers.test_draining import Slow
from tests.local.load_balancers.world import World, run, until


def test_round_robin_gives_each_target_its_turn() -> None:
    """By default, the round robin routing algorithm is used."""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        servers = [await world.target(group) for _ in range(3)]
        world.elbv2.listener(world.elbv2.balancer(), forward(group))
        await world.ready(group)
        for _ in range(12):
            await world.call()
        assert [len(server.requests) for server in servers] == [4, 4, 4]

    run(scenario)


def test_weights_are_kept_over_any_number_of_choices() -> None:
    turns, chosen = Turns(), []
    for _ in range(100):
        chosen.append(turns.take({"old": 90, "new": 10, "none": 0}))
    assert (chosen.count("old"), chosen.count("new"), chosen.count("none")) == (90, 10, 0)
    assert all(chosen[start : start + 10].count("new") == 1 for start in range(0, 100, 10))
    assert Turns().take({"none": 0}) is None
    assert Turns().take({}) is None


def test_least_outstanding_requests_prefers_the_idle_target() -> None:
    """load_balancing.algorithm.type: round_robin, least_outstanding_requests, or
    weighted_random."""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        world.elbv2.set(group, "load_balancing.algorithm.type", "least_outstanding_requests")
        slow = Slow()
        busy, idle = await world.target(group, slow), await world.target(group)
        world.elbv2.listener(world.elbv2.balancer(), forward(group))
        await world.ready(group)
        waiting = [asyncio.create_task(world.call())]
        await until(lambda: len(busy.requests) + len(idle.requests) == 1)
        if not busy.requests:  # the idle target was first; the next one is busy's
            waiting.append(asyncio.create_task(world.call()))
            await until(lambda: len(busy.requests) == 1)
        before = len(idle.requests)
        for _ in range(5):
            await world.call()
        assert (len(busy.requests), len(idle.requests) - before) == (1, 5)
        slow.go.set()
        await asyncio.gather(*waiting)

    run(scenario)


def test_weighted_random_uses_all_targets() -> None:
    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        world.elbv2.set(group, "load_balancing.algorithm.type", "weighted_random")
        servers = [await world.target(group) for _ in range(2)]
        world.elbv2.listener(world.elbv2.balancer(), forward(group))
        await world.ready(group)
        for _ in range(20):
            await world.call()
        assert all(server.requests for server in servers)

    run(scenario)


def test_the_share_of_a_target_in_slow_start_rises_linearly() -> None:
    """The load balancer linearly increases the number of requests that it can send to a target in
    slow start mode."""
    target = Target("127.0.0.1", 80)
    assert target.share(1000) == 1
    target.slow_start = (1000, 100)
    assert [target.share(1000 + after) for after in (25, 50, 75)] == [0.25, 0.5, 0.75]
    assert 0 < target.share(1000) < 0.05
    assert target.share(1100) == 1
    assert target.slow_start is None


def test_a_new_target_beside_a_warm_one_starts_slowly() -> None:
    """Newly registered targets enter slow start mode only when there is at least one healthy
    target that is not in slow start mode. A target … exits slow start mode when the configured slow
    start duration period elapses."""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models", HealthCheckIntervalSeconds=300)
        world.elbv2.set(group, "slow_start.duration_seconds", 900)
        warm = [await world.target(group) for _ in range(2)]
        world.elbv2.listener(world.elbv2.balancer(), forward(group))
        await world.ready(group)
        for _ in range(10):
            await world.call()
        # "… register targets using a single registration operation, these targets do not enter
        # slow start mode."
        assert all(4 <= len(server.requests) <= 6 for server in warm)
        cold = await world.target(group)
        await world.ready(group)
        for _ in range(20):
            await world.call()
        assert len(cold.requests) <= 2
        world.advance(900)
        before = len(cold.requests)
        for _ in range(30):
            await world.call()
        assert 9 <= len(cold.requests) - before <= 11

    run(scenario)


async def _app_session(_: web.BaseRequest) -> web.StreamResponse:
    response = web.Response(text="ok")
    response.headers.add("Set-Cookie", "SESSION=abc; Path=/")
    return response


def cookies(answer: object) -> dict[str, str]:
    """The cookies that a response sets, as a client would send them back."""
    lines = [line.partition(";")[0] for line in answer.headers.getall("Set-Cookie", [])]
    return dict(line.split("=", 1) for line in lines)


async def sticky_world(world: World, **attributes: str) -> tuple[str, list]:
    """A group with three targets, and with attributes; "__" stands for "."."""
    group = world.elbv2.group("models")
    for key, value in attributes.items():
        world.elbv2.set(group, key.replace("__", "."), value)
    servers = [await world.target(group) for _ in range(3)]
    world.elbv2.listener(world.elbv2.balancer(), forward(group))
    await world.ready(group)
    return group, servers


def test_a_client_with_the_cookie_stays_with_its_target() -> None:
    """When the load balancer receives a request from a client that contains the cookie, it detects
    it and routes the request to the same target.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/sticky-sessions.html
    """

    async def scenario(world: World) -> None:
        _, servers = await sticky_world(world, stickiness__enabled="true")
        first = await world.call()
        sent = cookies(first)
        assert sent.keys() == {"AWSALB", "AWSALBCORS"}
        for _ in range(6):
            answer = await world.call(cookies=sent)
        assert sorted(len(server.requests) for server in servers) == [0, 0, 7]
        # "resets the expiry of the cookies it generates after every request"
        assert cookies(answer).keys() == {"AWSALB", "AWSALBCORS"}
        plain, cors = first.headers.getall("Set-Cookie")
        assert "; Expires=Tue, 08 Jan 2030" in plain  # "its own expiry of 7 days"
        assert "SameSite=None" in cors

    run(scenario)


def test_a_cookie_of_a_deregistered_target_selects_a_new_one() -> None:
    """If the cookie is present but cannot be decoded, or if it refers to a target that was
    deregistered or is unhealthy, the load balancer selects a new target."""

    async def scenario(world: World) -> None:
        group, servers = await sticky_world(world, stickiness__enabled="true")
        sent = cookies(await world.call())
        chosen = next(server for server in servers if server.requests)
        world.elbv2.deregister(group, chosen.host)
        await world.apply()
        renewed = cookies(await world.call(cookies=sent))
        assert renewed["AWSALB"] != sent["AWSALB"]
        assert len(chosen.requests) == 1
        for garbage in ("garbage", "", renewed["AWSALB"][:-4] + "AAA="):
            assert (await world.call(cookies={"AWSALB": garbage})).status == 200

    run(scenario)


def test_a_cookie_is_stale_after_its_duration() -> None:
    """After this time period expires, the load balancer-generated cookie is considered stale."""

    async def scenario(world: World) -> None:
        attributes = {
            "stickiness__enabled": "true",
            "stickiness__lb_cookie__duration_seconds": "100",
        }
        _, servers = await sticky_world(world, **attributes)
        sent = cookies(await world.call())
        world.advance(101)
        for _ in range(3):
            await world.call(cookies=sent)
        assert sorted(len(server.requests) for server in servers) != [0, 0, 4]

    run(scenario)


def test_an_application_cookie_makes_sticky_only_with_both_cookies() -> None:
    """In subsequent requests, clients have to send back both cookies to maintain stickiness."""

    async def scenario(world: World) -> None:
        attributes = {
            "stickiness__enabled": "true",
            "stickiness__type": "app_cookie",
            "stickiness__app_cookie__cookie_name": "SESSION",
        }
        _, servers = await sticky_world(world, **attributes)
        assert cookies(await world.call()) == {}  # the target set no cookie
        for server in servers:
            server.handle = _app_session
            server.requests.clear()
        sent = cookies(await world.call())
        assert sent.keys() == {"SESSION", "AWSALBAPP-0"}
        for _ in range(5):
            await world.call(cookies=sent)
        assert sorted(len(server.requests) for server in servers) == [0, 0, 6]
        for server in servers:
            server.requests.clear()
        for _ in range(3):
            await world.call(cookies={"AWSALBAPP-0": sent["AWSALBAPP-0"]})
        assert sorted(len(server.requests) for server in servers) != [0, 0, 3]

    run(scenario)


def test_a_client_stays_with_its_target_group() -> None:
    """When the load balancer receives a request that matches a rule with target group stickiness
    enabled and contains the cookie, the request is routed to the target group specified in the
    cookie.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-listeners.html
    """

    async def scenario(world: World) -> None:
        old, new = world.elbv2.group("old"), world.elbv2.group("new")
        first, second = await world.target(old), await world.target(new)
        action = forward((old, 1), (new, 0), sticky=1000)
        listener = world.elbv2.listener(world.elbv2.balancer(), action)
        await world.ready(old, new)
        sent = cookies(await world.call())
        assert sent.keys() == {"AWSALBTG", "AWSALBTGCORS"}
        world.elbv2.rule(listener, "default", forward((old, 1), (new, 9), sticky=1000))
        await world.apply()
        for _ in range(5):
            await world.call(cookies=sent)
        assert (len(first.requests), len(second.requests)) == (6, 0)
        # "Requests that do not contain the stickiness cookies are routed based on the weight."
        for _ in range(10):
            await world.call()
        assert 8 <= len(second.requests) <= 10  # each node counts its own requests

    run(scenario)
