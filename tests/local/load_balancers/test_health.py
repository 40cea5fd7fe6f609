"""Health checks.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
"""

import asyncio

import pytest
from aiohttp import web

from local.load_balancers import health
from local.load_balancers.configuration import HealthCheck, ranges
from local.load_balancers.health import Checked
from tests.local.load_balancers.elbv2 import fixed, forward
from tests.local.load_balancers.world import World, ok, run, until


async def not_found(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=404)


async def never(_: web.BaseRequest) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


class TestThresholds:
    CHECK = HealthCheck(healthy_threshold=3, unhealthy_threshold=2)

    def test_a_new_target_is_healthy_after_one_passed_check(self) -> None:
        """After your target is registered, it must pass one health check to be considered
        healthy."""
        target = Checked()
        assert target.health == health.REGISTERING
        target.begin()
        assert target.health == health.CHECKING
        target.record(health.HEALTHY, self.CHECK)
        assert target.health == health.HEALTHY

    def test_a_new_target_that_fails_is_initial_until_the_threshold(self) -> None:
        """The load balancer is still sending the target the minimum number of health checks
        required to determine its health status."""
        target = Checked()
        target.begin()
        target.record(health.FAILED, self.CHECK)
        assert target.health == health.CHECKING
        target.record(health.mismatch(404), self.CHECK)
        assert target.health == health.mismatch(404)

    def test_a_healthy_target_needs_failures_in_a_row_to_become_unhealthy(self) -> None:
        """The number of consecutive failed health checks required before considering a target
        unhealthy."""
        target = Checked()
        target.record(health.HEALTHY, self.CHECK)
        for result in (health.TIMED_OUT, health.HEALTHY, health.TIMED_OUT):
            target.record(result, self.CHECK)
        assert target.health == health.HEALTHY
        target.record(health.TIMED_OUT, self.CHECK)
        assert target.health == health.TIMED_OUT

    def test_an_unhealthy_target_needs_successes_in_a_row_to_become_healthy(self) -> None:
        """The number of consecutive successful health checks required before considering an
        unhealthy target healthy."""
        target = Checked()
        for result in (health.FAILED, health.FAILED, health.HEALTHY, health.FAILED):
            target.record(result, self.CHECK)
        for _ in range(2):
            target.record(health.HEALTHY, self.CHECK)
            assert target.health == health.FAILED
        target.record(health.HEALTHY, self.CHECK)
        assert target.health == health.HEALTHY

    def test_an_unhealthy_target_shows_the_result_of_its_latest_check(self) -> None:
        target = Checked()
        for result in (health.FAILED, health.FAILED, health.mismatch(500)):
            target.record(result, self.CHECK)
        assert target.health == health.mismatch(500)


@pytest.mark.parametrize(
    ("codes", "status", "accepted"),
    [
        ("200", 200, True),
        ("200", 201, False),
        ("200,202", 202, True),
        ("200,202", 201, False),
        ("200-299", 250, True),
        ("200-299", 300, False),
        ("200-299,404", 404, True),
        ("200-499", 499, True),
    ],
)
def test_the_matcher_lists_codes_and_ranges(codes: str, status: int, accepted: bool) -> None:
    """You can specify multiple values (for example, "200,202") or a range of values (for example,
    "200-299")."""
    assert HealthCheck(codes=ranges(codes)).accepts(status) is accepted


def test_the_request_is_a_get_of_the_path_with_the_targets_address() -> None:
    """The host header value contains the private IP address of the target, followed by the health
    check port. The User-Agent is set to ELB-HealthChecker/2.0."""

    async def scenario(world: World) -> None:
        _, server = await world.simple(HealthCheckPath="/ping?full=1")
        method, path, headers = server.checked[0]
        assert (method, path) == ("GET", "/ping?full=1")
        assert headers["Host"] == f"{server.host}:{server.port}"
        assert headers["User-Agent"] == "ELB-HealthChecker/2.0"
        assert headers["Connection"] == "close"

    run(scenario)


def test_a_healthy_target_has_neither_reason_nor_description() -> None:
    """If the target state is healthy, a reason code is not provided."""

    async def scenario(world: World) -> None:
        group, server = await world.simple()
        assert world.balancers.target_health(group) == [
            {
                "Target": {"Id": server.host, "Port": server.port},
                "HealthCheckPort": str(server.port),
                "TargetHealth": {"State": "healthy"},
            }
        ]

    run(scenario)


def test_a_wrong_status_is_reported_with_its_code() -> None:
    """Target.ResponseCodeMismatch: Health checks failed with these codes: [code]"""

    async def scenario(world: World) -> None:
        group, server = await world.simple()
        server.checks = not_found
        await world.check_again(server)
        assert world.health(group) == [{"State": "healthy"}]
        await world.check_again(server)
        await until(lambda: world.states(group) == ["unhealthy"])
        assert world.health(group) == [
            {
                "State": "unhealthy",
                "Reason": "Target.ResponseCodeMismatch",
                "Description": "Health checks failed with these codes: [404]",
            }
        ]

    run(scenario)


def test_no_answer_within_the_timeout_is_reported_as_a_timeout() -> None:
    """The amount of time, in seconds, during which no response from a target means a failed health
    check. Target.Timeout: Request timed out"""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models", HealthCheckTimeoutSeconds=5, UnhealthyThresholdCount=2)
        server = await world.target(group)
        server.checks = never
        world.elbv2.listener(world.elbv2.balancer(), forward(group))
        await world.apply()
        await until(lambda: bool(server.checked))
        assert world.health(group)[0]["Reason"] == "Elb.InitialHealthChecking"
        world.advance(5)
        await world.check_again(server)
        world.advance(5)
        await until(lambda: world.states(group) == ["unhealthy"])
        assert world.health(group) == [
            {"State": "unhealthy", "Reason": "Target.Timeout", "Description": "Request timed out"}
        ]

    run(scenario)


@pytest.mark.parametrize(
    "answer",
    [
        b"\x15\x03\x01\x00\x02\x02\x0a",  # a TLS alert
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",  # an HTTP/2 frame
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"",
    ],
)
def test_a_malformed_answer_is_a_failed_check(answer: bytes) -> None:
    """The load balancer received an error while establishing a connection to the target or the
    target response was malformed. Target.FailedHealthChecks: Health checks failed"""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models", UnhealthyThresholdCount=1)
        await world.raw_target(group, b"", health=answer)
        world.elbv2.listener(world.elbv2.balancer(), forward(group))
        await world.apply()
        await until(lambda: world.states(group) == ["unhealthy"])
        assert world.health(group) == [
            {
                "State": "unhealthy",
                "Reason": "Target.FailedHealthChecks",
                "Description": "Health checks failed",
            }
        ]

    run(scenario)


def test_a_refused_connection_is_a_failed_check() -> None:
    async def scenario(world: World) -> None:
        group = world.elbv2.group("models", UnhealthyThresholdCount=1)
        server = await world.target(group)
        await server.stop()
        world.elbv2.listener(world.elbv2.balancer(), forward(group))
        await world.apply()
        await until(lambda: world.states(group) == ["unhealthy"])
        assert world.health(group)[0]["Reason"] == "Target.FailedHealthChecks"

    run(scenario)


def test_the_interval_passes_between_two_checks() -> None:
    """The load balancer sends a health check request to each registered target every
    HealthCheckIntervalSeconds seconds."""

    async def scenario(world: World) -> None:
        _, server = await world.simple(HealthCheckIntervalSeconds=300)
        world.advance(290)
        await world.call()  # gives the checks a chance to run
        assert len(server.checked) == 1
        world.advance(10)
        await until(lambda: len(server.checked) == 2)

    run(scenario)


def test_the_checks_may_use_another_port() -> None:
    """The port the load balancer uses when performing health checks on targets. The default is to
    use the port on which each target receives traffic."""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models", UnhealthyThresholdCount=1)
        server = await world.target(group)
        world.elbv2.modify(group, HealthCheckPort=str(server.port))
        world.elbv2.deregister(group, server.host)
        world.elbv2.register(group, server.host, 9)
        world.elbv2.listener(world.elbv2.balancer(), forward(group))
        await world.ready(group)
        description = world.balancers.target_health(group)[0]
        assert description["Target"]["Port"] == 9
        assert description["HealthCheckPort"] == str(server.port)

    run(scenario)


def test_targets_of_an_unused_group_are_not_checked() -> None:
    """Target.NotInUse: Target group is not configured to receive traffic from the load balancer"""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        server = await world.target(group)
        listener = world.elbv2.listener(world.elbv2.balancer(), fixed(404))
        await world.apply()
        assert world.health(group) == [
            {
                "State": "unused",
                "Reason": "Target.NotInUse",
                "Description": "Target group is not configured to receive traffic from "
                "the load balancer",
            }
        ]
        assert server.checked == []
        rule = world.elbv2.rule(listener, 1, forward((group, 0)))
        await world.ready(group)
        world.elbv2.delete(rule)
        await world.apply()
        assert world.states(group) == ["unused"]

    run(scenario)


def test_the_checks_begin_when_the_load_balancer_is_active() -> None:
    """initial: The load balancer is in the process of registering the target or performing the
    initial health checks on the target."""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        server = await world.target(group)
        balancer = world.elbv2.balancer(state="provisioning")
        world.elbv2.listener(balancer, forward(group))
        await world.apply()
        world.advance(60)
        await world.apply()
        assert world.health(group)[0]["Reason"] == "Elb.RegistrationInProgress"
        assert server.checked == []
        world.elbv2.activate(balancer)
        await world.ready(group)

    run(scenario)


def test_a_target_that_was_just_registered_is_initial() -> None:
    """Elb.RegistrationInProgress: Target registration is in progress"""

    async def scenario(world: World) -> None:
        group, server = await world.simple()
        listed = [{"Id": server.host, "Port": server.port}, {"Id": "127.0.0.9", "Port": 80}]
        new = world.balancers.target_health(group, listed)[1]
        assert new["Target"] == {"Id": "127.0.0.9", "Port": 80}
        assert new["TargetHealth"] == {
            "State": "initial",
            "Reason": "Elb.RegistrationInProgress",
            "Description": "Target registration is in progress",
        }

    run(scenario)


def test_without_health_checks_the_state_is_unavailable_and_requests_are_routed() -> None:
    """Target.HealthCheckDisabled: Health checks are disabled"""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models", HealthCheckEnabled=False)
        server = await world.target(group)
        world.elbv2.listener(world.elbv2.balancer(), forward(group))
        await world.apply()
        assert world.health(group) == [
            {
                "State": "unavailable",
                "Reason": "Target.HealthCheckDisabled",
                "Description": "Health checks are disabled",
            }
        ]
        assert (await world.call()).status == 200
        assert server.checked == []

    run(scenario)


def test_requests_go_to_healthy_targets_only() -> None:
    """Each load balancer node routes requests only to the healthy targets."""

    async def scenario(world: World) -> None:
        group, healthy = await world.simple(UnhealthyThresholdCount=1)
        unhealthy = await world.target(group)
        unhealthy.checks = not_found
        await world.apply()
        await until(lambda: world.states(group) == ["healthy", "unhealthy"])
        for _ in range(4):
            await world.call()
        assert (len(healthy.requests), len(unhealthy.requests)) == (4, 0)

    run(scenario)


def test_a_group_with_unhealthy_targets_only_fails_open() -> None:
    """If a target group contains only unhealthy registered targets, the load balancer routes
    requests to all those targets, regardless of their health status."""

    async def scenario(world: World) -> None:
        group, first = await world.simple(UnhealthyThresholdCount=1)
        second = await world.target(group)
        first.checks = second.checks = not_found
        await world.apply()
        await world.check_again(first)
        await until(lambda: world.states(group) == ["unhealthy", "unhealthy"])
        for _ in range(4):
            assert (await world.call()).status == 200
        assert (len(first.requests), len(second.requests)) == (2, 2)

    run(scenario)


def test_an_initial_target_gets_no_requests() -> None:
    """Before a target can receive requests from the load balancer, it must pass the initial health
    checks."""

    async def scenario(world: World) -> None:
        group = world.elbv2.group("models")
        server = await world.target(group)
        server.checks = never
        world.elbv2.listener(world.elbv2.balancer(), forward(group))
        await world.apply()
        assert (await world.call()).status == 503
        server.checks = ok
        assert server.requests == []

    run(scenario)


@pytest.mark.parametrize(("key", "value"), [("count", 2), ("percentage", 60)])
def test_below_the_minimum_of_healthy_targets_all_targets_get_requests(
    key: str, value: int
) -> None:
    """If the number of healthy targets is below this value, send traffic to all targets, including
    unhealthy targets.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
    """

    async def scenario(world: World) -> None:
        group, healthy = await world.simple(UnhealthyThresholdCount=1)
        minimum = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
        world.elbv2.set(group, f"{minimum}.{key}", value)
        unhealthy = await world.target(group)
        unhealthy.checks = not_found
        await world.apply()
        await until(lambda: world.states(group) == ["healthy", "unhealthy"])
        for _ in range(4):
            await world.call()
        assert (len(healthy.requests), len(unhealthy.requests)) == (2, 2)

    run(scenario)


def test_a_target_outside_the_local_stack_is_never_connected() -> None:
    async def scenario(world: World) -> None:
        group = world.elbv2.group("models", UnhealthyThresholdCount=1)
        world.elbv2.register(group, "192.0.2.1", 80)
        world.elbv2.listener(world.elbv2.balancer(), forward(group))
        await world.apply()
        await until(lambda: world.states(group) == ["unhealthy"])
        assert world.health(group)[0]["Reason"] == "Elb.InternalError"
        assert (await world.call()).status == 502

    run(scenario)
