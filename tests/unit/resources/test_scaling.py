"""Application Auto Scaling on moto, which stores targets and policies but validates little."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady, Retryable
from chalicelib.domain.parts import Resource
from chalicelib.platform import aws
from chalicelib.resources import load_balancer, scaling, service, target_group
from chalicelib.workflow import aws_errors
from tests.support import aws_says
from tests.support.builders import ID, MOMENT, deployment_of, spec_of

AUTOSCALING = "application-autoscaling"
BY_CPU: dict[str, Any] = {"min": 2, "max": 5, "metric": "cpu", "target": 60}
BY_REQUESTS: dict[str, Any] = {**BY_CPU, "metric": "requests_per_target", "target": 600}


def scale(deployment: Deployment, body: dict[str, Any] | None) -> None:
    deployment.spec = spec_of(tags={"team": "a"}, **({"scaling": body} if body else {"count": 2}))


@pytest.fixture
def scaled(deployed: Deployment) -> Deployment:
    """A deployment that scales by CPU."""
    scale(deployed, BY_CPU)
    scaling.ensure(deployed)
    return deployed


def tracking() -> dict[str, Any]:
    [policy] = scaling.find_policies(ID)
    return dict(policy["TargetTrackingScalingPolicyConfiguration"])


def alarms() -> list[str]:
    described = aws.client("cloudwatch").describe_alarms(AlarmNamePrefix="TargetTracking-")
    return [alarm["AlarmName"] for alarm in described["MetricAlarms"]]


def test_the_target_scales_by_cpu_within_the_bounds(scaled: Deployment) -> None:
    target = scaling.find_target(ID)
    assert target and (target["MinCapacity"], target["MaxCapacity"]) == (2, 5)
    assert target["ResourceId"] == f"service/{ID}/{ID}"
    described = tracking()
    assert described["TargetValue"] == 60
    assert described["PredefinedMetricSpecification"] == {
        "PredefinedMetricType": "ECSServiceAverageCPUUtilization"
    }
    assert (described["ScaleOutCooldown"], described["ScaleInCooldown"]) == (60, 300)


def test_the_request_count_policy_names_the_load_balancer_and_target_group(
    scaled: Deployment,
) -> None:
    scale(scaled, BY_REQUESTS)
    scaling.ensure(scaled)
    metric = tracking()["PredefinedMetricSpecification"]
    assert metric["PredefinedMetricType"] == "ALBRequestCountPerTarget"
    balancer, group = load_balancer.get(ID).arn, target_group.get_arn(ID)
    assert metric["ResourceLabel"] == (
        f"app/{ID}/{balancer.rsplit('/', 1)[-1]}/targetgroup/{ID}/{group.rsplit('/', 1)[-1]}"
    )


def test_repeated_ensure_creates_one_target_with_one_policy(scaled: Deployment) -> None:
    first, second = scaling.ensure(scaled), scaling.ensure(scaled)
    assert first == second
    assert (first[0].kind, first[0].name) == ("scalable_target", ID)
    assert first[0].arn and ":scalable-target/" in first[0].arn
    assert len(scaling.find_policies(ID)) == 1


def test_tags_are_sent_only_when_the_target_is_created(deployed: Deployment) -> None:
    """AWS refuses tags for an existing target."""
    calls = aws_says.watch(AUTOSCALING, "RegisterScalableTarget")
    scale(deployed, BY_CPU)
    scaling.ensure(deployed)
    scaling.ensure(deployed)
    made, changed = calls
    assert (made["Tags"]["slipway:deployment"], made["Tags"]["team"]) == (ID, "a")
    assert "Tags" not in changed


def test_changed_tags_need_a_new_target(scaled: Deployment) -> None:
    calls = aws_says.watch(AUTOSCALING, "RegisterScalableTarget")
    scaled.retagged = ["team"]
    scaling.ensure(scaled)
    assert [call["Tags"]["team"] for call in calls] == ["a"]
    assert scaling.difference(scaled) == ""


@pytest.mark.parametrize(
    ("operation", "code", "message"),
    [
        ("RegisterScalableTarget", "ValidationException", f"ECS service doesn't exist: {ID}"),
        (
            "RegisterScalableTarget",
            "ValidationException",
            "The scalable target that you tried to tag already exists.",
        ),
        ("PutScalingPolicy", "ObjectNotFoundException", "No scalable target registered"),
    ],
)
def test_transient_errors_are_waited_for(
    deployed: Deployment, operation: str, code: str, message: str
) -> None:
    scale(deployed, BY_CPU)
    aws_says.refuse(AUTOSCALING, operation, code, message)
    with pytest.raises(NotReady, match="cannot be scaled yet"):
        scaling.ensure(deployed)


def test_permanent_errors_are_raised(deployed: Deployment) -> None:
    scale(deployed, BY_CPU)
    aws_says.refuse(AUTOSCALING, "PutScalingPolicy", "ValidationException", "Invalid label")
    with pytest.raises(ClientError, match="Invalid label"):
        scaling.ensure(deployed)


def test_concurrent_runs_retry() -> None:
    response = {"Error": {"Code": "ConcurrentUpdateException", "Message": "another update"}}
    error = ClientError(response, "PutScalingPolicy")
    assert isinstance(aws_errors.workflow_error(error), Retryable)


def test_without_scaling_there_is_no_target(scaled: Deployment) -> None:
    assert scaling.exists(ID) == [ID]
    scale(scaled, None)
    assert scaling.ensure(scaled) == []
    assert scaling.exists(ID) == []
    assert alarms() == []


def test_a_deleted_target_can_be_deleted_again(scaled: Deployment) -> None:
    scaling.delete(ID)
    scaling.delete(ID)
    assert (scaling.find_target(ID), scaling.find_policies(ID)) == (None, [])


@pytest.mark.parametrize("operation", ["DeleteScalingPolicy", "DeregisterScalableTarget"])
def test_a_target_that_another_run_deleted_is_gone(scaled: Deployment, operation: str) -> None:
    aws_says.refuse(AUTOSCALING, operation, "ObjectNotFoundException", "No scalable target found")
    scaling.delete(ID)


def test_a_policy_without_a_target_is_reported_as_remaining(scaled: Deployment) -> None:
    aws_says.answer(AUTOSCALING, "DescribeScalableTargets", {"ScalableTargets": []})
    assert scaling.exists(ID) == [ID]


# --- a rollout -----------------------------------------------------------------------------


def desired() -> int:
    described = service.find(ID)
    assert described
    return int(described["desiredCount"])


@pytest.mark.parametrize(("live", "kept"), [(4, 4), (1, 2), (7, 5)])
def test_a_rollout_keeps_the_live_count_within_the_bounds(
    scaled: Deployment, live: int, kept: int
) -> None:
    aws.client("ecs").update_service(cluster=ID, service=ID, desiredCount=live)
    service.ensure(scaled)
    assert desired() == kept


def test_unchanged_scaling_continues_during_a_rollout(scaled: Deployment) -> None:
    service.ensure(scaled)
    assert scaling.find_target(ID)


@pytest.mark.parametrize("wanted", [None, {**BY_CPU, "max": 3}, {**BY_CPU, "min": 3}])
def test_changed_bounds_do_not_disturb_a_rollout(
    scaled: Deployment, wanted: dict[str, Any] | None
) -> None:
    scale(scaled, wanted)
    service.ensure(scaled)
    assert scaling.exists(ID) == []


# --- changed by hand -----------------------------------------------------------------------

OWN = {
    "ServiceNamespace": "ecs",
    "ResourceId": f"service/{ID}/{ID}",
    "ScalableDimension": "ecs:service:DesiredCount",
}


def _deregister() -> None:
    aws.client(AUTOSCALING).deregister_scalable_target(**OWN)


def _widen() -> None:
    aws.client(AUTOSCALING).register_scalable_target(**OWN, MaxCapacity=9)


def _suspend() -> None:
    aws.client(AUTOSCALING).register_scalable_target(
        **OWN, SuspendedState={"DynamicScalingInSuspended": True}
    )


def _delete_policy() -> None:
    aws.client(AUTOSCALING).delete_scaling_policy(**OWN, PolicyName=ID)


def _put(name: str, target: float, metric: str) -> None:
    aws.client(AUTOSCALING).put_scaling_policy(
        **OWN,
        PolicyName=name,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": target,
            "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
        },
    )


@pytest.mark.parametrize(
    ("by_hand", "words"),
    [
        (_deregister, "scalable target was deleted"),
        (_widen, "scales from 2 to 9 tasks"),
        (_suspend, "scaling is suspended"),
        (_delete_policy, "scaling policy was deleted"),
        (
            lambda: _put(ID, 90, "ECSServiceAverageCPUUtilization"),
            "the target 90 for ECSServiceAverageCPUUtilization",
        ),
        (lambda: _put(ID, 60, "ECSServiceAverageMemoryUtilization"), "MemoryUtilization"),
        (lambda: _put("other", 60, "ECSServiceAverageCPUUtilization"), "another scaling policy"),
    ],
)
def test_manual_changes_are_reported_and_repaired(
    scaled: Deployment, by_hand: Any, words: str
) -> None:
    assert scaling.difference(scaled) == ""
    by_hand()
    assert words in scaling.difference(scaled)
    service.ensure(scaled)  # as in a repair
    scaling.ensure(scaled)
    assert scaling.difference(scaled) == ""


def test_a_deployment_with_a_fixed_count_makes_no_scaling_calls(
    deployed: Deployment, aws_calls: list[str]
) -> None:
    assert scaling.difference(deployed) == ""
    assert aws_calls == []


def test_a_foreign_target_blocks_nothing(scaled: Deployment) -> None:
    fixed = deployment_of()
    aws_says.refuse(AUTOSCALING, "DeleteScalingPolicy", "AccessDeniedException")
    aws_says.refuse(AUTOSCALING, "DeregisterScalableTarget", "AccessDeniedException")
    scaling.release(fixed)
    assert scaling.ensure(fixed) == []
    assert scaling.find_target(ID)
    fixed.record_resource(Resource(kind=scaling.KIND, name=ID), MOMENT)
    with pytest.raises(ClientError):
        scaling.release(fixed)  # its own target does not remain
    with pytest.raises(ClientError):
        scaling.delete(ID)  # a teardown reports what it could not delete
