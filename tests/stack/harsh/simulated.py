"""The whole stack behind the proxy: Slipway's functions call the simulated AWS."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.emulator import client
from local.gateway import wire
from local.stack import Stack, running
from tests.support.simulated_aws.aws import Answer, Call, Layer, Rule, ask
from tests.support.simulated_aws.clock import ScaledClock
from tests.support.simulated_aws.eventual import Eventual
from tests.support.simulated_aws.interfaces import NetworkInterfaces
from tests.support.simulated_aws.listener_rules import ListenerRules
from tests.support.simulated_aws.load_balancers import LoadBalancers
from tests.support.simulated_aws.ministack import Ministack
from tests.support.simulated_aws.order import Order
from tests.support.simulated_aws.proxy import Proxy
from tests.support.simulated_aws.real_tasks import RealTasks
from tests.support.simulated_aws.targets import Met
from tests.support.simulated_aws.throttling import Throttling
from tests.support.simulated_aws.timeline import Timeline
from tests.support.simulated_aws.times import Times

# A load balancer is active after 3 to 6 s.
SCALE = 0.03
# Longer than the scale requires: each check runs a function on a core that the tasks also need.
WAIT_SCALE = "0.1"
SEED = 1


class Emulator:
    """The stack's gateway without the proxy, for the rules' own calls."""

    def __init__(self) -> None:
        self.stack: Stack | None = None
        self._clients: dict[str, Any] = {}

    def raw(self, service: str) -> Any:
        """A boto3 client that calls the gateway directly."""
        assert self.stack
        if service not in self._clients:
            self._clients[service] = client(service, self.stack)
        return self._clients[service]

    def ask(self, call: Call) -> Answer:
        """The gateway's response to a call. Raises `AwsError`."""
        return ask(self.raw(call.service), call)


@dataclass(frozen=True)
class Simulated:
    """A running stack, and the proxy in front of its AWS."""

    stack: Stack
    proxy: Proxy


class OnlyFor(Rule):
    """Applies a rule only to calls that name one deployment."""

    def __init__(self, deployment: str, rule: Rule) -> None:
        self._deployment, self._rule = deployment, rule

    def before(self, call: Call) -> Answer | None:
        return self._rule.before(call) if self._is_meant(call) else None

    def after(self, call: Call, answer: Answer) -> Answer:
        return self._rule.after(call, answer) if self._is_meant(call) else answer

    def _is_meant(self, call: Call) -> bool:
        return self._deployment in json.dumps(call.params, default=str)


@contextlib.contextmanager
def simulated_stack(state: Path) -> Iterator[Simulated]:
    """Run the stack during a `with` block."""
    emulator = Emulator()
    proxy = Proxy(_rules(emulator))
    proxy.start()
    with contextlib.ExitStack() as held:
        held.callback(proxy.stop)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL_FOR_FUNCTIONS", proxy.url)
            patch.setenv("SFN_WAIT_SCALE", WAIT_SCALE)
            loading = threading.Thread(target=wire.load, args=("ec2", "ecs", "elbv2", "logs"))
            loading.start()
            stack = held.enter_context(running(state))
            loading.join()
        emulator.stack = stack
        proxy.forward_to(stack.aws_endpoint_url)
        yield Simulated(stack, proxy)


def never_probed(address: str, port: int, path: str) -> Met:
    """The stack's own load balancers check the targets."""
    raise NotImplementedError


def _rules(emulator: Emulator) -> list[Rule]:
    clock, times = ScaledClock(SCALE), Times(SEED)
    timeline, interfaces = Timeline(clock), NetworkInterfaces()
    balancers = LoadBalancers(
        emulator.raw, timeline, times, interfaces, never_probed, emulator_keeps_targets=True
    )
    kept: list[Rule] = [
        interfaces,
        balancers,
        RealTasks(emulator.raw),
        Ministack(emulator.raw),
    ]
    within = Layer(kept)
    order = Order(lambda call: within.handle(call, emulator.ask))
    rules = ListenerRules(lambda call: within.handle(call, emulator.ask))
    return [Throttling(clock, on=True), Eventual(clock, times), order, rules, *kept]
