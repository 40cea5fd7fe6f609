"""The tags of a deployment's resources, in the forms that AWS services expect.

A resource is created with all its tags. When a PATCH or a rollback changes the caller's tags, the
`ensure` of each module updates the existing resource with a function of this module. It adds or
removes only changed keys (`Record.retagged`). So foreign tags stay, and no call is made if nothing
changed.
"""

from __future__ import annotations

from chalicelib.domain import naming
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.platform import aws
from chalicelib.platform.settings import settings


def tags_of(deployment: Deployment, **more: str) -> dict[str, str]:
    """All tags of a resource of the deployment."""
    own = naming.tags(deployment.id, deployment.owner, settings().stack_name, deployment.spec.tags)
    return {**own, **more}


def upper(tags: dict[str, str]) -> list[dict[str, str]]:
    """`[{"Key", "Value"}]`, the form of EC2 and Elastic Load Balancing."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def lower(tags: dict[str, str]) -> list[dict[str, str]]:
    """`[{"key", "value"}]`, the form of ECS."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def changes(
    deployment: Deployment, keys: list[str] | None = None, **more: str
) -> tuple[dict[str, str], list[str]]:
    """(tags to add, keys to remove) of `keys`; by default, of the keys that changed."""
    wanted = tags_of(deployment, **more)
    named = deployment.retagged if keys is None else keys
    put = {key: wanted[key] for key in named if key in wanted}
    return put, [key for key in named if key not in wanted]


def retag_ec2(deployment: Deployment, resource_id: str, **more: str) -> None:
    """Updates the tags. Raises `NotReady` if the resource is not visible yet."""
    put, gone = changes(deployment, None, **more)
    ec2 = aws.client("ec2")
    try:
        if put:
            ec2.create_tags(Resources=[resource_id], Tags=upper(put))
        if gone:
            # Without a value, EC2 deletes the tag whatever its value is.
            # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html
            ec2.delete_tags(Resources=[resource_id], Tags=[{"Key": key} for key in gone])
    except ec2.exceptions.ClientError as error:
        if aws.code_of(error) not in ("InvalidGroup.NotFound", "InvalidID"):
            raise
        raise NotReady(f"{resource_id} is not visible yet") from None


def retag_elbv2(deployment: Deployment, arn: str) -> None:
    """Updates the tags. Raises `NotReady` if the resource is not visible yet."""
    put, gone = changes(deployment)
    elbv2 = aws.client("elbv2")
    try:
        if put:
            elbv2.add_tags(ResourceArns=[arn], Tags=upper(put))
        if gone:
            elbv2.remove_tags(ResourceArns=[arn], TagKeys=gone)
    except (
        elbv2.exceptions.LoadBalancerNotFoundException,
        elbv2.exceptions.TargetGroupNotFoundException,
        elbv2.exceptions.ListenerNotFoundException,
    ) as error:
        raise NotReady(f"a resource is not visible yet: {aws.message_of(error)}") from None


def retag_ecs(deployment: Deployment, arn: str, keys: list[str] | None = None) -> None:
    """Updates the tags. Raises `NotReady` if the resource is not visible yet.

    `keys` as in `changes`.
    """
    put, gone = changes(deployment, keys)
    ecs = aws.client("ecs")
    try:
        if put:
            ecs.tag_resource(resourceArn=arn, tags=lower(put))
        if gone:
            ecs.untag_resource(resourceArn=arn, tagKeys=gone)
    except (
        ecs.exceptions.ResourceNotFoundException,
        ecs.exceptions.ClusterNotFoundException,
    ) as error:
        raise NotReady(f"a resource is not visible yet: {aws.message_of(error)}") from None


def retag_logs(deployment: Deployment, arn: str) -> None:
    """Updates the tags. Raises `NotReady` if the resource is not visible yet."""
    put, gone = changes(deployment)
    logs = aws.client("logs")
    try:
        if put:
            logs.tag_resource(resourceArn=arn, tags=put)
        if gone:
            logs.untag_resource(resourceArn=arn, tagKeys=gone)
    except logs.exceptions.ResourceNotFoundException as error:
        raise NotReady(f"a resource is not visible yet: {aws.message_of(error)}") from None
