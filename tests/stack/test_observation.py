"""A deployment's log lines and CloudWatch metrics over the API."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from local.emulator import client as aws_client
from local.stack import Stack
from tests.stack.client import Client, ask, issue_token, predict, wait_until


@pytest.fixture(scope="module")
def made(api: Client) -> Iterator[dict[str, Any]]:
    """A serving deployment with two tasks."""
    deployment = api.deploy("observed", count=2)
    assert deployment["status"] == "ACTIVE", deployment["failure"]
    yield deployment
    api.delete(deployment["id"])


class Poller:
    """Continues to read lines from its last position, and keeps all lines."""

    def __init__(self, api: Client, deployment: str, query: str) -> None:
        self._api, self._path = api, f"/deployments/{deployment}/logs?{query}"
        self._cursor = ""
        self.lines: list[dict[str, str]] = []

    def look(self) -> "Poller":
        answer = self._api.send("GET", self._path + self._cursor)
        assert answer.status == 200, answer.text
        assert len(answer.json["lines"]) <= 1000
        self.lines += answer.json["lines"]
        self._cursor = f"&cursor={answer.json['next_cursor']}"
        return self

    def has(self, text: str, times: int) -> bool:
        """Poll once, and return whether `times` lines with the text have arrived."""
        self.look()
        return self.count(text) >= times

    def count(self, text: str) -> int:
        return sum(text in line["message"] for line in self.lines)


def write(stack: Stack, deployment: str, text: str, count: int) -> None:
    """Add lines to the first task's log stream, all with the same millisecond."""
    logs = aws_client("logs", stack)
    [group] = (
        found["logGroupName"]
        for page in logs.get_paginator("describe_log_groups").paginate()
        for found in page["logGroups"]
        if found["logGroupName"].endswith(f"/deployments/{deployment}")
    )
    stream = logs.describe_log_streams(logGroupName=group)["logStreams"][0]["logStreamName"]
    moment = round(datetime.now(UTC).timestamp() * 1000)
    logs.put_log_events(
        logGroupName=group,
        logStreamName=stream,
        logEvents=[{"timestamp": moment, "message": f"{text} {n:02}"} for n in range(count)],
    )


def test_the_lines_of_both_tasks_are_in_order(api: Client, made: dict[str, Any]) -> None:
    tasks = {
        task["id"] for task in api.send("GET", f"/deployments/{made['id']}/tasks").json["tasks"]
    }
    assert len(tasks) == 2
    poller = Poller(api, made["id"], "limit=1000")
    wait_until(lambda: tasks <= {line["task"] for line in poller.look().lines}, "lines of both")
    again = Poller(api, made["id"], "since=1h").look().lines
    assert [line["at"] for line in again] == sorted(line["at"] for line in again)
    assert all(line["at"].endswith("Z") and line["message"] for line in again)


def test_a_poller_gets_every_line_once(api: Client, stack: Stack, made: dict[str, Any]) -> None:
    poller = Poller(api, made["id"], "limit=7")
    write(stack, made["id"], "first burst", 20)
    wait_until(lambda: poller.has("first burst", 20), "the first burst")
    write(stack, made["id"], "second burst", 20)
    predict(made["url"])
    wait_until(lambda: poller.has("second burst", 20), "the second burst")
    for burst in ("first burst", "second burst"):
        found = [line["message"] for line in poller.lines if burst in line["message"]]
        assert found == [f"{burst} {n:02}" for n in range(20)]


def test_lines_can_be_limited_to_one_task(api: Client, made: dict[str, Any]) -> None:
    task = api.send("GET", f"/deployments/{made['id']}/tasks").json["tasks"][0]["id"]
    poller = Poller(api, made["id"], f"task={task[:8]}")
    wait_until(lambda: poller.look().lines, "its first line")
    assert {line["task"] for line in poller.lines} == {task}
    other = api.send("GET", f"/deployments/{made['id']}/logs?task={'0' * 8}").json
    assert other["lines"] == []


def test_metrics_count_the_requests_and_measure_the_tasks(
    api: Client, made: dict[str, Any]
) -> None:
    def series() -> list[dict[str, Any]]:
        answer = api.send("GET", f"/deployments/{made['id']}/metrics?since=10m")
        assert answer.status == 200, answer.text
        assert answer.json["period_seconds"] == 60
        return list(answer.json["series"])

    def total(key: str) -> int:
        return sum(point[key] for point in series())

    # Other tests of this module also send requests; health checks do not count.
    requests, wrong = total("requests"), total("http_4xx")
    for _ in range(7):
        assert predict(made["url"]).status == 200
    for _ in range(3):
        assert ask(f"{made['url']}/nowhere").status == 404

    assert (total("requests"), total("http_4xx")) == (requests + 10, wrong + 3)
    assert total("http_5xx") == 0
    latest = [point for point in series() if point["requests"]][-1]
    assert 0 < latest["latency_p50_ms"] <= latest["latency_p99_ms"]

    def is_measured() -> bool:
        return any(point["memory_percent"] is not None for point in series())

    wait_until(is_measured, "the use of memory")
    measured = next(point for point in series() if point["memory_percent"] is not None)
    assert 0 < measured["memory_percent"] < 100
    assert measured["cpu_percent"] >= 0


@pytest.mark.parametrize("endpoint", ["logs", "metrics"])
def test_another_owner_sees_neither_logs_nor_metrics(
    stack: Stack, made: dict[str, Any], endpoint: str
) -> None:
    stranger = Client(stack, issue_token(stack, "stranger", "read"))
    assert stranger.send("GET", f"/deployments/{made['id']}/{endpoint}").status == 404


def test_after_a_teardown_there_are_no_lines_but_metrics_remain(api: Client) -> None:
    deployment = api.deploy("observed-gone")
    assert api.delete(deployment["id"])["status"] == "DELETED"
    logs = api.send("GET", f"/deployments/{deployment['id']}/logs")
    assert (logs.status, logs.json) == (200, {"lines": [], "next_cursor": None})
    metrics = api.send("GET", f"/deployments/{deployment['id']}/metrics")
    assert metrics.status == 200
    assert len(metrics.json["series"]) == 61
