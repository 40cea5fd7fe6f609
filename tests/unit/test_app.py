"""A function's imports at startup: its own modules, and those that every function needs."""

import os
import subprocess
import sys

import pytest

from tests.support.project import ROOT

# Modules of the steps, of single endpoints or of chat, which a request does not need.
STEPS = {"chalicelib.workflow.steps", "chalicelib.workflow.reconcile"}
RARELY = {
    "chalicelib.api.validation",
    "chalicelib.usecases.validation",
    "chalicelib.chat.commands",
    "chalicelib.chat.grammar",
    "slack_sdk",
    "standardwebhooks",
    "requests",
}


def imported(handler: str) -> set[str]:
    """The modules that `import app` loads in the function with this handler."""
    loaded = subprocess.run(
        [sys.executable, "-c", "import app, sys; print(*sys.modules)"],
        cwd=ROOT,
        env={**os.environ, "_HANDLER": handler},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(loaded.stdout.split())


@pytest.mark.parametrize("handler", ["app.app", "app.authorizer", "app.chat_worker"])
def test_a_request_handler_starts_without_the_steps(handler: str) -> None:
    loaded = imported(handler)
    assert not loaded & (STEPS | RARELY | {"chalicelib.resources"})
    assert not {name for name in loaded if name.startswith("chalicelib.workflow.preflight")}


def test_a_step_function_imports_its_step_at_startup() -> None:
    loaded = imported("app.network")
    assert loaded >= STEPS
    assert not loaded & RARELY


@pytest.mark.parametrize("handler", ["app.app", "app.chat_worker", "app.network"])
def test_the_tables_client_is_created_at_startup(handler: str) -> None:
    made = (
        "import app; from chalicelib.platform import aws; print(aws.client.cache_info().currsize)"
    )
    process = subprocess.run(
        [sys.executable, "-c", made],
        cwd=ROOT,
        env={**os.environ, "_HANDLER": handler},
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.strip() == "1"


def test_log_records_reach_lambdas_json_handler() -> None:
    logger = (
        "import app, logging; logger = logging.getLogger('slipway');"
        "print(logger.isEnabledFor(logging.INFO), logger.propagate, logger.handlers)"
    )
    process = subprocess.run(
        [sys.executable, "-c", logger], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert process.stdout.strip() == "True True []"
