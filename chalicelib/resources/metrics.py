"""A deployment's CloudWatch metrics: the load balancer's requests and the service's utilization."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.platform import aws
from chalicelib.resources import load_balancer

# Slipway's name -> CloudWatch metric and statistic.
# RequestCount excludes health checks, and requests refused before the load balancer chose a target.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
LOAD_BALANCER_METRICS = {
    "requests": ("RequestCount", "Sum"),
    "latency_p50": ("TargetResponseTime", "p50"),
    "latency_p99": ("TargetResponseTime", "p99"),
    "target_4xx": ("HTTPCode_Target_4XX_Count", "Sum"),
    "target_5xx": ("HTTPCode_Target_5XX_Count", "Sum"),
    "load_balancer_5xx": ("HTTPCode_ELB_5XX_Count", "Sum"),
}
# In percent of the resources that the task definition reserves.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/available-metrics.html
SERVICE_METRICS = {
    "cpu": ("CPUUtilization", "Average"),
    "memory": ("MemoryUtilization", "Average"),
}


@dataclass(frozen=True)
class Point:
    """One period that starts at `at`. A value is None if nothing was measured."""

    at: datetime
    requests: int
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    http_4xx: int
    http_5xx: int
    cpu_percent: float | None
    memory_percent: float | None


def read(deployment: Deployment, start: datetime, end: datetime, period: timedelta) -> list[Point]:
    """One point for each period from `start` until before `end`; both are multiples of `period`.

    Elastic Load Balancing and ECS report nothing if there is no data. So a missing value means no
    request, and no latency. CloudWatch keeps values after the resource is deleted.
    """
    queries = _queries(deployment, period)
    measured: dict[str, dict[datetime, float]] = {query["Id"]: {} for query in queries}
    # One call: a week of minutes has 80,640 values, and a page has up to 100,800.
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
    pages = (
        aws.client("cloudwatch")
        .get_paginator("get_metric_data")
        .paginate(MetricDataQueries=queries, StartTime=start, EndTime=end)
    )
    for page in pages:
        for result in page["MetricDataResults"]:
            values = zip(result["Timestamps"], result["Values"], strict=True)
            measured[result["Id"]].update(values)
    return [_point(moment, measured) for moment in _moments(start, end, period)]


def _queries(deployment: Deployment, period: timedelta) -> list[dict[str, Any]]:
    name = deployment.id
    queries = [
        _query(key, "AWS/ECS", metric, {"ClusterName": name, "ServiceName": name}, period)
        for key, metric in SERVICE_METRICS.items()
    ]
    balancer = _load_balancer_dimension(deployment)
    if balancer:
        queries += [
            _query(key, "AWS/ApplicationELB", metric, {"LoadBalancer": balancer}, period)
            for key, metric in LOAD_BALANCER_METRICS.items()
        ]
    return queries


def _query(
    key: str,
    namespace: str,
    metric: tuple[str, str],
    dimensions: dict[str, str],
    period: timedelta,
) -> dict[str, Any]:
    name, statistic = metric
    described = {
        "Namespace": namespace,
        "MetricName": name,
        "Dimensions": [{"Name": n, "Value": value} for n, value in dimensions.items()],
    }
    stat = {"Metric": described, "Period": int(period.total_seconds()), "Stat": statistic}
    return {"Id": key, "MetricStat": stat}


def _load_balancer_dimension(deployment: Deployment) -> str | None:
    """`app/<name>/<id>`, the end of the ARN.

    Read from the record, because the record outlives the load balancer.
    """
    arns = [each.arn for each in deployment.resources if each.kind == load_balancer.KIND]
    return arns[-1].partition(":loadbalancer/")[2] if arns and arns[-1] else None


def _moments(start: datetime, end: datetime, period: timedelta) -> Iterator[datetime]:
    while start < end:
        yield start
        start += period


def _point(at: datetime, measured: dict[str, dict[datetime, float]]) -> Point:
    def value(key: str) -> float | None:
        return measured.get(key, {}).get(at)

    def count(*keys: str) -> int:
        return round(sum(value(key) or 0 for key in keys))

    def rounded(key: str, factor: int = 1) -> float | None:
        measurement = value(key)
        return None if measurement is None else round(measurement * factor, 2)

    return Point(
        at=at,
        requests=count("requests"),
        # CloudWatch reports seconds.
        latency_p50_ms=rounded("latency_p50", 1000),
        latency_p99_ms=rounded("latency_p99", 1000),
        http_4xx=count("target_4xx"),
        http_5xx=count("target_5xx", "load_balancer_5xx"),
        cpu_percent=rounded("cpu"),
        memory_percent=rounded("memory"),
    )
