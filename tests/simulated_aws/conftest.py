"""A simulated AWS account, with Slipway's settings, table and clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from chalicelib.platform import aws, clock
from chalicelib.platform.settings import settings
from tests.support.in_process import ENVIRONMENT
from tests.support.simulated_aws.account import Account
from tests.support.simulated_aws.clock import SimulatedClock, SimulatedDatetime


@pytest.fixture
def simulated_clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedClock:
    """A clock that the test advances, and that Slipway uses too."""
    simulated = SimulatedClock()
    monkeypatch.setattr(clock, "datetime", SimulatedDatetime(simulated))
    return simulated


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Slipway's settings, and moto instead of AWS."""
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
    """An account without eventual consistency, and Slipway's clients for it."""
    made = Account(simulated_clock, eventual=False)
    monkeypatch.setattr(aws, "client", made.client)
    return made
