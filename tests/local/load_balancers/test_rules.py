"""Rules, fixed responses and redirects.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-listeners.html
"""

from typing import Any

import pytest

from tests.local.load_balancers.elbv2 import fixed, forward
from tests.local.load_balancers.test_conditions import header, path
from tests.local.load_balancers.world import World, run


def redirect(status: int = 301, **parts: str) -> dict[str, Any]:
    return {"Type": "redirect", "RedirectConfig": {"StatusCode": f"HTTP_{status}", **parts}}


def test_the_lowest_priority_value_is_evaluated_first() -> None:
    """Rules are evaluated in priority order, from the lowest value to the highest value."""

    async def scenario(world: World) -> None:
        listener = world.elbv2.listener(world.elbv2.balancer(), fixed(404, "default"))
        world.elbv2.rule(listener, 10, fixed(200, "ten"), [path("/*")])
        world.elbv2.rule(listener, 9, fixed(200, "nine"), [path("/a*")])
        await world.apply()
        assert (await world.call("/abc")).text == "nine"
        assert (await world.call("/b")).text == "ten"

    run(scenario)


def test_the_default_rule_is_performed_if_no_conditions_are_met() -> None:
    """If the conditions for none of a listener's rules are met, then the action for the default
    rule is performed."""

    async def scenario(world: World) -> None:
        listener = world.elbv2.listener(world.elbv2.balancer(), fixed(404, "default"))
        both = [path("/a"), header("X-A", "1")]
        world.elbv2.rule(listener, 1, fixed(200, "both"), both)
        await world.apply()
        assert (await world.call("/a")).text == "default"
        assert (await world.call("/a", headers={"X-A": "1"})).text == "both"

    run(scenario)


def test_a_fixed_response_has_the_configured_status_type_and_body() -> None:
    """Return a 2XX, 4XX, or 5XX response code and an optional message."""

    async def scenario(world: World) -> None:
        action = fixed(503, '{"paused": true}', "application/json")
        world.elbv2.listener(world.elbv2.balancer(), action)
        await world.apply()
        answer = await world.call()
        assert (answer.status, answer.text) == (503, '{"paused": true}')
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.headers["Server"] == "awselb/2.0"
        head = await world.call(method="HEAD")
        assert (head.status, head.body) == (503, b"")

    run(scenario)


@pytest.mark.parametrize(
    ("parts", "location"),
    [
        # "Any components that you do not modify retain their original values."
        ({"Path": "/new/#{path}"}, "http://example.com:80/new/a/b?x=1"),
        ({"Protocol": "HTTPS", "Port": "443"}, "https://example.com:443/a/b?x=1"),
        # "You can reuse URI components … the hostname to "example.#{host}"".
        ({"Host": "new.#{host}"}, "http://new.example.com:80/a/b?x=1"),
        ({"Query": "#{query}&value=xyz"}, "http://example.com:80/a/b?x=1&value=xyz"),
        ({"Query": ""}, "http://example.com:80/a/b"),
        (
            {"Path": "/#{host}/#{port}", "Query": "p=#{protocol}&q=#{path}"},
            "http://example.com:80/example.com/80?p=HTTP&q=a/b",
        ),
    ],
)
def test_a_redirect_reuses_the_parts_of_the_url(parts: dict[str, str], location: str) -> None:
    async def scenario(world: World) -> None:
        world.elbv2.listener(world.elbv2.balancer(), redirect(302, **parts))
        await world.apply()
        answer = await world.call("/a/b?x=1", headers={"Host": "example.com"})
        assert (answer.status, answer.headers["Location"]) == (302, location)
        assert "<h1>302 Found</h1>" in answer.text

    run(scenario)


def test_an_https_listener_redirects_to_itself_by_its_port() -> None:
    """HTTPS to HTTPS. Locally, the port in the Host header identifies the listener."""

    async def scenario(world: World) -> None:
        balancer = world.elbv2.balancer()
        world.elbv2.listener(balancer, redirect(Protocol="HTTPS", Port="443"))
        world.elbv2.listener(balancer, redirect(Path="/b"), 443, "HTTPS")
        await world.apply()
        http = await world.call("/a", headers={"Host": "example.com"})
        assert http.headers["Location"] == "https://example.com:443/a"
        https = await world.call("/a", headers={"Host": "example.com:443"})
        assert https.headers["Location"] == "https://example.com:443/b"

    run(scenario)


def test_a_request_by_the_local_url_has_the_load_balancers_own_name() -> None:
    """The client of an AWS load balancer sends its DNS name."""

    async def scenario(world: World) -> None:
        listener = world.elbv2.listener(world.elbv2.balancer(), fixed(404))
        host = {"Field": "host-header", "Values": ["web-1.us-east-1.elb.amazonaws.com"]}
        world.elbv2.rule(listener, 1, fixed(200), [host])
        await world.apply()
        assert (await world.call()).status == 200

    run(scenario)


@pytest.mark.parametrize("host", ["example.com:8080", "web-1.us-east-1.elb.amazonaws.com:443"])
def test_a_port_without_a_listener_accepts_no_connection(host: str) -> None:
    """A listener checks for connection requests on its port; nothing else does."""

    async def scenario(world: World) -> None:
        world.elbv2.listener(world.elbv2.balancer(), fixed(200))
        await world.apply()
        request = f"GET /web/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        assert await world.raw(request.encode()) == b""

    run(scenario)


def test_a_load_balancer_that_is_provisioning_accepts_no_connection() -> None:
    """After the load balancer is fully set up and ready to route traffic, its state is active."""

    async def scenario(world: World) -> None:
        balancer = world.elbv2.balancer(state="provisioning")
        world.elbv2.listener(balancer, fixed(200))
        await world.apply()
        request = b"GET /web/ HTTP/1.1\r\nHost: a.com\r\nConnection: close\r\n\r\n"
        assert await world.raw(request) == b""
        world.elbv2.activate(balancer)
        await world.apply()
        assert (await world.raw(request)).startswith(b"HTTP/1.1 200 OK\r\n")

    run(scenario)


def test_an_unknown_load_balancer_is_named_in_the_answer() -> None:
    async def scenario(world: World) -> None:
        await world.apply()
        answer = await world.call(name="nobody")
        assert (answer.status, answer.text) == (404, "No load balancer is named 'nobody'.\n")

    run(scenario)


def test_an_action_that_is_not_simulated_says_so() -> None:
    async def scenario(world: World) -> None:
        action = {"Type": "authenticate-oidc", "Order": 1}
        listener = world.elbv2.listener(world.elbv2.balancer(), fixed(200))
        rule = world.elbv2.rule(listener, 1, action, [path("/*")])
        world.elbv2.describe_rules(ListenerArn=listener)
        assert rule
        await world.apply()
        answer = await world.call()
        assert answer.status == 501
        assert "authenticate-oidc" in answer.text

    run(scenario)


def test_a_weight_of_zero_gets_no_requests() -> None:
    """Each target group weight is a value from 0 to 999. Requests … are distributed to these
    target groups based on their weights."""

    async def scenario(world: World) -> None:
        old, new = world.elbv2.group("old"), world.elbv2.group("new")
        first, second = await world.target(old), await world.target(new)
        listener = world.elbv2.listener(world.elbv2.balancer(), forward((old, 100), (new, 0)))
        await world.ready(old, new)
        for _ in range(10):
            await world.call()
        assert (len(first.requests), len(second.requests)) == (10, 0)
        world.elbv2.rule(listener, "default", forward((old, 0), (new, 100)))
        await world.apply()
        for _ in range(10):
            await world.call()
        assert (len(first.requests), len(second.requests)) == (10, 10)
        world.elbv2.rule(listener, "default", forward((old, 0), (new, 0)))
        await world.apply()
        assert (await world.call()).status == 503

    run(scenario)


def test_twice_the_weight_gets_twice_the_requests() -> None:
    """If you specify two target groups, one with a weight of 10 and the other with a weight of 20,
    the target group with a weight of 20 receives twice as many requests."""

    async def scenario(world: World) -> None:
        ten, twenty = world.elbv2.group("ten"), world.elbv2.group("twenty")
        first, second = await world.target(ten), await world.target(twenty)
        world.elbv2.listener(world.elbv2.balancer(), forward((ten, 10), (twenty, 20)))
        await world.ready(ten, twenty)
        for _ in range(30):
            await world.call()
        assert (len(first.requests), len(second.requests)) == (10, 20)

    run(scenario)
