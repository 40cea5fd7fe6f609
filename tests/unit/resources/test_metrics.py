from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.parts import Resource
from chalicelib.platform import aws
from chalicelib.resources import load_balancer, metrics, security_groups
from chalicelib.resources.metrics import Point
from tests.support import aws_says
from tests.support.builders import ACCOUNT, ID, MOMENT, REGION

MINUTE = timedelta(minutes=1)
END = MOMENT + 3 * MINUTE
BALANCER = f"app/{ID}/50dc6c495c0c9188"
ARN = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/{BALANCER}"
LOAD_BALANCER = {"AWS/ApplicationELB": {"LoadBalancer": BALANCER}}
SERVICE = {"AWS/ECS": {"ClusterName": ID, "ServiceName": ID}}


@pytest.fixture
def served(deployment: Deployment) -> Deployment:
    """A deployment whose record has a load balancer."""
    deployment.record_resource(Resource(kind="load_balancer", name=ID, arn=ARN), MOMENT)
    return deployment


def cloudwatch(*pages: dict[str, list[tuple[datetime, float]]]) -> list[dict[str, Any]]:
    """Make CloudWatch return these values, by `metric statistic`. Return the list of calls."""
    left = list(pages)
    calls = aws_says.watch("cloudwatch", "GetMetricData")

    def answer(_: dict[str, Any]) -> dict[str, Any]:
        page = left.pop(0)
        results = []
        for query in calls[-1]["MetricDataQueries"]:
            stat = query["MetricStat"]
            figures = page.get(f"{stat['Metric']['MetricName']} {stat['Stat']}", [])
            times, values = [at for at, _ in figures], [value for _, value in figures]
            results.append({"Id": query["Id"], "Timestamps": times, "Values": values})
        more = {"NextToken": "more"} if left else {}
        return {"MetricDataResults": results, **more}

    aws_says.answer("cloudwatch", "GetMetricData", answer)
    return calls


def read(deployment: Deployment) -> list[Point]:
    return metrics.read(deployment, MOMENT, END, MINUTE)


def nothing(at: datetime) -> Point:
    return Point(at, 0, None, None, 0, 0, None, None)


def test_every_period_has_its_values_in_their_units(served: Deployment) -> None:
    second = MOMENT + MINUTE
    cloudwatch(
        {
            "RequestCount Sum": [(second, 41.0), (MOMENT, 7.0)],
            "TargetResponseTime p50": [(second, 0.0125)],
            "TargetResponseTime p99": [(second, 1.5)],
            "HTTPCode_Target_4XX_Count Sum": [(second, 3.0)],
            "HTTPCode_Target_5XX_Count Sum": [(second, 2.0)],
            "HTTPCode_ELB_5XX_Count Sum": [(second, 4.0), (MOMENT, 1.0)],
            "CPUUtilization Average": [(MOMENT, 12.3456)],
            "MemoryUtilization Average": [(second, 50.0)],
        }
    )
    assert read(served) == [
        Point(MOMENT, 7, None, None, 0, 1, 12.35, None),
        Point(second, 41, 12.5, 1500.0, 3, 6, None, 50.0),
        nothing(MOMENT + 2 * MINUTE),
    ]


def test_one_call_requests_all_metrics_of_only_this_deployment(served: Deployment) -> None:
    calls = cloudwatch({})
    read(served)
    [call] = calls
    assert (call["StartTime"], call["EndTime"]) == (MOMENT, END)
    stats = [query["MetricStat"] for query in call["MetricDataQueries"]]
    asked = {
        stat["Metric"]["Namespace"]: {d["Name"]: d["Value"] for d in stat["Metric"]["Dimensions"]}
        for stat in stats
    }
    assert asked == LOAD_BALANCER | SERVICE
    assert {stat["Period"] for stat in stats} == {60}


def test_values_on_a_second_page_are_included(served: Deployment) -> None:
    cloudwatch({"RequestCount Sum": [(MOMENT, 1.0)]}, {"RequestCount Sum": [(MOMENT + MINUTE, 2)]})
    assert [point.requests for point in read(served)] == [1, 2, 0]


def test_without_a_load_balancer_there_are_only_service_metrics(deployment: Deployment) -> None:
    calls = cloudwatch({"MemoryUtilization Average": [(MOMENT, 8.0)]})
    assert [point.memory_percent for point in read(deployment)] == [8.0, None, None]
    assert len(calls[0]["MetricDataQueries"]) == len(metrics.SERVICE_METRICS)


def test_the_dimension_has_awss_format_for_load_balancers(deployment: Deployment) -> None:
    security_groups.ensure(deployment)
    made = load_balancer.ensure(deployment)
    deployment.record_resource(made, MOMENT)
    calls = cloudwatch({})
    read(deployment)
    [*_, query] = calls[0]["MetricDataQueries"]
    [dimension] = query["MetricStat"]["Metric"]["Dimensions"]
    assert dimension["Value"].startswith(f"app/{ID}/")
    assert made.arn is not None and made.arn.endswith(dimension["Value"])


def test_a_stored_value_is_returned(deployment: Deployment) -> None:
    """A value in the emulator's CloudWatch is returned at its time."""
    dimensions = [{"Name": "ClusterName", "Value": ID}, {"Name": "ServiceName", "Value": ID}]
    figure = {"MetricName": "CPUUtilization", "Dimensions": dimensions, "Value": 25.0}
    aws.client("cloudwatch").put_metric_data(
        Namespace="AWS/ECS", MetricData=[{**figure, "Timestamp": MOMENT + MINUTE}]
    )
    assert [point.cpu_percent for point in read(deployment)] == [None, 25.0, None]
