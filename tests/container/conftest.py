"""The real model, trained once, and recommend.py, which serves it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.sample import report_of, train
from tests.container.service import Service, running


@dataclass(frozen=True)
class Trained:
    """The file and the output of `python train.py`."""

    model: Path
    output: str


@pytest.fixture(scope="session")
def trained() -> Trained:
    """The model of the bundled ratings, which the local stacks of the tests serve as well."""
    model = train()
    return Trained(model, report_of(model).read_text())


@pytest.fixture(scope="session")
def service(trained: Trained) -> Iterator[Service]:
    """recommend.py with the trained model."""
    with running(trained.model, TASK_ID="task-1") as started:
        yield started
