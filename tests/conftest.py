"""Fixtures for all tests: nothing starts before a test asks for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import Stack, running


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole of Slipway on the local stack, one for the test session."""
    state: Path = tmp_path_factory.mktemp("local") / "stack"
    with running(state) as started:
        yield started
