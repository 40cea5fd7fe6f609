"""The two security groups: the load balancer's, open to the callers, and the tasks', open to it."""

from __future__ import annotations

from typing import Any

from chalicelib import aws
from chalicelib.deployments import naming
from chalicelib.deployments.deployment import Deployment
from chalicelib.deployments.errors import NotReady
from chalicelib.deployments.parts import Resource
from chalicelib.resources import network
from chalicelib.resources.tagging import retag_ec2, tags_of, upper

KIND = "security_group"
HTTP = 80


def ensure(deployment: Deployment) -> list[Resource]:
    """Both groups, with the rules that the spec asks for."""
    vpc_id = network.find().vpc_id
    front, back = _names(deployment.id)
    front_id = _ensure_group(deployment, front, "Slipway load balancer", vpc_id)
    back_id = _ensure_group(deployment, back, "Slipway tasks", vpc_id)
    ranges = [{"CidrIp": cidr, "Description": "callers"} for cidr in deployment.spec.ingress_cidrs]
    _authorize(front_id, {"FromPort": HTTP, "ToPort": HTTP, "IpRanges": ranges})
    pair = {"GroupId": front_id, "Description": "the load balancer"}
    port = deployment.spec.port
    _authorize(back_id, {"FromPort": port, "ToPort": port, "UserIdGroupPairs": [pair]})
    return [
        Resource(kind=KIND, name=front, arn=front_id),
        Resource(kind=KIND, name=back, arn=back_id),
    ]


def ids(deployment_id: str) -> tuple[str, str]:
    """(load balancer's group id, tasks' group id). Raises `NotReady` right after a create."""
    found = {group["GroupName"]: group["GroupId"] for group in _find(deployment_id)}
    try:
        front, back = (found[name] for name in _names(deployment_id))
    except KeyError as missing:
        raise NotReady(f"security group {missing} is not visible yet") from None
    return front, back


def delete(deployment_id: str) -> None:
    """Deletes both; raises `NotReady` while a network interface of the load balancer lingers.

    The tasks' group names the load balancer's in its rule, so it goes first; the rule is revoked
    before, for a group that is named by another's rule cannot be deleted.
    """
    ec2 = aws.client("ec2")
    held, refused = [], []
    for group in sorted(_find(deployment_id), key=lambda g: g["GroupName"], reverse=True):
        try:
            _revoke(ec2, group)
            ec2.delete_security_group(GroupId=group["GroupId"])
        except ec2.exceptions.ClientError as error:
            code = aws.code_of(error)
            if code == "DependencyViolation":
                held.append(group["GroupName"])
            elif code != "InvalidGroup.NotFound":
                refused.append(error)  # the other one can go all the same
    if refused:
        raise refused[0]
    if held:
        raise NotReady(
            f"{' and '.join(held)} still held by network interfaces that AWS is removing"
        )


def _revoke(ec2: Any, group: dict[str, Any]) -> None:
    if not group.get("IpPermissions"):
        return
    try:
        ec2.revoke_security_group_ingress(
            GroupId=group["GroupId"], IpPermissions=group["IpPermissions"]
        )
    except ec2.exceptions.ClientError as error:
        # Another run of this step revoked them meanwhile; the group is still to be deleted.
        if aws.code_of(error) != "InvalidPermission.NotFound":
            raise


def exists(deployment_id: str) -> list[str]:
    """The names of the groups that AWS still knows."""
    return [group["GroupName"] for group in _find(deployment_id)]


def _names(deployment_id: str) -> tuple[str, str]:
    return (
        naming.load_balancer_security_group(deployment_id),
        naming.task_security_group(deployment_id),
    )


def _find(deployment_id: str) -> list[dict[str, Any]]:
    # By the tag as well as the name: a group name is unique only within its VPC.
    filters = [
        {"Name": "group-name", "Values": list(_names(deployment_id))},
        {"Name": f"tag:{naming.TAG_DEPLOYMENT}", "Values": [deployment_id]},
    ]
    return aws.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]


def _ensure_group(deployment: Deployment, name: str, description: str, vpc_id: str) -> str:
    ec2 = aws.client("ec2")
    tags = [{"ResourceType": "security-group", "Tags": upper(tags_of(deployment, Name=name))}]
    try:
        answer = ec2.create_security_group(
            GroupName=name, Description=description, VpcId=vpc_id, TagSpecifications=tags
        )
        return answer["GroupId"]
    except ec2.exceptions.ClientError as error:
        if aws.code_of(error) != "InvalidGroup.Duplicate":
            raise
    groups = {group["GroupName"]: group["GroupId"] for group in _find(deployment.id)}
    if name not in groups:
        raise NotReady(f"security group {name} is not visible yet")
    retag_ec2(deployment, groups[name], Name=name)
    return groups[name]


def _authorize(group_id: str, permission: dict[str, Any]) -> None:
    ec2 = aws.client("ec2")
    # One entry a call: AWS refuses a whole call for one rule that is there already.
    key = "IpRanges" if "IpRanges" in permission else "UserIdGroupPairs"
    for entry in permission[key]:
        try:
            ec2.authorize_security_group_ingress(
                GroupId=group_id, IpPermissions=[{"IpProtocol": "tcp", **permission, key: [entry]}]
            )
        except ec2.exceptions.ClientError as error:
            code = aws.code_of(error)
            if code == "InvalidGroup.NotFound":
                raise NotReady(f"security group {group_id} is not visible yet") from None
            if code != "InvalidPermission.Duplicate":
                raise
