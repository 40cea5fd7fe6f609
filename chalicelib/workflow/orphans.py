"""Resources with this stack's tag, by the deployment in their tags."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain import naming
from chalicelib.platform import aws
from chalicelib.platform.settings import settings


@dataclass(frozen=True)
class Orphan:
    """A deployment with tagged resources. ID and owner are as in the tags."""

    id: str
    owner: str


def find() -> list[Orphan]:
    """Every deployment that has a resource with this stack's tag, in one listing.

    Resources without the tags of the stack and of a deployment do not concern Slipway.
    """
    api = aws.client("resourcegroupstaggingapi")
    filters = [
        {"Key": naming.TAG_STACK, "Values": [settings().stack_name]},
        {"Key": naming.TAG_DEPLOYMENT},
    ]
    orphans: dict[str, Orphan] = {}
    for page in api.get_paginator("get_resources").paginate(TagFilters=filters):
        for entry in page["ResourceTagMappingList"]:
            tags = {tag["Key"]: tag["Value"] for tag in entry["Tags"]}
            deployment_id = tags.get(naming.TAG_DEPLOYMENT, "")
            if naming.ID_PATTERN.fullmatch(deployment_id):
                owner = tags.get(naming.TAG_OWNER, "unknown")
                orphans[deployment_id] = Orphan(deployment_id, owner)
    return list(orphans.values())
