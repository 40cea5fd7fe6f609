"""Handles the calls of ELBv2: checks them, relays them, and completes the answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode
from xml.sax.saxutils import escape

from botocore.exceptions import ClientError

from local.emulator import Endpoint, client
from local.gateway import wire
from local.gateway.access import credential
from local.gateway.elbv2.checks import Checks
from local.gateway.elbv2.kept import Kept
from local.gateway.messages import HttpAnswer, HttpRequest
from local.gateway.relay import Forward
from local.gateway.wire import Answer, AwsError, Call
from local.load_balancers.health import NOT_REGISTERED

READS = ("Describe", "Get")
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
DEFAULTS = {
    "DescribeTargetGroupAttributes": {
        "deregistration_delay.timeout_seconds": "300",
        "load_balancing.algorithm.type": "round_robin",
        "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
        "slow_start.duration_seconds": "0",
        "stickiness.app_cookie.cookie_name": "",
        "stickiness.app_cookie.duration_seconds": "86400",
        "stickiness.enabled": "false",
        "stickiness.lb_cookie.duration_seconds": "86400",
        "stickiness.type": "lb_cookie",
    },
    "DescribeLoadBalancerAttributes": {
        "client_keep_alive.seconds": "3600",
        "deletion_protection.enabled": "false",
        "idle_timeout.timeout_seconds": "60",
        "load_balancing.cross_zone.enabled": "true",
        "routing.http.desync_mitigation_mode": "defensive",
        "routing.http.drop_invalid_header_fields.enabled": "false",
        "routing.http.preserve_host_header.enabled": "false",
        "routing.http2.enabled": "true",
    },
}


class LoadBalancers(Protocol):
    """What the data plane knows: see `local.load_balancers`."""

    def changed(self) -> None:
        """Read the configuration again."""
        ...

    def target_health(
        self, target_group_arn: str, registered: Iterable[Mapping[str, Any]] | None = None
    ) -> list[dict[str, Any]]:
        """Return TargetHealthDescriptions."""
        ...


class Elbv2:
    """The part of the gateway that completes ELBv2."""

    def __init__(self, emulator: Endpoint, escapes: bool) -> None:
        """Args:
        emulator: MiniStack.
        escapes: whether request bodies may be changed; a verified signature forbids it.
        """
        self._kept, self._escapes = Kept(), escapes
        # What MiniStack answers, completed, but with the registered targets for target health.
        self.direct = client("elbv2", emulator)
        self.direct.meta.events.register(
            "after-call.elastic-load-balancing-v2", self._complete_directly
        )
        self._checks = Checks(self.direct, self._kept)
        self.load_balancers: LoadBalancers | None = None

    def wants(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        """See `Handler`."""
        found = credential(path, headers)
        return found is not None and found[1] == "elasticloadbalancing"

    async def handle(self, request: HttpRequest, forward: Forward) -> HttpAnswer:
        """See `Handler`."""
        call = wire.read_request(request)
        if call is None:
            return await forward(request)
        if call.operation.startswith(READS):
            answered = await forward(request)
            if answered.failed:
                return answered
            try:
                return await self._completed(call, wire.read_answer(call, answered), answered)
            except ClientError as error:  # something was deleted since MiniStack answered
                return wire.write_error(call, _aws_error(error))
        return await self._changed(call, request, forward)

    async def _changed(self, call: Call, request: HttpRequest, forward: Forward) -> HttpAnswer:
        try:
            await asyncio.to_thread(self._checks.check, call.operation, call.params)
        except AwsError as error:
            return wire.write_error(call, error)
        except (ClientError, KeyError):
            pass  # something is missing, which MiniStack reports itself
        gone = await asyncio.to_thread(self._listeners_of_deleted, call)
        answered = await forward(self._escaped(request))
        if answered.failed:
            return answered
        answer = wire.read_answer(call, answered)
        self._kept.record(call.operation, call.params, answer)
        for listener in gone:
            with contextlib.suppress(ClientError):  # another caller deleted it
                await asyncio.to_thread(self.direct.delete_listener, ListenerArn=listener)
        if self.load_balancers:
            self.load_balancers.changed()
        return await self._completed(call, answer, answered)

    async def _completed(self, call: Call, answer: Answer, answered: HttpAnswer) -> HttpAnswer:
        before = repr(answer)
        self._kept.complete(answer)
        if call.operation == "DescribeTargetGroups" and "LoadBalancerArn" in call.params:
            groups = await asyncio.to_thread(self.direct.describe_target_groups)
            wanted = call.params["LoadBalancerArn"]
            answer["TargetGroups"] = [
                each for each in groups["TargetGroups"] if wanted in each["LoadBalancerArns"]
            ]
        if call.operation == "DescribeTargetHealth" and self.load_balancers:
            answer["TargetHealthDescriptions"] = await self._health(call, answer)
        _add_defaults(call.operation, answer)
        return answered if repr(answer) == before else wire.write_answer(call, answer)

    async def _health(self, call: Call, answer: Answer) -> list[Answer]:
        assert self.load_balancers
        arn, asked = call.params["TargetGroupArn"], call.params.get("Targets")
        listed = answer
        if asked:  # MiniStack lists only these
            describe = self.direct.describe_target_health
            listed = await asyncio.to_thread(describe, TargetGroupArn=arn)
        registered = [each["Target"] for each in listed["TargetHealthDescriptions"]]
        known = self.load_balancers.target_health(arn, registered)
        if not asked:
            return known
        return [described for target in asked for described in _of_target(target, known)]

    def _listeners_of_deleted(self, call: Call) -> list[str]:
        """Return the listeners that go with a load balancer. MiniStack would keep them."""
        if call.operation != "DeleteLoadBalancer":
            return []
        try:
            found = self.direct.describe_listeners(LoadBalancerArn=call.params["LoadBalancerArn"])
        except ClientError:  # it is gone already
            return []
        return [each["ListenerArn"] for each in found["Listeners"]]

    def _escaped(self, request: HttpRequest) -> HttpRequest:
        """Escape the values that MiniStack puts into its XML as they are."""
        if not self._escapes or not any(mark in request.body for mark in (b"%26", b"%3C", b"%3E")):
            return request
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True)
        escaped = [
            (name, value if _is_escaped_by_the_emulator(name) else escape(value))
            for name, value in pairs
        ]
        return replace(request, body=urlencode(escaped).encode())

    def _complete_directly(self, parsed: Answer, model: Any, **_: Any) -> None:
        self._kept.complete(parsed)
        _add_defaults(model.name, parsed)


def _is_escaped_by_the_emulator(name: str) -> bool:
    return (
        name.startswith("Transforms")
        or name.endswith(("RedirectConfig.Query", "HttpHeaderName"))
        or "HttpHeaderConfig.Values" in name
    )


def _of_target(target: Mapping[str, Any], known: list[Answer]) -> list[Answer]:
    """Return the descriptions of one target that a caller asks for.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
    """
    found = [
        each
        for each in known
        if each["Target"]["Id"] == target["Id"]
        and target.get("Port", each["Target"]["Port"]) == each["Target"]["Port"]
    ]
    if found:
        return found
    return [{"Target": dict(target), "TargetHealth": NOT_REGISTERED.answer()}]


def _add_defaults(operation: str, answer: Answer) -> None:
    if operation in DEFAULTS:
        known = {each["Key"]: each.get("Value", "") for each in answer["Attributes"]}
        merged = {**DEFAULTS[operation], **known}
        answer["Attributes"] = [{"Key": key, "Value": value} for key, value in merged.items()]


def _aws_error(error: ClientError) -> AwsError:
    answer = error.response
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    return AwsError(answer["Error"]["Code"], answer["Error"]["Message"], status)
