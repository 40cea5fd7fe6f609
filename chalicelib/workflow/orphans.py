"""Resources that carry this stack's tag, by the deployment that they say they belong to."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain import naming
from chalicelib.platform import aws
from chalicelib.platform.settings import settings


@dataclass(frozen=True)
class Orphan:
    """A deployment of which the tagging API lists something; its owner is as the tags say."""

    id: str
    owner: str


def find() -> list[Orphan]:
    """Everything with the tag of this stack and of a deployment, in one listing.

    What carries no such tag is nobody's business here.
    """
    api = aws.client("resourcegroupstaggingapi")
    filters = [
        {"Key": naming.TAG_STACK, "Values": [settings().stack_name]},
        {"Key": naming.TAG_DEPLOYMENT},
    ]
    found: dict[str, Orphan] = {}
    for page in api.get_paginator("get_resources").paginate(TagFilters=filters):
        for entry in page["ResourceTagMappingList"]:
            tags = {tag["Key"]: tag["Value"] for tag in entry["Tags"]}
            deployment_id = tags.get(naming.TAG_DEPLOYMENT, "")
            if naming.ID_PATTERN.fullmatch(deployment_id):
                owner = tags.get(naming.TAG_OWNER, "unknown")
                found[deployment_id] = Orphan(deployment_id, owner)
    return list(found.values())
