"""A change of tags updates every resource, keeps foreign tags, and makes no needless call."""

from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.platform import aws
from chalicelib.resources import (
    cluster,
    listener,
    load_balancer,
    log_group,
    security_groups,
    service,
    target_group,
    task_definition,
)
from tests.support import aws_says
from tests.support.builders import ID, MOMENT, deployment_of, spec_of
from tests.unit.resources.conftest import IN_ORDER, Ensure

BEFORE = {"team": "a", "stage": "dev", "old": "1"}
AFTER = {"team": "b", "stage": "dev", "new": "2"}
# A foreign tag, for example of a company's tagging tool.
FOREIGN = "CreatedBy"
RETAGGING = {"CreateTags", "DeleteTags", "AddTags", "RemoveTags", "TagResource", "UntagResource"}

Tags = dict[str, str]


@pytest.fixture
def deployment(cloud: None) -> Deployment:
    return deployment_of(tags=BEFORE)


@pytest.fixture
def tagged(deployed: Deployment) -> Deployment:
    """An ACTIVE deployment. Each resource also has a foreign tag."""
    deployed.activate(MOMENT, 0.04)
    tag = {"Key": FOREIGN, "Value": "them"}
    ec2, elbv2, ecs, logs = map(aws.client, ("ec2", "elbv2", "ecs", "logs"))
    ec2.create_tags(Resources=list(security_groups.ids(ID)), Tags=[tag])
    elbv2.add_tags(ResourceArns=list(balancing().values()), Tags=[tag])
    for arn in containers().values():
        ecs.tag_resource(resourceArn=arn, tags=[{"key": FOREIGN, "value": "them"}])
    logs.tag_resource(resourceArn=log_arn(), tags={FOREIGN: "them"})
    return deployed


def balancing() -> dict[str, str]:
    balancer = load_balancer.get(ID).arn
    front = listener.serving(deployment_of())
    assert front
    return {
        "load_balancer": balancer,
        "target_group": target_group.get_arn(ID),
        "listener": front["ListenerArn"],
    }


def containers() -> dict[str, str]:
    ecs = aws.client("ecs")
    shown_tags = ecs.describe_services(cluster=ID, services=[ID])["services"][0]
    return {
        "cluster": shown_tags["clusterArn"],
        "service": shown_tags["serviceArn"],
        "task_definition": shown_tags["taskDefinition"],
    }


def log_arn() -> str:
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=log_group.name_of(ID))
    return groups["logGroups"][0]["arn"].removesuffix(":*")


def everywhere() -> dict[str, Tags]:
    """Resource -> its tags, without the stack's own."""
    ec2, elbv2, ecs, logs = map(aws.client, ("ec2", "elbv2", "ecs", "logs"))
    shown_tags: dict[str, Any] = {}
    for group in ec2.describe_security_groups(GroupIds=list(security_groups.ids(ID)))[
        "SecurityGroups"
    ]:
        shown_tags[group["GroupName"]] = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
        assert shown_tags[group["GroupName"]].pop("Name") == group["GroupName"]
    for name, arn in balancing().items():
        own = elbv2.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
        shown_tags[name] = {tag["Key"]: tag["Value"] for tag in own}
    for name, arn in containers().items():
        own = ecs.list_tags_for_resource(resourceArn=arn)["tags"]
        shown_tags[name] = {tag["key"]: tag["value"] for tag in own}
    shown_tags["log_group"] = logs.list_tags_for_resource(resourceArn=log_arn())["tags"]
    for tags in shown_tags.values():
        assert tags["slipway:deployment"] == ID
    return {
        name: {key: value for key, value in tags.items() if not key.startswith("slipway:")}
        for name, tags in shown_tags.items()
    }


def patch(deployment: Deployment, **fields: Any) -> None:
    deployment.update(spec_of(**fields), MOMENT, new_image=False)


def converge(deployment: Deployment) -> None:
    for ensure in IN_ORDER:
        ensure(deployment)


def test_every_resource_has_the_tags_of_the_spec(tagged: Deployment) -> None:
    shown_tags = everywhere()
    assert len(shown_tags) == 9
    assert all(tags == {**BEFORE, FOREIGN: "them"} for tags in shown_tags.values()), shown_tags


def test_a_patch_adds_changes_and_removes_tags_and_keeps_others(tagged: Deployment) -> None:
    patch(tagged, tags=AFTER)
    converge(tagged)
    converge(tagged)
    shown_tags = everywhere()
    assert all(tags == {**AFTER, FOREIGN: "them"} for tags in shown_tags.values()), shown_tags


def test_a_patch_of_only_tags_restarts_no_task(tagged: Deployment) -> None:
    converge(tagged)
    before = containers()
    registered = aws_says.watch("ecs", "RegisterTaskDefinition")
    shown_tags = aws.client("ecs").describe_services(cluster=ID, services=[ID])["services"]
    shown = {**shown_tags[0], "healthCheckGracePeriodSeconds": 78}
    aws_says.answer("ecs", "DescribeServices", {"services": [shown]})
    updated = aws_says.watch("ecs", "UpdateService")
    patch(tagged, tags=AFTER)
    converge(tagged)
    assert (registered, updated) == ([], [])
    assert containers() == before


def test_a_failed_update_restores_the_tags(tagged: Deployment) -> None:
    patch(tagged, tags=AFTER, cpu=512, memory=1024)
    converge(tagged)
    assert tagged.last_active
    tagged.restore(tagged.last_active)
    converge(tagged)
    tagged.activate(MOMENT, 0.04)
    shown_tags = everywhere()
    assert all(tags == {**BEFORE, FOREIGN: "them"} for tags in shown_tags.values()), shown_tags


def test_no_call_is_made_if_no_tag_changed(tagged: Deployment, aws_calls: list[str]) -> None:
    for fields in ({"tags": AFTER}, {"tags": AFTER, "count": 2}):
        aws_calls.clear()
        patch(tagged, **fields)
        converge(tagged)
        tagged.activate(MOMENT, 0.04)
        made = {call.rpartition(".")[2] for call in aws_calls} & RETAGGING
        assert made == (RETAGGING if "count" not in fields else set())


def test_an_older_revision_gets_the_current_tags(tagged: Deployment) -> None:
    for fields in (
        {"tags": BEFORE, "cpu": 512, "memory": 1024},
        {"tags": AFTER, "cpu": 512, "memory": 1024},
        {"tags": AFTER},
    ):
        patch(tagged, **fields)
        converge(tagged)
        tagged.activate(MOMENT, 0.04)
    assert containers()["task_definition"].endswith(":1")
    assert everywhere()["task_definition"] == {**AFTER, FOREIGN: "them"}


@pytest.mark.parametrize(
    ("ensure", "api", "operation", "code"),
    [
        (security_groups.ensure, "ec2", "CreateTags", "InvalidGroup.NotFound"),
        (load_balancer.ensure, "elbv2", "AddTags", "LoadBalancerNotFound"),
        (target_group.ensure, "elbv2", "RemoveTags", "TargetGroupNotFound"),
        (listener.ensure, "elbv2", "AddTags", "ListenerNotFound"),
        (cluster.ensure, "ecs", "TagResource", "ClusterNotFoundException"),
        (task_definition.ensure, "ecs", "TagResource", "ResourceNotFoundException"),
        (service.ensure, "ecs", "UntagResource", "ResourceNotFoundException"),
        (log_group.ensure, "logs", "TagResource", "ResourceNotFoundException"),
    ],
)
def test_a_resource_that_was_deleted_meanwhile_is_looked_up_again(
    tagged: Deployment, ensure: Ensure, api: str, operation: str, code: str
) -> None:
    patch(tagged, tags=AFTER)
    aws_says.refuse(api, operation, code, times=1)
    with pytest.raises(NotReady):
        ensure(tagged)
    ensure(tagged)
