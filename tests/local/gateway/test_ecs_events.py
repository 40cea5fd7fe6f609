"""EventBridge's events about stopped tasks reach the functions whose rules match."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.emulator import Aws, client
from local.processes import wait_until

SECONDS = 30.0
CODE = """
import json, os
def handler(event, context):
    with open(os.environ["RECEIVED"], "a") as received:
        received.write(json.dumps(event) + "\\n")
"""
STOPPED = {
    "source": ["aws.ecs"],
    "detail-type": ["ECS Task State Change"],
    "detail": {"lastStatus": ["STOPPED"], "group": [{"prefix": "service:watched"}]},
}


@pytest.fixture(scope="module")
def received(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file to which a function appends the events that match `STOPPED`."""
    path = tmp_path_factory.mktemp("events") / "received"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as output:
        output.writestr("app.py", CODE)
    functions, events = client("lambda", aws), client("events", aws)
    arn = functions.create_function(
        FunctionName="watcher",
        Runtime="python3.11",
        Role="arn:aws:iam::123456789012:role/watcher",
        Handler="app.handler",
        Code={"ZipFile": archive.getvalue()},
        Environment={"Variables": {"RECEIVED": str(path)}},
    )["FunctionArn"]
    events.put_rule(Name="stopped", EventPattern=json.dumps(STOPPED))
    events.put_targets(Rule="stopped", Targets=[{"Id": "1", "Arn": arn}])
    yield path
    events.remove_targets(Rule="stopped", Ids=["1"])
    events.delete_rule(Name="stopped")
    functions.delete_function(FunctionName="watcher")


@pytest.fixture(scope="module")
def ecs(aws: Aws) -> Iterator[Any]:
    """A client, and a cluster with a task definition."""
    made = client("ecs", aws)
    made.create_cluster(clusterName="watched")
    container = {"name": "app", "image": "a", "memory": 64}
    made.register_task_definition(family="watched", containerDefinitions=[container])
    yield made
    made.delete_cluster(cluster="watched")


def run(ecs: Any, group: str) -> str:
    made = ecs.run_task(cluster="watched", taskDefinition="watched", group=group)
    return str(made["tasks"][0]["taskArn"])


def report(ecs: Any, task: str, status: str, **container: Any) -> None:
    """Report a state of a task as the agent does."""
    ecs.submit_task_state_change(
        cluster="watched",
        task=task,
        status=status,
        containers=[{"containerName": "app", **container}],
    )


def test_each_end_of_a_matching_task_is_announced_once(ecs: Any, received: Path) -> None:
    other, task = run(ecs, "service:other"), run(ecs, "service:watched")
    for each in (other, task):
        report(ecs, each, "RUNNING")
        ecs.stop_task(cluster="watched", task=each, reason="by hand")
        report(ecs, each, "STOPPED", exitCode=3)
        ecs.stop_task(cluster="watched", task=each, reason="again")
    never_started = run(ecs, "service:watched")
    ecs.stop_task(cluster="watched", task=never_started, reason="CannotPullContainerError: x")

    def events() -> list[dict[str, Any]]:
        lines = received.read_text().splitlines() if received.exists() else []
        return [json.loads(line) for line in lines]

    wait_until(lambda: len(events()) == 2, SECONDS)
    by_task = {event["resources"][0]: event for event in events()}
    assert set(by_task) == {task, never_started}
    detail = by_task[task]["detail"]
    assert (detail["lastStatus"], detail["stoppedReason"]) == ("STOPPED", "by hand")
    assert detail["clusterArn"].endswith("cluster/watched")
    assert detail["containers"][0]["exitCode"] == 3
    assert detail["stoppedAt"].endswith("Z")
    assert by_task[never_started]["detail"]["stopCode"] == "TaskFailedToStart"
