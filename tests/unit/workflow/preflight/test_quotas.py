from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.platform import aws
from chalicelib.resources import load_balancer, security_groups, target_group
from chalicelib.workflow.preflight import quotas
from chalicelib.workflow.preflight.subject import NotKnown, Subject
from tests.support import aws_says
from tests.support.builders import MOMENT, deployment_of

pytestmark = pytest.mark.usefixtures("cloud", "stopped_clock")


def allow(**limits: str) -> None:
    """Set quotas of the account, such as `target_groups="1"`."""
    limits_shown = [
        {"Name": name.replace("_", "-"), "Max": value} for name, value in limits.items()
    ]
    aws_says.answer("elbv2", "DescribeAccountLimits", {"Limits": limits_shown})


def failure(check: Any, subject: Subject) -> DeploymentFailed:
    with pytest.raises(DeploymentFailed) as raised:
        check(subject)
    assert raised.value.code is FailureCode.AWS_QUOTA_EXCEEDED
    assert raised.value.hint
    return raised.value


def make_load_balancer(deployment_id: str) -> None:
    deployment = deployment_of(deployment_id)
    security_groups.ensure(deployment)
    load_balancer.ensure(deployment)


# --- load balancers and target groups ------------------------------------------------------


def test_another_load_balancer_must_fit() -> None:
    make_load_balancer("first-abcdef")
    allow(application_load_balancers="1")
    fault = failure(quotas.check_load_balancers, Subject(deployment_of()))
    assert fault.message == (
        "The account's quota is 1 Application Load Balancers in us-east-1: "
        "1 are in use, and this deployment needs 1 more."
    )
    assert (fault.evidence["limit"], fault.evidence["used"], fault.evidence["needed"]) == (1, 1, 1)


def test_the_last_load_balancer_can_be_created() -> None:
    make_load_balancer("first-abcdef")
    allow(application_load_balancers="2")
    assert quotas.check_load_balancers(Subject(deployment_of()))


def test_load_balancers_of_other_types_do_not_count() -> None:
    ec2, elbv2 = aws.client("ec2"), aws.client("elbv2")
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    elbv2.create_load_balancer(Name="other", Type="network", Subnets=subnets)
    allow(application_load_balancers="1")
    assert quotas.check_load_balancers(Subject(deployment_of()))


def test_the_deployments_own_load_balancer_does_not_count() -> None:
    deployment = deployment_of()
    make_load_balancer(deployment.id)
    allow(application_load_balancers="1")
    assert not quotas.check_load_balancers(Subject(deployment))


def test_another_target_group_must_fit() -> None:
    deployment = deployment_of()
    allow(target_groups="1")
    assert quotas.check_target_groups(Subject(deployment))
    target_group.ensure(deployment)
    assert not quotas.check_target_groups(Subject(deployment))
    other = Subject(deployment_of("other-abcdef"))
    assert "1 target groups" in failure(quotas.check_target_groups, other).message


@pytest.mark.parametrize("value", ["", "many"])
def test_an_unreported_quota_is_unknown(value: str) -> None:
    allow(target_groups=value)
    with pytest.raises(NotKnown):
        quotas.check_target_groups(Subject(deployment_of()))
    with pytest.raises(NotKnown):
        quotas.check_load_balancers(Subject(deployment_of()))


# --- Fargate vCPU --------------------------------------------------------------------------


def vcpu(limit: float, *used: float, metric: dict[str, Any] | None = None) -> list[Any]:
    """Set a quota and the usage in CloudWatch, oldest first. Return the list of requests."""
    quota = {"Value": limit, **({"UsageMetric": metric} if metric else {})}
    aws_says.answer("service-quotas", "GetServiceQuota", {"Quota": quota})
    points = [
        {"Timestamp": MOMENT - timedelta(minutes=len(used) - n), "Maximum": count}
        for n, count in enumerate(used)
    ]
    aws_says.answer("cloudwatch", "GetMetricStatistics", {"Datapoints": points[::-1]})
    return aws_says.watch("cloudwatch", "GetMetricStatistics")


def with_new_tasks(count: int, **fields: Any) -> Subject:
    subject = Subject(deployment_of(**fields))
    vars(subject)["new_tasks"] = count
    return subject


def test_vcpu_beyond_the_quota_is_reported_with_all_three_numbers() -> None:
    vcpu(6, 5.5)
    fault = failure(quotas.check_fargate, with_new_tasks(3))
    assert "6 Fargate vCPU" in fault.message
    assert "5.5 are in use, and this deployment needs 0.75 more" in fault.message
    assert "After a delete, wait a few minutes until AWS counts the usage again." in fault.hint
    assert fault.evidence["counted_at"] == "2026-11-24T09:29:00.000Z"


def test_vcpu_within_the_quota_is_accepted() -> None:
    vcpu(6, 5.5)
    assert quotas.check_fargate(with_new_tasks(2))


def test_the_newest_value_counts() -> None:
    vcpu(6, 6, 2)
    assert quotas.check_fargate(with_new_tasks(4, cpu=1024, memory=2048))


def scaling_from_two_to_eight() -> Subject:
    scaling = {"min": 2, "max": 8, "metric": "cpu", "target": 60}
    return with_new_tasks(2, cpu=1024, memory=2048, scaling=scaling)


def test_capacity_for_the_maximum_is_enough() -> None:
    vcpu(10, 2)
    assert quotas.check_fargate(scaling_from_two_to_eight())


def test_capacity_for_only_the_minimum_is_reported() -> None:
    vcpu(9, 2)
    with pytest.raises(
        NotKnown, match=r"allows 2 task.*the maximum of 8, which needs 10 of 9 vCPU"
    ):
        quotas.check_fargate(scaling_from_two_to_eight())


def test_too_little_capacity_for_the_minimum_is_a_failure() -> None:
    vcpu(3, 2)
    fault = failure(quotas.check_fargate, scaling_from_two_to_eight())
    assert "needs 2 more" in fault.message


def test_no_values_mean_no_usage() -> None:
    vcpu(6)
    assert quotas.check_fargate(with_new_tasks(6, cpu=1024, memory=2048))
    fault = failure(quotas.check_fargate, with_new_tasks(7, cpu=1024, memory=2048))
    assert "0 are in use, and this deployment needs 7 more" in fault.message


def test_no_new_task_needs_no_vcpu(aws_calls: list[str]) -> None:
    assert not quotas.check_fargate(with_new_tasks(0))
    assert aws_calls == []


def test_the_quotas_usage_metric_is_requested() -> None:
    metric = {
        "MetricNamespace": "AWS/Usage",
        "MetricName": "Count",
        "MetricDimensions": {"Service": "X"},
    }
    (calls := vcpu(6, 1, metric=metric)).clear()
    quotas.check_fargate(with_new_tasks(1))
    assert calls[0]["MetricName"] == "Count"
    assert calls[0]["Dimensions"] == [{"Name": "Service", "Value": "X"}]


def test_fargates_metric_is_requested_otherwise() -> None:
    calls = vcpu(6, 1)
    quotas.check_fargate(with_new_tasks(1))
    dimensions = {d["Name"]: d["Value"] for d in calls[0]["Dimensions"]}
    assert dimensions == {
        "Service": "Fargate",
        "Type": "Resource",
        "Resource": "vCPU",
        "Class": "Standard/OnDemand",
    }


def test_a_missing_quota_is_unknown() -> None:
    with pytest.raises(NotKnown):
        quotas.check_fargate(with_new_tasks(1))
