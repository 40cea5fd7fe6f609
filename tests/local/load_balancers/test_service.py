"""The server as the rest of the local stack uses it."""

from typing import Any

from tests.local.load_balancers.elbv2 import fixed
from tests.local.load_balancers.world import World, run, until


def test_the_url_of_a_load_balancer_reaches_its_targets() -> None:
    async def scenario(world: World) -> None:
        _, server = await world.simple()
        answer = await world.call("/a%20b?x=1")
        assert (answer.status, answer.text) == (200, "ok")
        assert server.paths == ["/a%20b?x=1"]
        assert world.balancers.url.startswith("http://127.0.0.1:")

    run(scenario)


async def answered(world: World, text: str) -> bool:
    """Whether the load balancer `web` answers with this text now."""
    return (await world.call()).text == text


def test_a_change_is_read_when_it_is_announced() -> None:
    async def scenario(world: World) -> None:
        await world.apply()
        world.elbv2.listener(world.elbv2.balancer(), fixed(200, "new"))
        world.balancers.changed()
        while not await answered(world, "new"):
            world.advance(1)

    run(scenario)


def test_a_change_that_nobody_announces_is_read_at_the_next_poll() -> None:
    async def scenario(world: World) -> None:
        for _ in range(2):  # the second one waits for the reading at the start
            await world.apply()
        world.elbv2.listener(world.elbv2.balancer(), fixed(200, "new"))
        for _ in range(3):
            assert not await answered(world, "new")
        while not await answered(world, "new"):
            world.advance(100)

    run(scenario, poll=1000)


def test_an_error_of_the_api_ends_nothing() -> None:
    """A load balancer may be deleted between two calls of one reading."""

    async def scenario(world: World) -> None:
        listener = world.elbv2.listener(world.elbv2.balancer(), fixed(200, "old"))
        await world.apply()
        failed: list[str] = []
        describe = world.elbv2.describe_listeners

        def missing(**arguments: Any) -> dict[str, Any]:
            failed.append(arguments["LoadBalancerArn"])
            raise LookupError("LoadBalancerNotFound")

        world.elbv2.describe_listeners = missing
        world.balancers.changed()
        await until(lambda: bool(failed))
        assert await answered(world, "old")
        world.elbv2.describe_listeners = describe
        world.elbv2.rule(listener, "default", fixed(200, "new"))
        while not await answered(world, "new"):
            world.advance(1)

    run(scenario)


def test_a_load_balancer_of_the_same_name_is_a_new_one() -> None:
    """A deleted load balancer can be created again; its nodes know the new one at once."""

    async def scenario(world: World) -> None:
        first = world.elbv2.balancer()
        world.elbv2.listener(first, fixed(200, "first"))
        await world.apply()
        assert await answered(world, "first")
        world.elbv2.delete(first)
        await world.apply()
        assert (await world.call()).status == 404
        world.elbv2.listener(world.elbv2.balancer(), fixed(200, "second"))
        await world.apply()
        assert await answered(world, "second")

    run(scenario, propagation=1000)
