"""The order of calls that AWS requires."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from tests.support.simulated_aws.account import Account
from tests.support.simulated_aws.site import SURELY_RUNNING, Site, code_of, message_of

UNLINKED = "does not have an associated load balancer."


@pytest.fixture
def site(account: Account) -> Site:
    """Everything except the service."""
    return Site(account).make()


def running(site: Site) -> None:
    """A service with a running task."""
    site.create_service()
    site.pass_time(SURELY_RUNNING)


def draining(site: Site) -> None:
    """A service that is DRAINING."""
    running(site)
    site.delete_service()


def without_listener(site: Site) -> None:
    """A target group that no listener uses."""
    site.client("elbv2").delete_listener(ListenerArn=site.listener)


def inactive_definition(site: Site) -> None:
    """The only revision is deregistered."""
    site.client("ecs").deregister_task_definition(taskDefinition=site.definition)


def nothing(site: Site) -> None:
    """Change nothing."""


def delete_definitions(site: Site, count: int) -> None:
    """Call DeleteTaskDefinitions; raise for an entry in `failures`."""
    answer = site.client("ecs").delete_task_definitions(taskDefinitions=[site.definition] * count)
    assert not answer["failures"], answer["failures"][0]["reason"]


def delete_group(site: Site) -> None:
    site.client("elbv2").delete_target_group(TargetGroupArn=site.group)


def delete_balancer_group(site: Site) -> None:
    site.client("ec2").delete_security_group(GroupId=site.front)


Do = Callable[[Site], object]
# case: (what happened before, the call, the error code, a part of the message)
REFUSED: dict[str, tuple[Do, Do, str, str]] = {
    "a service before its listener": (
        without_listener,
        Site.create_service,
        "InvalidParameterException",
        UNLINKED,
    ),
    "a service after its load balancer": (
        Site.delete_balancer,
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
        Site.end_service,
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
        lambda site: site.delete_service(force=False),
        "InvalidParameterException",
        "scaled above 0",
    ),
    "the deletion of no service": (
        nothing,
        Site.delete_service,
        "ServiceNotFoundException",
        "Service not found.",
    ),
    "the second deletion of a deleted service": (
        Site.end_service,
        Site.delete_service,
        "ServiceNotFoundException",
        "Service not found.",
    ),
    "the deletion of a cluster with a service": (
        running,
        Site.delete_cluster,
        "ClusterContainsServicesException",
        "Services are active",
    ),
    "the deletion of a cluster with a draining service": (
        draining,
        Site.delete_cluster,
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
        delete_balancer_group,
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
        Site.delete_balancer,
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
def test_a_call_out_of_order_is_refused(site: Site, what: str) -> None:
    before, ask, code, words = REFUSED[what]
    before(site)

    with pytest.raises(ClientError) as error:
        ask(site)
    assert code_of(error) == code
    assert words in message_of(error)
