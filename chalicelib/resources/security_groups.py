"""The two security groups: the load balancer's, open to the callers, and the tasks', open to it."""

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
    """Both groups, with the rules that the spec asks for.

    Of the load balancer's group what is no longer asked for is revoked, after what is has been
    allowed: a caller who may come before and after is never shut out.
    """
    vpc_id = network.find().vpc_id
    front, back = _names(deployment.id)
    front_id, present = _ensure_group(deployment, front, "Slipway load balancer", vpc_id)
    back_id, _ = _ensure_group(deployment, back, "Slipway tasks", vpc_id)
    wanted = _callers(deployment)
    _authorize(front_id, wanted)
    _revoke(front_id, [rule for rule in _single(present) if _key(rule) not in map(_key, wanted)])
    pair = {"GroupId": front_id, "Description": "the load balancer"}
    _authorize(back_id, [_rule(deployment.spec.port, UserIdGroupPairs=[pair])])
    return [
        Resource(kind=KIND, name=front, arn=front_id),
        Resource(kind=KIND, name=back, arn=back_id),
    ]


def _callers(deployment: Deployment) -> list[Rule]:
    """Who may reach the load balancer, on which ports.

    Port 443 stays open through the update that turns HTTPS off, for the listener there goes later
    than this; the next update closes it.
    """
    before = deployment.last_active
    secure = deployment.spec.certificate_arn or (before and before.spec.certificate_arn)
    return [
        _rule(port, IpRanges=[{"CidrIp": cidr, "Description": "callers"}])
        for port in ((HTTP, HTTPS) if secure else (HTTP,))
        for cidr in deployment.spec.ingress_cidrs
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
            _revoke(group["GroupId"], group.get("IpPermissions", []))
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


def _revoke(group_id: str, rules: list[Rule]) -> None:
    if not rules:
        return
    ec2 = aws.client("ec2")
    try:
        ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=rules)
    except ec2.exceptions.ClientError as error:
        # Another run of this step revoked one meanwhile, and AWS refuses the whole call for it.
        if aws.code_of(error) != "InvalidPermission.NotFound":
            raise
        for rule in rules if len(rules) > 1 else []:
            _revoke(group_id, [rule])


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


def _ensure_group(
    deployment: Deployment, name: str, description: str, vpc_id: str
) -> tuple[str, list[Rule]]:
    """The group's id, and the rules that it had before this."""
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
    """In one call; AWS refuses it whole for one rule that is there already, so then one by one."""
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
    """Rules of one source each, from those that EC2 shows together."""
    sources = ("IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs")
    return [
        {**{key: value for key, value in shown.items() if key not in sources}, source: [entry]}
        for shown in permissions
        for source in sources
        for entry in shown.get(source, [])
    ]


def _key(rule: Rule) -> tuple[Any, ...]:
    """What tells a rule from others, whatever is said about it."""
    cidr = next((entry["CidrIp"] for entry in rule.get("IpRanges", [])), None)
    return rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort"), cidr
