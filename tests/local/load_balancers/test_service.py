"""The server as the rest of the local stack uses it."""

from tests.local.load_balancers.world import World, run


def test_the_url_of_a_load_balancer_reaches_its_targets() -> None:
    async def scenario(world: World) -> None:
        _, server = await world.simple()
        answer = await world.call("/a%20b?x=1")
        assert (answer.status, answer.text) == (200, "ok")
        assert server.paths == ["/a%20b?x=1"]
        assert world.balancers.url.startswith("http://127.0.0.1:")

    run(scenario)
