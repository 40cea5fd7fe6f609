"""The tags of a deployment's resources, in the forms that AWS services want."""

from __future__ import annotations

from chalicelib.deployments import naming
from chalicelib.deployments.deployment import Deployment
from chalicelib.settings import settings


def tags_of(deployment: Deployment, **more: str) -> dict[str, str]:
    """Every tag that a resource of the deployment carries."""
    own = naming.tags(deployment.id, deployment.owner, settings().stack_name, deployment.spec.tags)
    return {**own, **more}


def upper(tags: dict[str, str]) -> list[dict[str, str]]:
    """`[{"Key", "Value"}]`, as EC2 and Elastic Load Balancing want it."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def lower(tags: dict[str, str]) -> list[dict[str, str]]:
    """`[{"key", "value"}]`, as ECS wants it."""
    return [{"key": key, "value": value} for key, value in tags.items()]
