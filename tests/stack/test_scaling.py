"""A deployment with autoscaling on the whole stack; moto stores its scalable target.

Nothing scales there, because no load drives a metric. The test sets the count as AWS would.
"""

from typing import Any

from local.emulator import Aws
from local.emulator import client as aws_client
from local.stack import Stack
from tests.stack.client import Client, wait_until
from tests.stack.test_reconciler import reconcile

BY_REQUESTS = {"min": 1, "max": 3, "metric": "requests_per_target", "target": 600}
BY_CPU = {"min": 2, "max": 4, "metric": "cpu", "target": 60}


def moto(stack: Stack, service: str) -> Any:
    """A client of moto's server, at the address that the functions use."""
    functions = aws_client("lambda", stack).list_functions()["Functions"]
    url = functions[0]["Environment"]["Variables"]["AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING"]
    return aws_client(service, Aws(url, "moto", "moto"))


def bounds(stack: Stack, deployment: str) -> list[tuple[int, int]]:
    found = moto(stack, "application-autoscaling").describe_scalable_targets(
        ServiceNamespace="ecs", ResourceIds=[f"service/{deployment}/{deployment}"]
    )
    return [(t["MinCapacity"], t["MaxCapacity"]) for t in found["ScalableTargets"]]


def metrics(stack: Stack, deployment: str) -> list[str]:
    found = moto(stack, "application-autoscaling").describe_scaling_policies(
        ServiceNamespace="ecs", ResourceId=f"service/{deployment}/{deployment}"
    )["ScalingPolicies"]
    tracked = [policy["TargetTrackingScalingPolicyConfiguration"] for policy in found]
    return [str(t["PredefinedMetricSpecification"]["PredefinedMetricType"]) for t in tracked]


def test_an_autoscaled_deployment_is_created_changed_and_deleted(api: Client, stack: Stack) -> None:
    made = api.deploy("scaled", scaling=BY_REQUESTS)
    name = made["id"]
    assert made["status"] == "ACTIVE", made["failure"]
    assert (made["spec"]["scaling"], made["spec"]["count"]) == (BY_REQUESTS, None)
    assert bounds(stack, name) == [(1, 3)]
    assert metrics(stack, name) == ["ALBRequestCountPerTarget"]

    ecs = aws_client("ecs", stack)
    ecs.update_service(cluster=name, service=name, desiredCount=3)  # as AWS does under load
    assert name not in reconcile(stack)
    dearer = api.get(name)
    assert dearer["cost"]["usd_per_hour"] > made["cost"]["usd_per_hour"]
    assert dearer["generation"] == made["generation"]

    changed = api.change(name, scaling=BY_CPU)
    assert (changed["status"], changed["operation"]["status"]) == ("ACTIVE", "succeeded")
    assert bounds(stack, name) == [(2, 4)]
    assert metrics(stack, name) == ["ECSServiceAverageCPUUtilization"]
    found = ecs.describe_services(cluster=name, services=[name])["services"][0]
    assert found["desiredCount"] == 3
    assert changed["cost"]["usd_per_hour"] == dearer["cost"]["usd_per_hour"]

    gone = api.delete(name)
    assert gone["status"] == "DELETED"
    receipts = {r["kind"]: r["verified_gone"] for r in gone["resources"]}
    assert receipts["scalable_target"] is True
    assert (bounds(stack, name), metrics(stack, name)) == ([], [])


def test_the_functions_are_traced(stack: Stack, api: Client) -> None:
    """X-Ray's SDK reports each AWS call. Nothing is switched off here."""
    assert api.send("GET", "/deployments").status == 200
    xray = moto(stack, "xray")
    span = {"StartTime": "2020-01-01T00:00:00Z", "EndTime": "2100-01-01T00:00:00Z"}

    assert wait_until(lambda: xray.get_trace_summaries(**span)["TraceSummaries"], "a trace")
