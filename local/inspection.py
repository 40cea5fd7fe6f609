"""Asks the emulator directly about a deployment: leftovers and state transitions."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from local.emulator import Endpoint, client

# Each of these events in the history of an execution is one attempt of a Task.
ATTEMPTS = ("TaskScheduled", "LambdaFunctionScheduled", "ActivityScheduled")


def leftovers(aws: Endpoint, deployment_id: str) -> list[str]:
    """Return the resources that remain of a deployment, e.g. "log group /slipway/model-7f3k2q"."""
    return [
        f"{kind} {name}"
        for kind, names in _everything(aws, deployment_id).items()
        for name in names
        if deployment_id in name
    ]


def _everything(aws: Endpoint, deployment_id: str) -> dict[str, list[str]]:
    ecs, elbv2 = client("ecs", aws), client("elbv2", aws)
    groups = client("ec2", aws).describe_security_groups(
        Filters=[{"Name": "tag:slipway:deployment", "Values": [deployment_id]}]
    )["SecurityGroups"]
    clusters = ecs.list_clusters()["clusterArns"]
    return {
        "cluster": clusters,
        "service": [
            arn for cluster in clusters for arn in ecs.list_services(cluster=cluster)["serviceArns"]
        ],
        "task": [
            arn for cluster in clusters for arn in ecs.list_tasks(cluster=cluster)["taskArns"]
        ],
        "task definition": [
            arn
            for status in ("ACTIVE", "INACTIVE")
            for arn in ecs.list_task_definitions(status=status)["taskDefinitionArns"]
        ],
        "load balancer": [
            item["LoadBalancerName"] for item in elbv2.describe_load_balancers()["LoadBalancers"]
        ],
        "target group": [
            item["TargetGroupName"] for item in elbv2.describe_target_groups()["TargetGroups"]
        ],
        "security group": [f"{deployment_id} {group['GroupId']}" for group in groups],
        "DNS record": list(_aliases(aws)),
        "log group": [
            item["logGroupName"] for item in client("logs", aws).describe_log_groups()["logGroups"]
        ],
    }


def _aliases(aws: Endpoint) -> Iterator[str]:
    """Yield every alias record, e.g. "recommend.example.com -> <DNS name of the load balancer>"."""
    route53 = client("route53", aws)
    for zone in route53.list_hosted_zones()["HostedZones"]:
        answer = route53.list_resource_record_sets(HostedZoneId=zone["Id"])
        for record in answer["ResourceRecordSets"]:
            if "AliasTarget" in record:
                yield f"{record['Name']} -> {record['AliasTarget']['DNSName']}"


def transitions(aws: Endpoint, deployment_id: str) -> dict[str, int]:
    """Return the billed state transitions of the deployment's executions, by execution name.

    Each attempt of a Task counts as one transition, and so does every other state entered. For the
    states inside a Parallel, MiniStack's history contains only the attempts of Tasks.
    """
    stepfunctions = client("stepfunctions", aws)
    counted = {}
    for machine in stepfunctions.list_state_machines()["stateMachines"]:
        answer = stepfunctions.list_executions(stateMachineArn=machine["stateMachineArn"])
        for execution in answer["executions"]:
            if execution["name"].startswith(deployment_id):
                events = _history(stepfunctions, execution["executionArn"])
                counted[execution["name"]] = count_transitions(events)
    return dict(sorted(counted.items()))


def count_transitions(events: list[dict[str, Any]]) -> int:
    """Count the state transitions in an execution's history."""
    types = Counter(event["type"] for event in events)
    attempts = sum(types[attempt] for attempt in ATTEMPTS)
    entered = sum(count for kind, count in types.items() if kind.endswith("StateEntered"))
    return attempts + entered - types["TaskStateEntered"]


def _history(stepfunctions: Any, execution: str) -> list[dict[str, Any]]:
    pages = stepfunctions.get_paginator("get_execution_history").paginate(executionArn=execution)
    return [event for page in pages for event in page["events"]]
