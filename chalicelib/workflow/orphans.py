"""Resources that carry this stack's tag, by the deployment that they say they belong to."""

from __future__ import annotations

from dataclasses import dataclass, field

from chalicelib import aws
from chalicelib.deployments import naming
from chalicelib.deployments.parts import Leftover
from chalicelib.settings import settings
from chalicelib.workflow import teardown


@dataclass
class Orphan:
    """What the tagging API lists of one deployment; whether AWS still has it is another matter.

    Attributes:
        owner: as the tags say.
        arns: of the resources.
    """

    id: str
    owner: str
    arns: list[str] = field(default_factory=list)


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
                orphan = found.setdefault(deployment_id, Orphan(deployment_id, owner))
                orphan.arns.append(entry["ResourceARN"])
    return list(found.values())


def confirm(orphan: Orphan) -> list[Leftover]:
    """Those that AWS still has: the tagging API goes on listing what was deleted."""
    return teardown.find_leftovers(orphan.id)
