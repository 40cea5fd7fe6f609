"""The nodes of a load balancer, and how they learn changes.

AWS does not document when a node knows a change; `Nodes` says what is simulated.
"""

import asyncio

import aiohttp

from local.load_balancers.configuration import LoadBalancer
from local.load_balancers.nodes import Nodes
from tests.local.load_balancers.elbv2 import fixed
from tests.local.load_balancers.world import World, run


def balancer(state: str) -> LoadBalancer:
    return LoadBalancer("arn", "web", "web-1", state, ("a", "b"), ())


def known_at(seed: int, *moments: float) -> list[list[str]]:
    """What both nodes know at each moment after a change at 100, with 10 s of propagation."""
    nodes = Nodes(balancer("old"), 10, seed)
    nodes.change(100, balancer("new"))
    both = [nodes.next(), nodes.next()]
    return [sorted(node.known(moment).state for node in both) for moment in moments]


def test_one_node_learns_a_change_before_the_other() -> None:
    for seed in range(20):
        before, between, after = known_at(seed, 100, 102, 110)
        assert between == ["new", "old"]
        assert after == ["new", "new"]
        assert "old" in before


def test_the_same_seed_gives_the_same_times() -> None:
    moments = [100 + tenths / 10 for tenths in range(100)]
    assert known_at(7, *moments) == known_at(7, *moments)
    assert known_at(7, *moments) != known_at(8, *moments)


def test_a_later_change_is_never_overtaken_by_an_earlier_one() -> None:
    for seed in range(20):
        nodes = Nodes(balancer("0"), 10, seed)
        for number in range(1, 6):
            nodes.change(number, balancer(str(number)))
        for node in (nodes.next(), nodes.next()):
            seen = [int(node.known(tenths / 10).state) for tenths in range(200)]
            assert seen == sorted(seen)
            assert seen[-1] == 5


def test_connections_are_assigned_to_the_nodes_alternately() -> None:
    nodes = Nodes(balancer("old"), 10, 0)
    first, second = nodes.next(), nodes.next()
    assert [nodes.next(), nodes.next()] == [first, second]
    assert (first.zone, second.zone) == ("a", "b")


def test_both_versions_answer_while_a_change_propagates() -> None:
    async def scenario(world: World) -> None:
        listener = world.elbv2.listener(world.elbv2.balancer(), fixed(200, "old"))
        await world.apply()
        assert {(await world.call()).text for _ in range(4)} == {"old"}
        world.elbv2.rule(listener, "default", fixed(200, "new"))
        await world.apply()
        world.advance(200)
        assert [(await world.call()).text for _ in range(6)].count("new") == 3
        world.advance(1000)
        assert {(await world.call()).text for _ in range(4)} == {"new"}

    run(scenario, propagation=1000)


def test_a_connection_stays_with_its_node() -> None:
    async def scenario(world: World) -> None:
        listener = world.elbv2.listener(world.elbv2.balancer(), fixed(200, "old"))
        await world.apply()
        world.elbv2.rule(listener, "default", fixed(200, "new"))
        await world.apply()
        world.advance(200)
        seen = []
        for _ in range(2):
            async with aiohttp.ClientSession() as client:
                texts = set()
                for _ in range(3):
                    async with client.get(f"{world.balancers.url}/web/") as response:
                        texts.add(await response.text())
                seen.append(texts)
        assert sorted(map(list, seen)) == [["new"], ["old"]]

    run(scenario, propagation=1000)


def test_the_propagation_is_scaled() -> None:
    async def scenario(world: World) -> None:
        listener = world.elbv2.listener(world.elbv2.balancer(), fixed(200, "old"))
        await world.apply()
        world.elbv2.rule(listener, "default", fixed(200, "new"))
        await world.apply()
        world.advance(100)
        assert {(await world.call()).text for _ in range(4)} == {"new"}

    run(scenario, propagation=1000, time_scale=0.1)


def test_requests_to_many_load_balancers_reach_both_nodes_of_each() -> None:
    async def scenario(world: World) -> None:
        for name in ("one", "two"):
            world.elbv2.listener(world.elbv2.balancer(name), fixed(200))
        await world.apply()
        for _ in range(2):
            await asyncio.gather(world.call(name="one"))
            await asyncio.gather(world.call(name="two"))
        balancers = world.elbv2.describe_load_balancers()["LoadBalancers"]
        for each in balancers:
            dimension = each["LoadBalancerArn"].partition(":loadbalancer/")[2]
            for zone in ("us-east-1a", "us-east-1b"):
                of = {"LoadBalancer": dimension, "AvailabilityZone": zone}
                assert world.metric("HTTP_Fixed_Response_Count", **of) == [1]

    run(scenario)
