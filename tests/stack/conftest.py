"""Clients of the stacks that all tests of the session share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import Stack
from tests.stack.client import Client
from tests.stack.simulated import Simulated, simulated_stack


@pytest.fixture(scope="session")
def api(stack: Stack) -> Client:
    """Slipway's API with the scopes read and deploy."""
    return Client(stack)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """A second stack, whose functions call the simulated AWS."""
    state: Path = tmp_path_factory.mktemp("simulated") / "stack"
    with simulated_stack(state) as started:
        yield started


@pytest.fixture(scope="session")
def harsh(simulated: Simulated) -> Client:
    """The API of the second stack."""
    return Client(simulated.stack)
