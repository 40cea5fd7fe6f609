"""The tasks of a deployment's service, as ECS describes them now."""

from __future__ import annotations

from typing import Any

from chalicelib.platform import aws

DESCRIBE_BATCH = 100


def describe(
    deployment_id: str, *, desired: tuple[str, ...] = ("RUNNING", "STOPPED")
) -> list[dict[str, Any]]:
    """ECS's descriptions of the tasks. ECS drops a stopped task after about an hour."""
    ecs = aws.client("ecs")
    arns: list[str] = []
    try:
        for status in desired:
            pages = ecs.get_paginator("list_tasks").paginate(
                cluster=deployment_id, desiredStatus=status
            )
            arns += [arn for page in pages for arn in page["taskArns"]]
    except ecs.exceptions.ClusterNotFoundException:
        return []
    tasks: list[dict[str, Any]] = []
    for start in range(0, len(arns), DESCRIBE_BATCH):
        batch = arns[start : start + DESCRIBE_BATCH]
        answer = ecs.describe_tasks(cluster=deployment_id, tasks=batch, include=["TAGS"])
        tasks += answer["tasks"]
    return tasks


def unstopped(deployment_id: str) -> list[str]:
    """The IDs of the tasks that have not stopped yet."""
    return [task_id(task) for task in describe(deployment_id) if task["lastStatus"] != "STOPPED"]


def task_id(task: dict[str, Any]) -> str:
    """The last part of the task's ARN."""
    return task["taskArn"].rsplit("/", 1)[-1]


def attachment(task: dict[str, Any], name: str) -> str | None:
    """A detail of the task's network interface, such as `privateIPv4Address`; None if missing."""
    details = (
        detail
        for entry in task.get("attachments", [])
        if entry.get("type") == "ElasticNetworkInterface"
        for detail in entry.get("details", [])
    )
    return next((detail["value"] for detail in details if detail["name"] == name), None)


def address(task: dict[str, Any]) -> str | None:
    """The task's private address, which is its address in the target group."""
    return attachment(task, "privateIPv4Address")


def public_addresses(tasks: list[dict[str, Any]]) -> dict[str, str]:
    """Network interface ID -> public IPv4 address, with one call for all tasks."""
    attached = (attachment(task, "networkInterfaceId") for task in tasks)
    interfaces = [interface for interface in attached if interface]
    if not interfaces:
        return {}
    filters = [{"Name": "network-interface-id", "Values": interfaces}]
    answer = aws.client("ec2").describe_network_interfaces(Filters=filters)
    return {
        interface["NetworkInterfaceId"]: interface["Association"]["PublicIp"]
        for interface in answer["NetworkInterfaces"]
        if "PublicIp" in interface.get("Association", {})
    }
