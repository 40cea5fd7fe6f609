"""Checks that the account's quotas allow the resources of the deployment."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.platform import aws, clock
from chalicelib.platform.clock import rfc3339
from chalicelib.platform.settings import settings
from chalicelib.resources import target_group
from chalicelib.workflow.preflight.subject import NotKnown, Subject

# The quota "Fargate On-Demand vCPU resource count" of the service `fargate`.
FARGATE_QUOTA = "L-3032A538"
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/monitoring-fargate-usage.html
FARGATE_USAGE: dict[str, Any] = {
    "MetricNamespace": "AWS/Usage",
    "MetricName": "ResourceCount",
    "MetricDimensions": {
        "Service": "Fargate",
        "Type": "Resource",
        "Resource": "vCPU",
        "Class": "Standard/OnDemand",
    },
}
USAGE_WINDOW = timedelta(minutes=15)
CPU_UNITS = 1024


def check_load_balancers(subject: Subject) -> bool:
    """Raises `DeploymentFailed` (`AWS_QUOTA_EXCEEDED`) or `NotKnown`."""
    if subject.has_load_balancer:
        return False
    limit = _elb_limit(subject, "application-load-balancers")
    pages = aws.client("elbv2").get_paginator("describe_load_balancers").paginate()
    kinds = [balancer["Type"] for page in pages for balancer in page["LoadBalancers"]]
    _check_quota("Application Load Balancers", limit, kinds.count("application"), 1)
    return True


def check_target_groups(subject: Subject) -> bool:
    """Raises `DeploymentFailed` (`AWS_QUOTA_EXCEEDED`) or `NotKnown`."""
    if target_group.exists(subject.deployment.id):
        return False
    limit = _elb_limit(subject, "target-groups")
    pages = aws.client("elbv2").get_paginator("describe_target_groups").paginate()
    _check_quota("target groups", limit, sum(len(page["TargetGroups"]) for page in pages), 1)
    return True


def _elb_limit(subject: Subject, name: str) -> int:
    limit = subject.elb_limits.get(name, "")
    if not limit.isdecimal():
        raise NotKnown(f"Elastic Load Balancing does not report the quota {name}")
    return int(limit)


def check_fargate(subject: Subject) -> bool:
    """Raises `DeploymentFailed` (`AWS_QUOTA_EXCEEDED`) or `NotKnown`.

    The usage is the newest value in CloudWatch, which can be some minutes old.
    """
    needed = subject.new_tasks * subject.deployment.spec.cpu / CPU_UNITS
    if not needed:
        return False
    quotas = aws.client("service-quotas")
    try:
        quota = quotas.get_service_quota(ServiceCode="fargate", QuotaCode=FARGATE_QUOTA)["Quota"]
    except quotas.exceptions.NoSuchResourceException:
        raise NotKnown(f"Service Quotas has no quota {FARGATE_QUOTA}") from None
    used, counted_at = _used(quota.get("UsageMetric") or FARGATE_USAGE)
    evidence = {"counted_at": counted_at, "quota": FARGATE_QUOTA}
    _check_quota("Fargate vCPU", quota["Value"], used, needed, evidence)
    _check_scaling(subject, quota["Value"], used + needed)
    return True


def _check_scaling(subject: Subject, limit: float, used: float) -> None:
    """Raises `NotKnown` if the quota allows the minimum number of tasks, but not the maximum.

    This is no failure: a deployment starts with the minimum, and other tasks may have stopped
    before it scales.
    """
    scaling, cpu = subject.deployment.scaling, subject.deployment.spec.cpu
    if scaling is None:
        return
    most = used + (scaling.max - scaling.min) * cpu / CPU_UNITS
    if most > limit:
        raise NotKnown(
            f"the quota allows {scaling.min} task(s), but not the maximum of {scaling.max}, which "
            f"needs {most:g} of {limit:g} vCPU"
        )


def _used(metric: dict[str, Any]) -> tuple[float, str | None]:
    """The newest usage and its time; 0 and None if CloudWatch has no data, because no task ran."""
    moment = clock.now()
    points = aws.client("cloudwatch").get_metric_statistics(
        Namespace=metric["MetricNamespace"],
        MetricName=metric["MetricName"],
        Dimensions=[{"Name": n, "Value": v} for n, v in metric["MetricDimensions"].items()],
        StartTime=moment - USAGE_WINDOW,
        EndTime=moment,
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    if not points:
        return 0, None
    newest = max(points, key=lambda point: point["Timestamp"])
    return newest["Maximum"], rfc3339(newest["Timestamp"])


def _check_quota(
    what: str,
    limit: float,
    used: float,
    needed: float,
    evidence: dict[str, Any] | None = None,
) -> None:
    if used + needed <= limit:
        return
    counts = {"limit": limit, "used": used, "needed": needed, "region": settings().aws_region}
    wait = (
        " After a delete, wait a few minutes until AWS counts the usage again." if evidence else ""
    )
    raise DeploymentFailed(
        FailureCode.AWS_QUOTA_EXCEEDED,
        f"The account's quota is {limit:g} {what} in {settings().aws_region}: "
        f"{used:g} are in use, and this deployment needs {needed:g} more.",
        hint="Delete deployments that you do not need, or ask AWS for a higher quota." + wait,
        evidence={**counts, **(evidence or {})},
    )
