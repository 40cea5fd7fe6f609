"""MiniStack, the agent, and an ECS service behind a load balancer, without Slipway."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import processes, sample
from local.emulator import Emulator
from local.fargate_agent import Agent
from tests.local.service import Service


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A MiniStack without Slipway."""
    os.environ[processes.MARK] = uuid.uuid4().hex
    running = Emulator(tmp_path_factory.mktemp("emulator"))
    yield running
    running.stop()
    processes.end_marked(os.environ.pop(processes.MARK), grace=1)


@pytest.fixture(scope="session")
def agent_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log file of the agent."""
    return tmp_path_factory.mktemp("agent") / "agent.log"


# Not of session scope: its thread would call AWS while other modules' tests count their calls.
@pytest.fixture(scope="module")
def agent(emulator: Emulator, agent_log: Path) -> Iterator[Agent]:
    """An agent that runs all tasks of the emulator."""
    running = Agent(emulator.url, sample.train(), agent_log)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def service(emulator: Emulator, agent: Agent) -> Iterator[Service]:
    """A running ECS service of one sample task."""
    running = Service(emulator.url)
    running.create(running.register_task_definition())
    yield running
    running.delete()
