"""The two security groups.

The load balancer's group accepts traffic from the callers. The tasks' group accepts traffic from
the load balancer only.
"""

from __future__ import annotations

from typing import Any

from chalicelib.domain import naming
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.domain.parts import Resource, ResourceKind
from chalicelib.platform import aws
from chalicelib.resources import network
from chalicelib.resources.tagging import retag_ec2, tags_of, upper

KIND = ResourceKind.SECURITY_GROUP
HTTP, HTTPS = 80, 443
Rule = dict[str, Any]


def ensure(deployment: Deployment) -> list[Resource]:
    """Creates or updates both groups with the rules of the spec.

    Adds new rules to the load balancer's group before it removes old ones. So a caller in both the
    old and the new ranges always has access.
    """
    vpc_id = network.vpc_id()
    front, back = _names(deployment.id)
    front_id, present = _ensure_group(deployment, front, "Slipway load balancer", vpc_id)
    back_id, _ = _ensure_group(deployment, back, "Slipway tasks", vpc_id)
    wanted = _callers(deployment)
    _authorize(front_id, wanted)
    _revoke(front_id, [rule for rule in _single(present) if _key(rule) not in map(_key, wanted)])
    pair = {"GroupId": front_id, "Description": "the load balancer"}
    _authorize(back_id, [_rule(deployment.spec.container_port, UserIdGroupPairs=[pair])])
    return [
        Resource(kind=KIND, name=front, arn=front_id),
        Resource(kind=KIND, name=back, arn=back_id),
    ]


def _callers(deployment: Deployment) -> list[Rule]:
    """The rules of the load balancer's group: one for each port and range.

    Port 443 stays open in the update that turns HTTPS off, because the listener on port 443 is
    deleted later. The next update closes the port.
    """
    before = deployment.last_active
    secure = deployment.spec.certificate_arn or (before and before.spec.certificate_arn)
    return [
        _rule(port, IpRanges=[{"CidrIp": cidr, "Description": "callers"}])
        for port in ((HTTP, HTTPS) if secure else (HTTP,))
        for cidr in deployment.spec.ingress_cidrs
    ]


def ids(deployment_id: str) -> tuple[str, str]:
    """(load balancer's group ID, tasks' group ID). Raises `NotReady` right after a create."""
    group_ids = {group["GroupName"]: group["GroupId"] for group in _find(deployment_id)}
    try:
        front, back = (group_ids[name] for name in _names(deployment_id))
    except KeyError as missing:
        raise NotReady(f"security group {missing} is not visible yet") from None
    return front, back


def delete(deployment_id: str) -> None:
    """Deletes both groups. Raises `NotReady` while a network interface of the load balancer exists.

    A rule of the tasks' group refers to the load balancer's group, and AWS cannot delete a group
    that a rule refers to. So the rules are revoked and the tasks' group is deleted first.
    """
    ec2 = aws.client("ec2")
    held, refused = [], []
    for group in sorted(_find(deployment_id), key=lambda g: g["GroupName"], reverse=True):
        try:
            _revoke(group["GroupId"], group.get("IpPermissions", []))
            ec2.delete_security_group(GroupId=group["GroupId"])
        except ec2.exceptions.ClientError as error:
            code = aws.code_of(error)
            if code == "DependencyViolation":
                held.append(group["GroupName"])
            elif code != "InvalidGroup.NotFound":
                refused.append(error)  # still try to delete the other group
    if refused:
        raise refused[0]
    if held:
        raise NotReady(f"AWS is still removing network interfaces that use {' and '.join(held)}")


def _revoke(group_id: str, rules: list[Rule]) -> None:
    if not rules:
        return
    ec2 = aws.client("ec2")
    try:
        ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=rules)
    except ec2.exceptions.ClientError as error:
        # A concurrent run of this step revoked a rule, and AWS then refuses the whole call.
        if aws.code_of(error) != "InvalidPermission.NotFound":
            raise
        for rule in rules if len(rules) > 1 else []:
            _revoke(group_id, [rule])


def exists(deployment_id: str) -> list[str]:
    """The names of the groups that still exist."""
    return [group["GroupName"] for group in _find(deployment_id)]


def _names(deployment_id: str) -> tuple[str, str]:
    return (
        naming.load_balancer_security_group(deployment_id),
        naming.task_security_group(deployment_id),
    )


def _find(deployment_id: str) -> list[dict[str, Any]]:
    # Filters by the tag too, because a group name is unique only within its VPC.
    filters = [
        {"Name": "group-name", "Values": list(_names(deployment_id))},
        {"Name": f"tag:{naming.TAG_DEPLOYMENT}", "Values": [deployment_id]},
    ]
    return aws.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]


def _ensure_group(
    deployment: Deployment, name: str, description: str, vpc_id: str
) -> tuple[str, list[Rule]]:
    """The group's ID, and the rules that it had before this call."""
    ec2 = aws.client("ec2")
    tags = [{"ResourceType": "security-group", "Tags": upper(tags_of(deployment, Name=name))}]
    try:
        answer = ec2.create_security_group(
            GroupName=name, Description=description, VpcId=vpc_id, TagSpecifications=tags
        )
        return answer["GroupId"], []
    except ec2.exceptions.ClientError as error:
        if aws.code_of(error) != "InvalidGroup.Duplicate":
            raise
    groups = {group["GroupName"]: group for group in _find(deployment.id)}
    if name not in groups:
        raise NotReady(f"security group {name} is not visible yet")
    retag_ec2(deployment, groups[name]["GroupId"], Name=name)
    return groups[name]["GroupId"], groups[name].get("IpPermissions", [])


def _authorize(group_id: str, rules: list[Rule]) -> None:
    """Adds the rules in one call.

    AWS refuses the whole call if one rule exists already. Then each rule is added separately.
    """
    ec2 = aws.client("ec2")
    try:
        ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=rules)
    except ec2.exceptions.ClientError as error:
        code = aws.code_of(error)
        if code == "InvalidGroup.NotFound":
            raise NotReady(f"security group {group_id} is not visible yet") from None
        if code != "InvalidPermission.Duplicate":
            raise
        for rule in rules if len(rules) > 1 else []:
            _authorize(group_id, [rule])


def _rule(port: int, **who: Any) -> Rule:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **who}


def _single(permissions: list[Rule]) -> list[Rule]:
    """The rules with one source each; EC2 groups the sources of equal rules."""
    sources = ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs")
    return [
        {**{key: value for key, value in shown.items() if key not in sources}, source: [entry]}
        for shown in permissions
        for source in sources
        for entry in shown.get(source, [])
    ]


def _key(rule: Rule) -> tuple[Any, ...]:
    """The parts of a rule that identify it, without its description."""
    cidr = next((entry["CidrIp"] for entry in rule.get("IpRanges", [])), None)
    return rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort"), cidr
