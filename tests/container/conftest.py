"""The real model, trained once, and recommend.py, which serves it."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.sample import train
from tests.container.service import CONTAINER, Service, running


@dataclass(frozen=True)
class Trained:
    """The file and the output of `python train.py`."""

    model: Path
    output: str


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The model of the bundled ratings."""
    model = tmp_path_factory.mktemp("trained") / "model.npz"
    command = [sys.executable, str(CONTAINER / "train.py"), "--out", str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Trained(model, done.stdout)


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """recommend.py with the trained model, which the local stacks of the tests also serve."""
    with running(train(), TASK_ID="task-1") as started:
        yield started
