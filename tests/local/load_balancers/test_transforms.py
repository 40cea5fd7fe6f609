"""Transforms of rules.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-transforms.html
"""

import pytest

from local.load_balancers.reading import rule
from local.load_balancers.request import Request
from local.load_balancers.transforms import TransformFailed, transformed
from tests.local.load_balancers.elbv2 import fixed, forward
from tests.local.load_balancers.test_conditions import path
from tests.local.load_balancers.world import World, run


def rewrite(regex: str, replace: str, kind: str = "url-rewrite") -> dict[str, object]:
    key = "UrlRewriteConfig" if kind == "url-rewrite" else "HostHeaderRewriteConfig"
    return {"Type": kind, key: {"Rewrites": [{"Regex": regex, "Replace": replace}]}}


def applied(transform: dict[str, object], url: str, host: str = "example.com") -> str:
    """The host and URL after a transform."""
    answer = {"RuleArn": "r", "Actions": [fixed(200)], "Transforms": [transform]}
    before, _, query = url.partition("?")
    request = Request("GET", host, before, query, (), "127.0.0.1")
    after = transformed(rule(answer).transforms, request)
    return f"{after.host}{after.path}" + (f"?{after.query}" if after.query else "")


@pytest.mark.parametrize(
    ("regex", "replace", "url", "after"),
    [
        ("^/api/(.+)$", "/$1", "/api/a/b", "/a/b"),
        ("^/api/(.+)$", "/$1", "/other", "/other"),
        # "You can modify the path or the query string": both are one text for the pattern.
        ("^/dp/([A-Za-z0-9]+)/?$", "/product.php?id=$1", "/dp/B0", "/product.php?id=B0"),
        ("^/my-id(/.*)?$", "$1", "/my-id/predict?uid=1", "/predict?uid=1"),
        ("^/my-id/?(.*)$", "/$1", "/my-id", "/"),
        ("uid=(\\d+)", "user=$1", "/a?uid=7&x=1", "/a?user=7&x=1"),
        ("^/(?<first>[a-z]+)/(?<rest>.*)$", "/${rest}/${first}", "/a/b", "/b/a"),
        ("^/(a)(x)?$", "/$1-${2}", "/a", "/a-"),
        ("/a", "/b", "/a%20b", "/b%20b"),
    ],
)
def test_a_url_rewrite_replaces_what_the_pattern_matches(
    regex: str, replace: str, url: str, after: str
) -> None:
    """The transform uses a regular expression to match a pattern in the request URL and then
    replaces it with a replacement string. If there is no pattern match, the original request is
    sent to the target."""
    assert applied(rewrite(regex, replace), url) == f"example.com{after}"


def test_a_host_rewrite_changes_the_host_only() -> None:
    """This transform will rewrite the host header https://mywebsite-example.com/project-a as
    https://internal.dev.example.myweb.com/project-a."""
    transform = rewrite("^mywebsite-(.+).com$", "internal.dev.$1.myweb.com", "host-header-rewrite")
    after = applied(transform, "/project-a", "mywebsite-example.com")
    assert after == "internal.dev.example.myweb.com/project-a"
    with_port = applied(transform, "/project-a", "mywebsite-example.com:8080")
    assert with_port == "internal.dev.example.myweb.com:8080/project-a"


@pytest.mark.parametrize(
    "transform",
    [
        rewrite("^/a", "b"),
        rewrite("^/a", "/$7"),
        rewrite("^/a", "/with space"),
        rewrite("^.*$", "", "host-header-rewrite"),
        rewrite("^.*$", "a/b", "host-header-rewrite"),
    ],
)
def test_a_result_that_is_no_url_or_host_fails(transform: dict[str, object]) -> None:
    with pytest.raises(TransformFailed):
        applied(transform, "/a")


def test_the_target_sees_the_rewritten_request_and_the_rules_the_original() -> None:
    """Rewriting a request does not change the routing decision made when evaluating the rule
    conditions."""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        server = await world.target(group)
        listener = world.elbv2.listener(world.elbv2.balancer(), fixed(404))
        transforms = [rewrite("^/a(/.*)?$", "$1"), rewrite(".*", "b.com", "host-header-rewrite")]
        world.elbv2.rule(listener, 1, forward(group), [path("/a", "/a/*")], transforms)
        world.elbv2.rule(listener, 2, fixed(400), [path("/predict")])
        await world.ready(group)
        assert (await world.call("/a/predict?uid=1")).status == 200
        method, target, headers = server.requests[0]
        assert (method, target, headers["Host"]) == ("GET", "/predict?uid=1", "b.com")

    run(scenario)


def test_a_transform_that_fails_is_an_error_500() -> None:
    """If there is a pattern match but the transform fails, we return an HTTP 500 error."""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        server = await world.target(group)
        balancer = world.elbv2.balancer()
        listener = world.elbv2.listener(balancer, fixed(404))
        world.elbv2.rule(listener, 1, forward(group), [path("/*")], [rewrite("^/a", "")])
        await world.ready(group)
        answer = await world.call("/a")
        assert (answer.status, answer.headers["Server"]) == (500, "awselb/2.0")
        assert (await world.call("/a/b")).status == 200
        assert server.paths == ["/b"]
        dimension = balancer.partition(":loadbalancer/")[2]
        assert world.metric("HTTPCode_ELB_500_Count", LoadBalancer=dimension) == [1]

    run(scenario)
