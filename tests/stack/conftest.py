"""The client of the stack that all tests of the session share."""

import pytest

from local.stack import Stack
from tests.stack.client import Client


@pytest.fixture(scope="session")
def api(stack: Stack) -> Client:
    """Slipway's API with the scopes read and deploy."""
    return Client(stack)
