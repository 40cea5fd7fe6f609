import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.platform import aws
from chalicelib.resources import log_group
from tests.support.builders import ID, MOMENT, deployment_of

NAME = f"/slipway/slipway-test/deployments/{ID}"
STREAM = "task/app/0123"


def test_repeated_ensure_creates_one_log_group_with_tags_and_retention(
    deployment: Deployment,
) -> None:
    assert log_group.ensure(deployment) == log_group.ensure(deployment)
    logs = aws.client("logs")
    [group] = logs.describe_log_groups()["logGroups"]
    assert (group["logGroupName"], group["retentionInDays"]) == (NAME, 30)
    tags = logs.list_tags_log_group(logGroupName=NAME)["tags"]
    assert (tags["slipway:deployment"], tags["team"]) == (ID, "a")


def test_the_stack_sets_the_retention(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_RETENTION_DAYS", "7")
    log_group.ensure(deployment)
    [group] = aws.client("logs").describe_log_groups()["logGroups"]
    assert group["retentionInDays"] == 7


def test_delete_removes_the_log_group_but_not_similar_names(deployment: Deployment) -> None:
    log_group.ensure(deployment)
    longer = deployment_of(f"{ID}-ghijkl", name="x")
    log_group.ensure(longer)
    log_group.delete(ID)
    assert log_group.exists(ID) == []
    assert log_group.exists(longer.id) == [f"{NAME}-ghijkl"]


@pytest.mark.usefixtures("cloud")
def test_deleting_a_missing_log_group_succeeds() -> None:
    log_group.delete(ID)
    assert log_group.exists(ID) == []


def test_the_last_lines_are_oldest_first(deployment: Deployment) -> None:
    log_group.ensure(deployment)
    logs = aws.client("logs")
    logs.create_log_stream(logGroupName=NAME, logStreamName=STREAM)
    start = int(MOMENT.timestamp() * 1000)
    lines = [{"timestamp": start + n, "message": f"line {n}"} for n in range(30)]
    logs.put_log_events(logGroupName=NAME, logStreamName=STREAM, logEvents=lines)
    assert log_group.last_lines(ID, STREAM, 20) == [f"line {n}" for n in range(10, 30)]


def test_a_task_that_wrote_nothing_has_no_lines(deployment: Deployment) -> None:
    assert log_group.last_lines(ID, STREAM) == []
    log_group.ensure(deployment)
    assert log_group.last_lines(ID, STREAM) == []
