"""The order that AWS insists on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from tests.simulated_aws.account import Account
from tests.simulated_aws.aws import AwsError, Call
from tests.simulated_aws.order import Order
from tests.simulated_aws.site import (
    NAME,
    SURELY_ACTIVE,
    SURELY_RUNNING,
    Site,
    code_of,
    message_of,
)

UNLINKED = "does not have an associated load balancer."


@pytest.fixture
def site(account: Account) -> Site:
    """Everything but the service."""
    return Site(account).make()


def running(site: Site) -> None:
    """A service with a task that runs."""
    site.create_service()
    site.pass_time(SURELY_RUNNING)


def draining(site: Site) -> None:
    """A service that is on its way out."""
    running(site)
    delete_service(site)


def delete_service(site: Site, **params: Any) -> None:
    """DeleteService by force."""
    site.client("ecs").delete_service(cluster=NAME, service=NAME, **{"force": True, **params})


def gone(site: Site) -> None:
    """A service that is INACTIVE."""
    draining(site)
    site.pass_time(60)
    assert site.service()["status"] == "INACTIVE"


def without_listener(site: Site) -> None:
    """The target group is nobody's."""
    site.client("elbv2").delete_listener(ListenerArn=site.listener)


def without_balancer(site: Site) -> None:
    """The listener went along."""
    site.client("elbv2").delete_load_balancer(LoadBalancerArn=site.balancer)


def inactive_definition(site: Site) -> None:
    """The only revision is deregistered."""
    site.client("ecs").deregister_task_definition(taskDefinition=site.definition)


def nothing(site: Site) -> None:
    """All is as it was made."""


def delete_cluster(site: Site) -> None:
    site.client("ecs").delete_cluster(cluster=NAME)


def delete_definitions(site: Site, count: int = 1) -> None:
    """DeleteTaskDefinitions; raises for what it tells in `failures`."""
    answer = site.client("ecs").delete_task_definitions(taskDefinitions=[site.definition] * count)
    assert not answer["failures"], answer["failures"][0]["reason"]


def delete_group(site: Site) -> None:
    site.client("elbv2").delete_target_group(TargetGroupArn=site.group)


def delete_front(site: Site) -> None:
    site.client("ec2").delete_security_group(GroupId=site.front)


Do = Callable[[Site], object]
# what: what came before, what is asked, the code of the refusal, words of it
REFUSED: dict[str, tuple[Do, Do, str, str]] = {
    "a service before its listener": (
        without_listener,
        Site.create_service,
        "InvalidParameterException",
        UNLINKED,
    ),
    "a service after its load balancer": (
        without_balancer,
        Site.create_service,
        "InvalidParameterException",
        UNLINKED,
    ),
    "a service of an inactive task definition": (
        inactive_definition,
        Site.create_service,
        "ClientException",
        "TaskDefinition is inactive",
    ),
    "a service of a live one's name with another count": (
        running,
        lambda site: site.create_service(desiredCount=2),
        "InvalidParameterException",
        "Creation of service was not idempotent.",
    ),
    "a service of a live one's name with another token": (
        running,
        lambda site: site.create_service(clientToken="other"),
        "InvalidParameterException",
        "Creation of service was not idempotent.",
    ),
    "a service of a draining one's name": (
        draining,
        Site.create_service,
        "InvalidParameterException",
        "Unable to Start a service that is still Draining.",
    ),
    "an update of a draining service": (
        draining,
        lambda site: site.update(desiredCount=2),
        "ServiceNotActiveException",
        "Service was not ACTIVE.",
    ),
    "an update of a deleted service": (
        gone,
        lambda site: site.update(desiredCount=2),
        "ServiceNotActiveException",
        "Service was not ACTIVE.",
    ),
    "an update of no service": (
        nothing,
        lambda site: site.update(desiredCount=2),
        "ServiceNotFoundException",
        "Service not found.",
    ),
    "an unforced deletion of a service with tasks": (
        running,
        lambda site: delete_service(site, force=False),
        "InvalidParameterException",
        "scaled above 0",
    ),
    "the deletion of no service": (
        nothing,
        delete_service,
        "ServiceNotFoundException",
        "Service not found.",
    ),
    "the second deletion of a deleted service": (
        gone,
        delete_service,
        "ServiceNotFoundException",
        "Service not found.",
    ),
    "the deletion of a cluster with a service": (
        running,
        delete_cluster,
        "ClusterContainsServicesException",
        "Services are active",
    ),
    "the deletion of a cluster with a draining service": (
        draining,
        delete_cluster,
        "ClusterContainsServicesException",
        "Services are active",
    ),
    "the deletion of a target group in use": (
        nothing,
        delete_group,
        "ResourceInUse",
        "currently in use by a listener or a rule",
    ),
    "the deletion of a security group that another names": (
        nothing,
        delete_front,
        "DependencyViolation",
        "has a dependent object",
    ),
    "the deletion of a security group that tasks use": (
        running,
        lambda site: site.client("ec2").delete_security_group(GroupId=site.back),
        "DependencyViolation",
        "has a dependent object",
    ),
    "a load balancer of a taken name with other settings": (
        nothing,
        lambda site: site.make_balancer(Scheme="internal"),
        "DuplicateLoadBalancerName",
        "exists, but with different settings",
    ),
    "a target group of a taken name with other settings": (
        nothing,
        lambda site: site.make_group(Port=5000),
        "DuplicateTargetGroupName",
        "exists, but with different settings",
    ),
    "another listener on a taken port": (
        lambda site: site.make_group("other"),
        Site.make_listener,
        "DuplicateListener",
        "already exists on this port",
    ),
    "a target group for a second load balancer": (
        lambda site: site.make_balancer("other"),
        Site.make_listener,
        "TargetGroupAssociationLimit",
        "more than one load balancer",
    ),
    "a listener of a deleted load balancer": (
        without_balancer,
        Site.make_listener,
        "LoadBalancerNotFound",
        "not found",
    ),
    "a load balancer with a long name": (
        nothing,
        lambda site: site.make_balancer("a" * 33),
        "ValidationError",
        "cannot be longer than '32' characters",
    ),
    "a load balancer with a name that begins internal-": (
        nothing,
        lambda site: site.make_balancer("internal-model"),
        "ValidationError",
        "cannot start with 'internal-'",
    ),
    "a load balancer with a name that ends in a hyphen": (
        nothing,
        lambda site: site.make_balancer("model-"),
        "ValidationError",
        "cannot begin or end with '-'",
    ),
    "a load balancer in one zone": (
        nothing,
        lambda site: site.make_balancer("other", Subnets=[site.subnets[0]]),
        "ValidationError",
        "two different Availability Zones",
    ),
    "a load balancer with a security group that is not there": (
        nothing,
        lambda site: site.make_balancer("other", SecurityGroups=["sg-0123456789abcdef0"]),
        "InvalidSecurityGroup",
        "does not exist",
    ),
    "a target group with a long name": (
        nothing,
        lambda site: site.make_group("a" * 33),
        "ValidationError",
        "cannot be longer than '32' characters",
    ),
    "the deletion of eleven task definitions": (
        inactive_definition,
        lambda site: delete_definitions(site, 11),
        "InvalidParameterException",
        "cannot exceed 10",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_is_refused(site: Site, what: str) -> None:
    before, ask, code, words = REFUSED[what]
    before(site)

    with pytest.raises(ClientError) as error:
        ask(site)
    assert code_of(error) == code
    assert words in message_of(error)


def test_a_cluster_is_deleted_when_its_tasks_have_stopped(site: Site) -> None:
    gone(site)

    delete_cluster(site)
    clusters = site.client("ecs").describe_clusters(clusters=[NAME])["clusters"]
    assert [cluster["status"] for cluster in clusters] == ["INACTIVE"]


def test_an_active_task_definition_is_not_deleted(site: Site) -> None:
    with pytest.raises(AssertionError, match="still in ACTIVE status"):
        delete_definitions(site)
    inactive_definition(site)

    delete_definitions(site)


def test_the_same_service_again_is_the_same_service(site: Site) -> None:
    first, again = site.create_service(), site.create_service()

    assert again["serviceArn"] == first["serviceArn"]
    assert [d["id"] for d in again["deployments"]] == [d["id"] for d in first["deployments"]]


def test_a_service_of_a_deleted_ones_name_is_a_new_one(site: Site) -> None:
    gone(site)
    made = site.create_service()

    assert made["status"] == "ACTIVE"
    assert made["events"] == []


@pytest.mark.parametrize("make", [Site.make_balancer, Site.make_group, Site.make_listener])
def test_the_same_again_is_the_same(site: Site, make: Callable[[Site], str]) -> None:
    first, again = make(site), make(site)

    assert first == again


def test_the_same_load_balancer_again_does_not_begin_anew(site: Site) -> None:
    site.pass_time(SURELY_ACTIVE)
    site.make_balancer()

    assert site.state() == "active"


def test_deleting_a_load_balancer_that_is_not_there_succeeds(site: Site) -> None:
    without_balancer(site)
    without_balancer(site)


def test_a_group_that_is_named_no_more_can_be_deleted(site: Site) -> None:
    ec2 = site.client("ec2")
    without_balancer(site)
    site.pass_time(3600)
    permissions = ec2.describe_security_groups(GroupIds=[site.back])["SecurityGroups"][0]
    ec2.revoke_security_group_ingress(GroupId=site.back, IpPermissions=permissions["IpPermissions"])

    delete_front(site)


def test_boto3_refuses_what_it_would_where_the_emulator_is_not_asked(site: Site) -> None:
    with pytest.raises(ParamValidationError, match="cluster"):
        site.client("ecs").list_tasks(cluster=7)


@pytest.mark.parametrize("status", ["RUNNING", "DEPROVISIONING", "STOPPED"])
def test_a_cluster_with_tasks_of_no_service_is_not_deleted(status: str) -> None:
    shown = {
        "ListServices": {"serviceArns": []},
        "ListTasks": {"taskArns": ["task"]},
        "DescribeTasks": {"tasks": [{"lastStatus": status}]},
    }
    delete = Call("ecs", "DeleteCluster", {"cluster": NAME})
    order = Order(lambda call: shown[call.operation])
    if status == "STOPPED":
        assert order.before(delete) is None
        return
    with pytest.raises(AwsError, match="ClusterContainsTasksException"):
        order.before(delete)
