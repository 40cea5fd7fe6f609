"""Answers CloudWatch's GetMetricData for the load balancers' metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from local.gateway.messages import HttpAnswer, HttpRequest
from local.gateway.relay import Forward

TARGET = "GraniteServiceVersion20100801.GetMetricData"
NAMESPACE = "AWS/ApplicationELB"


class Source(Protocol):
    """What has measured: see `local.load_balancers`."""

    def metric(
        self,
        name: str,
        dimensions: Mapping[str, str],
        statistic: str,
        start: datetime,
        end: datetime,
        period: timedelta,
    ) -> dict[datetime, float]:
        """Return the values by the start of their period."""
        ...


class Metrics:
    """The part of the gateway that answers GetMetricData, in the JSON protocol of boto3.

    MiniStack answers for the other namespaces. The agent puts those of ECS there.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    def wants(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        """See `Handler`."""
        return headers.get("X-Amz-Target") == TARGET

    async def handle(self, request: HttpRequest, forward: Forward) -> HttpAnswer:
        """See `Handler`."""
        answered = await forward(request)
        if answered.failed:
            return answered
        asked, answer = json.loads(request.body), json.loads(answered.body)
        start, end = (datetime.fromtimestamp(asked[name], UTC) for name in ("StartTime", "EndTime"))
        newest_first = asked.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        measured = {
            query["Id"]: self._read(query["MetricStat"], start, end)
            for query in asked["MetricDataQueries"]
            if query.get("MetricStat", {}).get("Metric", {}).get("Namespace") == NAMESPACE
        }
        for result in answer["MetricDataResults"]:
            if result["Id"] in measured:
                values = dict(sorted(measured[result["Id"]].items(), reverse=newest_first))
                result["Timestamps"] = [moment.timestamp() for moment in values]
                result["Values"] = list(values.values())
                result["StatusCode"] = "Complete"
        return HttpAnswer(answered.status, answered.headers, json.dumps(answer).encode())

    def _read(
        self, stat: Mapping[str, Any], start: datetime, end: datetime
    ) -> dict[datetime, float]:
        metric = stat["Metric"]
        dimensions = {each["Name"]: each["Value"] for each in metric.get("Dimensions", ())}
        period = timedelta(seconds=stat["Period"])
        return self._source.metric(
            metric["MetricName"], dimensions, stat["Stat"], start, end, period
        )
