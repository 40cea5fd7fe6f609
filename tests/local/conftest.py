"""MiniStack, the agent, and an ECS service behind a load balancer, without Slipway."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import processes, sample
from local.emulator import Aws, Emulator, Keys, new_keys
from local.fargate_agent import Agent
from local.gateway.process import Gateway
from tests.local.service import Service


@pytest.fixture(scope="session")
def keys() -> Keys:
    """The credentials of the emulator and the gateway."""
    return new_keys()


@pytest.fixture(scope="session")
def gateway(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway without Slipway. It serves when its emulator runs."""
    os.environ[processes.MARK] = uuid.uuid4().hex
    running = Gateway(tmp_path_factory.mktemp("gateway"), keys)
    yield running
    running.stop()
    processes.end_marked(os.environ.pop(processes.MARK), grace=1)


@pytest.fixture(scope="session")
def emulator(
    gateway: Gateway, keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Emulator]:
    """The MiniStack behind the gateway."""
    running = Emulator(tmp_path_factory.mktemp("emulator"), keys, gateway.aws.aws_endpoint_url)
    gateway.connect(running)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def aws(gateway: Gateway, emulator: Emulator) -> Aws:
    """The gateway's endpoint."""
    return gateway.aws


@pytest.fixture(scope="session")
def agent_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log file of the agent."""
    return tmp_path_factory.mktemp("agent") / "agent.log"


# Not of session scope: its thread would call AWS while other modules' tests count their calls.
@pytest.fixture(scope="module")
def agent(emulator: Emulator, aws: Aws, agent_log: Path) -> Iterator[Agent]:
    """An agent that runs all tasks."""
    running = Agent(emulator.aws, aws, sample.train(), agent_log)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def service(gateway: Gateway, agent: Agent) -> Iterator[Service]:
    """A running ECS service of one sample task."""
    running = Service(gateway.aws, gateway.load_balancers_url)
    running.create(running.register_task_definition())
    yield running
    running.delete()
