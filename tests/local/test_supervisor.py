"""A complete stack with a small app: it starts, and nothing remains after its end."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from botocore.exceptions import ClientError
from standardwebhooks import Webhook

from local import callbacks, processes, sample, stack
from local.emulator import client, free_port, open_url
from local.processes import wait_until
from tests.local.project import write_project

SECONDS = 60.0
# An owner that starts a stack, reports it, and keeps it until the owner is killed.
OWNER = """
import sys
from pathlib import Path
from local import stack
with stack.running(Path(sys.argv[1]), Path(sys.argv[2])):
    print("up", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project."""
    return write_project(tmp_path_factory.mktemp("small") / "project")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """The folder of a stack, which is stopped at the end of every test."""
    yield tmp_path / "stack"
    stack.down(tmp_path / "stack")


def mark_of(state: Path) -> str:
    return (state / "mark").read_text()


def settings(running: stack.Stack) -> dict[str, str | None]:
    """The settings of the functions for Slack and webhooks."""
    with open_url(f"{running.api_url}/settings", timeout=10) as answer:
        return dict(json.load(answer))


def shared(running: stack.Stack) -> dict[str, str]:
    """Return the SecureString parameters of the small project's stack, by the end of their name."""
    ssm = client("ssm", running)
    found = ssm.get_parameters_by_path(Path="/of/slipway", WithDecryption=True)["Parameters"]
    assert {parameter["Type"] for parameter in found} == {"SecureString"}
    return {parameter["Name"].rpartition("/")[2]: parameter["Value"] for parameter in found}


def test_a_stack_responds_and_leaves_nothing(
    state: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("SLACK_API_URL", "RETRY_TIME_SCALE", *callbacks.HANDED_OVER):
        monkeypatch.delenv(variable, raising=False)
    with stack.running(state, project) as running:
        mark = mark_of(state)
        with open_url(f"{running.api_url}/health", timeout=10) as answer:
            assert json.load(answer) == {"endpoint": running.aws_endpoint_url}
        assert running.token == "token-of-demo"
        assert running.admin_token == "token-of-admin"
        assert stat.S_IMODE((state / "stack.json").stat().st_mode) == 0o600
        assert set(running.pids.values()) <= processes.marked(mark)
        assert set(running.pids) == {"supervisor", "gateway", "emulator", "moto"}
        foreign = replace(running, aws_access_key_id="AKIAFOREIGN")
        with pytest.raises(ClientError, match="security token"):
            client("ssm", foreign).describe_parameters()
        assert settings(running) == {
            "CALLBACKS_ON_LOOPBACK": "true",
            "SLACK_API_URL": callbacks.UNUSED,
            "RETRY_TIME_SCALE": None,
        }
        assert shared(running) == {
            "slack-signing-secret": running.slack_signing_secret,
            "webhook-secrets": running.webhook_secret,
        }
        assert Webhook(running.webhook_secret).sign("msg_1", datetime.now(UTC), "{}")
    assert processes.marked(mark) == set()
    assert not state.exists()
    with pytest.raises(OSError):
        open_url(f"{running.aws_endpoint_url}/_ministack/health", timeout=2)


def test_the_state_machine_runs_and_the_sample_image_is_there(state: Path, project: Path) -> None:
    with stack.running(state, project) as running:
        stepfunctions = client("stepfunctions", running)
        (machine,) = stepfunctions.list_state_machines()["stateMachines"]
        execution = stepfunctions.start_execution(
            stateMachineArn=machine["stateMachineArn"], input='{"seen": true}'
        )["executionArn"]
        wait_until(
            lambda: (
                stepfunctions.describe_execution(executionArn=execution)["status"] == "SUCCEEDED"
            ),
            SECONDS,
        )
        images = client("ecr", running).describe_images(repositoryName="recommend")
        tags = {tag for image in images["imageDetails"] for tag in image.get("imageTags", [])}
        assert tags == set(sample.TAGS)


def test_the_environment_sets_port_endpoint_and_slack_server(
    state: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    endpoint = f"http://localhost:{port}"
    monkeypatch.setenv("LOCAL_AWS_PORT", str(port))
    monkeypatch.setenv("AWS_ENDPOINT_URL_FOR_FUNCTIONS", endpoint)
    chosen = {"SLACK_API_URL": "http://127.0.0.1:1/api/", "RETRY_TIME_SCALE": "0.001"}
    incoming = "http://127.0.0.1:1/services/T0/B0/x"
    for variable, value in chosen.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("LOCAL_SLACK_BOT_TOKEN", "xoxb-local")
    monkeypatch.setenv("LOCAL_SLACK_INCOMING_WEBHOOK", incoming)
    with stack.running(state, project) as running:
        assert running.aws_endpoint_url == f"http://127.0.0.1:{port}"
        assert settings(running) == {"CALLBACKS_ON_LOOPBACK": "true", **chosen}
        assert shared(running) == {
            "slack-signing-secret": running.slack_signing_secret,
            "webhook-secrets": running.webhook_secret,
            "slack-bot-token": "xoxb-local",
            "slack-incoming-webhook": incoming,
        }
        with open_url(f"{running.api_url}/health", timeout=10) as answer:
            assert json.load(answer) == {"endpoint": endpoint}


def test_two_stacks_run_side_by_side(state: Path, project: Path, tmp_path: Path) -> None:
    with stack.running(state, project) as one, stack.running(tmp_path / "b", project) as other:
        assert one.aws_endpoint_url != other.aws_endpoint_url
        with open_url(f"{other.api_url}/health", timeout=10) as answer:
            assert answer.status == 200


def test_a_second_up_reports_the_running_stack(state: Path, project: Path) -> None:
    with (
        stack.running(state, project),
        pytest.raises(stack.StackError, match="already running"),
    ):
        stack.start(state, project)


def test_the_stack_stops_when_its_owner_dies(state: Path, project: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(state), str(project)],
        cwd=stack.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == b"up\n"
        mark = mark_of(state)
        owner.kill()
    wait_until(lambda: not processes.marked(mark), SECONDS, "the stack outlives its owner")
    assert not state.exists()


def test_down_stops_a_stack_whose_supervisor_was_killed(state: Path, project: Path) -> None:
    stack.start(state, project).detach()
    mark, running = mark_of(state), stack.load(state)
    os.kill(running.pids["supervisor"], signal.SIGKILL)
    assert stack.down(state)
    assert processes.marked(mark) == set()
    assert not state.exists()


def test_a_new_stack_replaces_the_files_of_a_dead_one(state: Path, project: Path) -> None:
    state.mkdir()
    (state / "mark").write_text("of-a-dead-stack")
    (state / "stack.json").write_text("{}")
    with stack.running(state, project) as running:
        assert running.pids["emulator"]


def test_a_stack_that_fails_to_deploy_reports_the_reason_and_leaves_nothing(
    state: Path, tmp_path: Path
) -> None:
    broken = write_project(tmp_path / "broken")
    template = broken / "infra/template.yaml"
    resources = yaml.safe_load(template.read_text())
    del resources["Outputs"]["TableName"]
    template.write_text(yaml.safe_dump(resources))
    with pytest.raises(stack.StackError, match="TableName"):
        stack.start(state, broken)
    assert not state.exists()


def test_down_without_a_stack_does_nothing(state: Path) -> None:
    assert stack.down(state) is False


def test_down_keeps_a_folder_that_is_not_a_stack(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(stack.StackError):
        stack.down(tmp_path)
    assert (tmp_path / "precious").exists()
