"""An account that behaves like AWS, with Slipway's settings, table and clock around it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, tzinfo

import pytest
from moto import mock_aws

from chalicelib import aws, clock
from chalicelib.settings import settings
from tests.simulated_aws.account import ACCOUNT_ID, REGION, REGISTRY, Account
from tests.simulated_aws.clock import SimulatedClock

STACK, TABLE = "slipway-test", "slipway-test-table"
ENVIRONMENT = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "TABLE_NAME": TABLE,
    "STACK_NAME": STACK,
    "STATE_MACHINE_ARN": f"arn:aws:states:{REGION}:{ACCOUNT_ID}:stateMachine:slipway",
    "TASK_ROLE_ARN": f"arn:aws:iam::{ACCOUNT_ID}:role/task",
    "EXECUTION_ROLE_ARN": f"arn:aws:iam::{ACCOUNT_ID}:role/execution",
    "ALLOWED_REGISTRIES": REGISTRY,
    # moto's images of EC2 take half a second to load, and nobody asks for them.
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
}


class SimulatedDatetime:
    """Stands in for the name `datetime` in `chalicelib.clock`."""

    def __init__(self, simulated: SimulatedClock) -> None:
        self._simulated = simulated

    def now(self, zone: tzinfo) -> datetime:
        """The simulated moment."""
        return self._simulated.now().astimezone(zone)


@pytest.fixture
def simulated_clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedClock:
    """A clock that the test moves, and Slipway's with it."""
    simulated = SimulatedClock()
    monkeypatch.setattr(clock, "datetime", SimulatedDatetime(simulated))
    return simulated


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Slipway's settings, and moto in AWS's place."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    with mock_aws():
        yield
    settings.cache_clear()


@pytest.fixture
def account(
    environment: None, simulated_clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> Account:
    """An account in which everything is seen at once, and Slipway's clients for it."""
    made = Account(simulated_clock, eventual=False)
    monkeypatch.setattr(aws, "client", made.client)
    return made
