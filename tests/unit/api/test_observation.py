import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import FailureCode
from chalicelib.domain.operation import Path
from chalicelib.domain.parts import Failure, Resource
from chalicelib.platform import aws, clock
from chalicelib.resources import log_group
from chalicelib.resources.task_definition import log_stream
from chalicelib.store import deployments as store
from chalicelib.workflow import teardown
from tests.support import aws_says
from tests.support.builders import ACCOUNT, MOMENT, REGION, Clock, body_of
from tests.support.gateway import Gateway

TASK, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2
ENDPOINTS = pytest.mark.parametrize("endpoint", ["logs", "metrics"])


@pytest.fixture
def deployed(gateway: Gateway) -> str:
    """The ID of a deployment with an empty log group."""
    deployment_id: str = gateway.post("/deployments", body_of()).json["id"]
    log_group.ensure(record(deployment_id))
    return deployment_id


def record(deployment_id: str) -> Deployment:
    deployment = store.get(deployment_id)
    assert deployment is not None
    return deployment


def write(deployment_id: str, task: str, *lines: tuple[int, str]) -> int:
    """Write lines (milliseconds after the creation, message). Return the creation time in ms."""
    logs, group, stream = aws.client("logs"), log_group.name_of(deployment_id), log_stream(task)
    start = round(record(deployment_id).created_at.timestamp() * 1000)
    if not logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream)["logStreams"]:
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    events = [{"timestamp": start + at, "message": text} for at, text in lines]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    return start


def texts(body: dict[str, Any]) -> list[str]:
    return [line["message"] for line in body["lines"]]


def fail_and_tear_down(deployment_id: str) -> None:
    """The create fails, and its teardown ends."""
    store.update(deployment_id, lambda d: d.switch_path(Path.DESTROY, MOMENT))
    teardown.delete_log_group(record(deployment_id))
    store.update(deployment_id, lambda d: d.end_torn_down(MOMENT))


# --- both ----------------------------------------------------------------------------------


@ENDPOINTS
@pytest.mark.parametrize(
    ("caller", "status"),
    [("reader", 200), ("admin", 200), ("team-b", 404), ("deployer", 403)],
)
def test_logs_and_metrics_need_the_owner_and_the_scope_read(
    gateway: Gateway, deployed: str, endpoint: str, caller: str, status: int
) -> None:
    aws_says.answer("cloudwatch", "GetMetricData", {"MetricDataResults": []})
    assert gateway.get(f"/deployments/{deployed}/{endpoint}", caller=caller).status == status


@ENDPOINTS
def test_a_live_deployment_is_found_by_its_name(
    gateway: Gateway, deployed: str, endpoint: str
) -> None:
    aws_says.answer("cloudwatch", "GetMetricData", {"MetricDataResults": []})
    assert gateway.get(f"/deployments/recommender/{endpoint}").status == 200
    assert gateway.get(f"/deployments/nothing/{endpoint}").status == 404


@pytest.mark.parametrize("endpoint", ["logs", "metrics"])
@pytest.mark.parametrize(
    "since", ["2026-11-24T09:00:00 01:00", "2026-11-24T09:00:00.5 0100", "2026-11-24T09:00 05:30"]
)
def test_a_plus_that_became_a_space_is_explained(
    gateway: Gateway, deployed: str, endpoint: str, since: str
) -> None:
    refused = gateway.get(f"/deployments/{deployed}/{endpoint}", query={"since": since})
    assert (refused.status, refused.fields) == (422, ["since"])
    assert refused.json["errors"][0]["message"].endswith("Write `+` as `%2B` in a URL")


@pytest.mark.parametrize(
    ("endpoint", "parameter", "value"),
    [
        *(
            (endpoint, "since", value)
            for endpoint in ("logs", "metrics")
            for value in (
                "",
                "0m",
                "5",
                "5w",
                "-5m",
                " 5m",
                "\uff115m",
                "999999999d",
                "2026-11-24",
                "20261124T093000Z",
                "2026-11-24T09:30:00",
                "2026-11-24 09:30:00Z",
                "2026-13-24T09:30:00Z",
                "0001-01-01T00:00:00+23:59",
                "9999-12-31T23:59:59-23:59",
                "1969-12-31T23:59:59Z",
            )
        ),
        ("metrics", "since", "8d"),
        ("metrics", "period", "61"),
        ("metrics", "period", "060"),
        ("metrics", "period", ""),
        ("metrics", "limit", "5"),
        ("logs", "period", "60"),
        ("logs", "limit", "0"),
        ("logs", "limit", "1001"),
        ("logs", "task", "0123456"),
        ("logs", "task", "01234567/x"),
        ("logs", "task", "ABCDEF01"),
        ("logs", "task", ""),
        ("logs", "cursor", ""),
        ("logs", "cursor", "nonsense"),
        ("logs", "cursor", "x" * 8001),
    ],
)
def test_an_invalid_parameter_is_reported_by_name(
    gateway: Gateway, deployed: str, endpoint: str, parameter: str, value: str
) -> None:
    answer = gateway.get(f"/deployments/{deployed}/{endpoint}", query={parameter: value})
    assert (answer.status, answer.code) == (422, "VALIDATION_FAILED")
    assert answer.fields == [parameter]


@ENDPOINTS
def test_throttling_by_aws_is_reported(gateway: Gateway, deployed: str, endpoint: str) -> None:
    aws_says.refuse("logs", "FilterLogEvents", "ThrottlingException")
    aws_says.refuse("cloudwatch", "GetMetricData", "Throttling")
    answer = gateway.get(f"/deployments/{deployed}/{endpoint}")
    assert (answer.status, answer.code) == (503, "AWS_UNAVAILABLE")
    assert answer.headers["retry-after"] == "5"


# --- logs ----------------------------------------------------------------------------------


def test_lines_are_oldest_first_with_time_and_task(gateway: Gateway, deployed: str) -> None:
    write(deployed, TASK, (0, "a"), (2, "c"))
    write(deployed, OTHER, (1, "b"))
    created = record(deployed).created_at
    body = gateway.get(f"/deployments/{deployed}/logs").json
    assert set(body) == {"lines", "next_cursor"}
    assert body["lines"] == [
        {"at": clock.rfc3339(created), "task": TASK, "message": "a"},
        {
            "at": clock.rfc3339(created + timedelta(milliseconds=1)),
            "task": OTHER,
            "message": "b",
        },
        {"at": clock.rfc3339(created + timedelta(milliseconds=2)), "task": TASK, "message": "c"},
    ]


def test_a_poller_gets_every_line_once_and_continues(gateway: Gateway, deployed: str) -> None:
    path, seen, cursor = f"/deployments/{deployed}/logs", [], {}
    write(deployed, TASK, *((n // 3, f"{n:02}") for n in range(25)))
    for _ in range(4):
        body = gateway.get(path, query={"limit": "10", **cursor}).json
        cursor = {"cursor": body["next_cursor"]}
        seen += texts(body)
    assert seen == [f"{n:02}" for n in range(25)]
    write(deployed, OTHER, (9, "new"))
    assert texts(gateway.get(path, query=cursor).json) == ["new"]


@pytest.mark.parametrize("count", [100, 150])
def test_a_page_has_a_hundred_lines_unless_another_limit_is_given(
    gateway: Gateway, deployed: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(deployed, TASK, *((n, str(n)) for n in range(count)))
    later = Clock(record(deployed).created_at + timedelta(hours=1))
    monkeypatch.setattr(clock, "now", later)
    path = f"/deployments/{deployed}/logs"
    assert len(gateway.get(path).json["lines"]) == 100
    assert len(gateway.get(path, query={"limit": "1000"}).json["lines"]) == count


@pytest.mark.parametrize("task", [TASK, TASK[:8]])
def test_lines_can_be_limited_to_one_task(gateway: Gateway, deployed: str, task: str) -> None:
    write(deployed, TASK, (0, "a"), (2, "c"))
    write(deployed, OTHER, (1, "b"))
    path = f"/deployments/{deployed}/logs"
    body = gateway.get(path, query={"task": task, "limit": "1"}).json
    assert texts(body) == ["a"]
    query = {"task": task, "cursor": body["next_cursor"]}
    assert texts(gateway.get(path, query=query).json) == ["c"]
    answer = gateway.get(path, query={"cursor": body["next_cursor"]})
    assert (answer.status, answer.fields) == (422, ["cursor"])


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("10s", ["late"]),
        ("1m", ["early", "late"]),
        ("1h", ["early", "late"]),
        ("1d", ["early", "late"]),
        ("2026-11-24T09:30:30Z", ["late"]),
        ("2026-11-24t09:30:30z", ["late"]),
        ("2026-11-24t10:30:30.5+01:00", ["late"]),
    ],
)
def test_lines_can_be_limited_to_a_start_time(
    gateway: Gateway,
    deployed: str,
    monkeypatch: pytest.MonkeyPatch,
    since: str,
    expected: list[str],
) -> None:
    store.update(deployed, lambda deployment: setattr(deployment, "created_at", MOMENT))
    events = [
        {
            "eventId": str(second),
            "timestamp": round(MOMENT.timestamp() + second) * 1000,
            "logStreamName": log_stream(TASK),
            "message": message,
        }
        for second, message in ((0, "early"), (50, "late"))
    ]

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        start = json.loads(request["body"])["startTime"]
        return {"events": [event for event in events if event["timestamp"] >= start]}

    aws_says.answer("logs", "FilterLogEvents", answer)
    monkeypatch.setattr(clock, "now", Clock(MOMENT + timedelta(seconds=60)))
    path = f"/deployments/{deployed}/logs"
    assert texts(gateway.get(path, query={"since": since}).json) == expected


def test_without_since_the_lines_start_with_the_deployment(gateway: Gateway, deployed: str) -> None:
    calls = aws_says.watch("logs", "FilterLogEvents")
    gateway.get(f"/deployments/{deployed}/logs")
    created = record(deployed).created_at
    assert [call["startTime"] for call in calls] == [round(created.timestamp() * 1000)]


def test_a_deployment_without_a_log_group_has_no_lines_and_no_cursor(
    gateway: Gateway, deployed: str
) -> None:
    def change(deployment: Deployment) -> None:
        deployment.delete(MOMENT)
        deployment.end_torn_down(MOMENT)

    store.update(deployed, change)
    log_group.delete(deployed)
    body = gateway.get(f"/deployments/{deployed}/logs").json
    assert body == {"lines": [], "next_cursor": None}


def test_a_failed_deployment_has_no_cursor_either(gateway: Gateway, deployed: str) -> None:
    def change(deployment: Deployment) -> None:
        failure = Failure(code=FailureCode.INTERNAL, step="create_cluster", message="", hint="")
        deployment.fail("create_cluster", failure, MOMENT)
        deployment.end_failed(MOMENT)

    store.update(deployed, change)
    log_group.delete(deployed)
    assert gateway.get(f"/deployments/{deployed}/logs").json["next_cursor"] is None


def test_a_poller_can_start_before_the_log_group_exists(gateway: Gateway) -> None:
    deployment_id = gateway.post("/deployments", body_of()).json["id"]
    path = f"/deployments/{deployment_id}/logs"
    body = gateway.get(path).json
    assert body["lines"] == []
    log_group.ensure(record(deployment_id))
    write(deployment_id, TASK, (5, "first"))
    assert texts(gateway.get(path, query={"cursor": body["next_cursor"]}).json) == ["first"]


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[]",
        '{"position": {"at": -1}}',
        '{"position": {"at": "1"}}',
        '{"position": {"at": 1e300}}',
        '{"position": {"at": 1, "given": -1}}',
        '{"position": {"at": 1, "token": ""}}',
        '{"position": {"at": 1, "more": 1}}',
        '{"position": {"at": 1, "seen": [1]}}',
        "\ud800",
    ],
)
def test_an_unknown_cursor_is_refused(gateway: Gateway, deployed: str, content: str) -> None:
    raw = base64.urlsafe_b64encode(content.encode("utf-8", "surrogatepass")).decode()
    answer = gateway.get(f"/deployments/{deployed}/logs", query={"cursor": raw})
    assert (answer.status, answer.fields) == (422, ["cursor"])


def test_the_last_lines_of_a_failed_create_remain_until_it_is_deleted(
    gateway: Gateway, deployed: str
) -> None:
    write(deployed, TASK, (0, "one"), (20, "three"))
    write(deployed, OTHER, (10, "two"))
    path = f"/deployments/{deployed}/logs"
    live = gateway.get(path, query={"limit": "2"}).json
    before = gateway.get(path).json["lines"]
    fail_and_tear_down(deployed)

    assert gateway.get(path).json == {"lines": before, "next_cursor": None}
    assert texts(gateway.get(path, query={"task": OTHER[:8]}).json) == ["two"]
    assert texts(gateway.get(path, query={"task": "0" * 32}).json) == []
    since = before[1]["at"]
    assert texts(gateway.get(path, query={"since": since}).json) == ["two", "three"]
    first = gateway.get(path, query={"limit": "2"}).json
    assert texts(first) == ["one", "two"]
    for page in (first, live):
        rest = gateway.get(path, query={"cursor": page["next_cursor"]}).json
        assert (texts(rest), rest["next_cursor"]) == (["three"], None)
    assert gateway.get(path, caller="team-b").status == 404

    store.update(deployed, lambda d: d.delete(MOMENT))
    assert texts(gateway.get(path).json) == ["one", "two", "three"]
    store.update(deployed, lambda d: d.end_torn_down(MOMENT))
    assert gateway.get(path).json == {"lines": [], "next_cursor": None}


def test_a_create_that_starts_again_has_only_new_lines(gateway: Gateway, deployed: str) -> None:
    write(deployed, TASK, (0, "old"))
    fail_and_tear_down(deployed)
    path = f"/deployments/{deployed}"
    assert gateway.patch(path, {"port": 81}).status == 202
    body = gateway.get(f"{path}/logs").json
    assert (body["lines"], body["next_cursor"] is None) == ([], False)
    log_group.ensure(record(deployed))
    write(deployed, OTHER, (10, "new"))
    assert texts(gateway.get(f"{path}/logs").json) == ["new"]


# --- metrics -------------------------------------------------------------------------------


@pytest.fixture
def half_past(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The current time is 09:30:42."""
    moment = Clock(MOMENT + timedelta(seconds=42))
    monkeypatch.setattr(clock, "now", moment)
    return moment


@pytest.mark.usefixtures("half_past")
def test_metrics_cover_the_last_hour(gateway: Gateway, deployed: str) -> None:
    arn = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/{deployed}/50dc6c"
    balancer = Resource(kind="load_balancer", name=deployed, arn=arn)
    store.update(deployed, lambda deployment: deployment.record_resource(balancer, MOMENT))
    found = {"Id": "latency_p99", "Timestamps": [MOMENT], "Values": [0.25]}
    aws_says.answer("cloudwatch", "GetMetricData", {"MetricDataResults": [found]})
    body = gateway.get(f"/deployments/{deployed}/metrics").json
    series = body.pop("series")
    assert body == {
        "period_seconds": 60,
        "from": "2026-11-24T08:30:00.000Z",
        "to": "2026-11-24T09:31:00.000Z",
    }
    assert len(series) == 61
    assert series[0] == {
        "at": "2026-11-24T08:30:00.000Z",
        "requests": 0,
        "latency_p50_ms": None,
        "latency_p99_ms": None,
        "http_4xx": 0,
        "http_5xx": 0,
        "cpu_percent": None,
        "memory_percent": None,
    }
    assert series[-1] == series[0] | {"at": "2026-11-24T09:30:00.000Z", "latency_p99_ms": 250.0}


@pytest.mark.usefixtures("half_past")
@pytest.mark.parametrize(
    ("query", "period", "start", "points"),
    [
        ({"since": "3h"}, 60, "2026-11-24T06:30:00.000Z", 181),
        ({"since": "4h"}, 300, "2026-11-24T05:30:00.000Z", 49),
        ({"since": "2d"}, 3600, "2026-11-22T09:00:00.000Z", 49),
        ({"since": "7d"}, 3600, "2026-11-17T09:00:00.000Z", 169),
        ({"since": "7d", "period": "60"}, 60, "2026-11-17T09:30:00.000Z", 10081),
        ({"since": "10m", "period": "3600"}, 3600, "2026-11-24T09:00:00.000Z", 1),
        ({"since": "2026-11-24T09:29:59Z"}, 60, "2026-11-24T09:29:00.000Z", 2),
    ],
)
def test_the_period_is_as_requested_or_limits_the_number_of_points(
    gateway: Gateway, deployed: str, query: dict[str, str], period: int, start: str, points: int
) -> None:
    aws_says.answer("cloudwatch", "GetMetricData", {"MetricDataResults": []})
    calls = aws_says.watch("cloudwatch", "GetMetricData")
    body = gateway.get(f"/deployments/{deployed}/metrics", query=query).json
    assert (body["period_seconds"], body["from"]) == (period, start)
    assert (len(body["series"]), len(calls)) == (points, 1)
    assert {q["MetricStat"]["Period"] for q in calls[0]["MetricDataQueries"]} == {period}


@pytest.mark.usefixtures("half_past")
def test_metrics_of_a_deleted_deployment_are_still_available(
    gateway: Gateway, deployed: str
) -> None:
    arn = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/{deployed}/50dc6c"

    def change(deployment: Deployment) -> None:
        deployment.record_resource(Resource(kind="load_balancer", name=deployed, arn=arn), MOMENT)
        deployment.delete(MOMENT)
        deployment.settle([], MOMENT)
        deployment.end_torn_down(MOMENT)

    store.update(deployed, change)
    found = {"Id": "requests", "Timestamps": [MOMENT], "Values": [9.0]}
    aws_says.answer("cloudwatch", "GetMetricData", {"MetricDataResults": [found]})
    body = gateway.get(f"/deployments/{deployed}/metrics").json
    assert body["series"][-1]["requests"] == 9
