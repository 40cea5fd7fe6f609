"""A world for tests: the functions' environment, moto, simulated time, and a load balancer.

The load balancer responds when AWS's would respond.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import logging
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from moto import mock_aws

from chalicelib.domain import naming
from chalicelib.platform import aws, clock
from chalicelib.platform.settings import settings
from chalicelib.store import deployments as store
from chalicelib.workflow import smoke_test
from chalicelib.workflow.image import image_config
from tests.faults.world import World
from tests.support.in_process import ENVIRONMENT, REGISTRY, make_table
from tests.support.simulated_aws.account import REPOSITORY, Account
from tests.support.simulated_aws.clock import SimulatedClock, SimulatedDatetime

SERVICES = (
    "acm",
    "application-autoscaling",
    "dynamodb",
    "ec2",
    "ecr",
    "ecs",
    "elbv2",
    "logs",
    "resourcegroupstaggingapi",
    "route53",
    "service-quotas",
    "stepfunctions",
)
UNSET = (
    "VPC_ID",
    "SUBNET_IDS",
    "ASSIGN_PUBLIC_IP",
    "MAX_TASKS",
    "MAX_DEPLOYMENTS_PER_OWNER",
    "MAX_TASKS_PER_OWNER",
    "MAX_VCPU_PER_OWNER",
    "AWS_PROFILE",
)
ID_ALPHABET = naming.ID_ALPHABET


def image(tag: str) -> str:
    """The reference of an image in the account's registry."""
    return f"{REGISTRY}/{REPOSITORY}:{tag}"


@contextlib.contextmanager
def opened(seed: int = 0) -> Iterator[World]:
    """An AWS account with Slipway and the images 1 and 2, at the start of simulated time."""
    with pytest.MonkeyPatch.context() as patch:
        own = {"LOAD_BALANCER_URL": "http://{name}", "ALLOWED_DOMAINS": "*.example.com"}
        for name, value in {**ENVIRONMENT, **own}.items():
            patch.setenv(name, value)
        for name in UNSET:
            patch.delenv(name, raising=False)
        settings.cache_clear()
        time = SimulatedClock()
        patch.setattr(clock, "datetime", SimulatedDatetime(time))
        numbers = itertools.count()
        patch.setattr(naming, "new_id", lambda name: f"{name}-{_suffix(next(numbers))}")
        # Conflicts of nested runs end immediately, so there is nothing to wait for.
        patch.setattr(store, "time", SimpleNamespace(sleep=lambda seconds: None))
        disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            with mock_aws():
                account = Account(time, seed=seed)
                for service in SERVICES:
                    _ = account.raw(service).exceptions  # built once for all worlds
                patch.setattr(aws, "client", account.client)
                patch.setattr(smoke_test, "http", _http(account))
                patch.setattr(image_config, "http", account.image_configs.http())
                make_table(account.raw("dynamodb"))
                for tag in ("1", "2"):
                    account.push(tag)
                yield World(account, time, seed=seed, certificate=account.furnish_address())
        finally:
            logging.disable(disabled)
            settings.cache_clear()


def _suffix(number: int) -> str:
    """Six characters of the ID's alphabet, different for each number."""
    base = len(ID_ALPHABET)
    return "".join(ID_ALPHABET[number // base**place % base] for place in range(5, -1, -1))


def _http(account: Account) -> SimpleNamespace:
    """Replaces the module `http` in the smoke test."""

    class Connection(http.client.HTTPConnection):
        """A connection to the load balancer of this host name. It responds immediately."""

        def connect(self) -> None:
            self.sock, self._far = socket.socketpair()

        def getresponse(self) -> http.client.HTTPResponse:
            self._far.recv(65536)
            answers = account.answers(self.host)
            body = json.dumps({"recommendations": ["Heat"]} if answers else {}).encode()
            status = b"200 OK" if answers else b"503 Service Unavailable"
            if answers.fixed:
                body = answers.fixed["MessageBody"].encode()
                status = f"{answers.fixed['StatusCode']} Fixed".encode()
            length = f"Content-Length: {len(body)}\r\n\r\n".encode()
            self._far.sendall(b"HTTP/1.1 " + status + b"\r\n" + length + body)
            return super().getresponse()

        def close(self) -> None:
            super().close()
            if hasattr(self, "_far"):
                self._far.close()

    client = SimpleNamespace(
        HTTPConnection=Connection,
        HTTPSConnection=Connection,
        HTTPException=http.client.HTTPException,
    )
    return SimpleNamespace(client=client)
