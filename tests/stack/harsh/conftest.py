"""A second stack, whose functions call the simulated AWS, with its delays and errors."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.client import Client
from tests.stack.harsh.simulated import Simulated, simulated_stack


@pytest.fixture(scope="package")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """The stack, and the proxy in front of its AWS."""
    state: Path = tmp_path_factory.mktemp("simulated") / "stack"
    with simulated_stack(state) as started:
        yield started


@pytest.fixture(scope="package")
def harsh(simulated: Simulated) -> Client:
    """The API of this stack."""
    return Client(simulated.stack)
