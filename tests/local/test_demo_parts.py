"""The output and the counts of the demo, and the output of `make up`."""

import io
from pathlib import Path
from typing import Any

from local.__main__ import what_to_try
from local.inspection import count_transitions
from local.progress import Progress
from local.stack import Stack


class Terminal(io.StringIO):
    """Output that is a terminal."""

    def isatty(self) -> bool:
        return True


def deployment(status: str, step: dict[str, Any]) -> dict[str, Any]:
    steps = [{"name": "create_cluster", "message": None, **step}]
    return {"status": status, "operation": {"percent": 50, "steps": steps}}


RUNNING = deployment("CREATING", {"status": "running"})
SUCCEEDED = deployment(
    "ACTIVE",
    {
        "status": "succeeded",
        "started_at": "2026-11-24T09:00:00Z",
        "finished_at": "2026-11-24T09:00:01.500Z",
    },
)


def test_without_a_terminal_each_change_is_one_line() -> None:
    output = io.StringIO()
    progress = Progress(output)
    for seen in (RUNNING, RUNNING, SUCCEEDED, SUCCEEDED):
        progress.show(seen)
    assert output.getvalue().splitlines() == [
        "CREATING",
        "  > create_cluster",
        "ACTIVE",
        "  + create_cluster                 1.50 s",
    ]


def test_on_a_terminal_the_table_is_redrawn_in_place() -> None:
    output = Terminal()
    progress = Progress(output)
    progress.show(RUNNING)
    progress.show(SUCCEEDED)
    assert output.getvalue().count("\x1b[1A") == 2


def test_a_transition_is_an_attempt_of_a_task_or_another_state_entered() -> None:
    kinds = [
        "ExecutionStarted",
        "ChoiceStateEntered",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskFailed",
        "TaskScheduled",
        "TaskStateExited",
        "SucceedStateEntered",
    ]
    assert count_transitions([{"type": kind} for kind in kinds]) == 4


def test_make_up_prints_the_url_and_both_tokens(tmp_path: Path) -> None:
    running = Stack(
        api_url="http://127.0.0.1:8123/api",
        token="slw_of_demo",
        admin_token="slw_of_admin",
        aws_endpoint_url="http://127.0.0.1:4566",
        aws_access_key_id="AKIA0",
        aws_secret_access_key="0",
        region="us-east-1",
        account_id="123456789012",
        sample_image="recommend:1",
        slack_signing_secret="0" * 32,
        webhook_secret="whsec_x",
        pids={},
    )
    lines = [line.strip() for line in what_to_try(running, tmp_path).splitlines()]
    assert "API=http://127.0.0.1:8123/api" in lines
    assert "TOKEN=slw_of_demo" in lines
    assert "ADMIN=slw_of_admin" in lines
