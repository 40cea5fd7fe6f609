"""Calls that AWS's order allows: repeated creates, and deletes of unused resources."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from botocore.exceptions import ParamValidationError

from tests.support.simulated_aws.account import Account
from tests.support.simulated_aws.aws import AwsError, Call
from tests.support.simulated_aws.order import Order
from tests.support.simulated_aws.site import NAME, SURELY_ACTIVE, Site


@pytest.fixture
def site(account: Account) -> Site:
    """Everything except the service."""
    return Site(account).make()


def delete_definition(site: Site) -> None:
    """Call DeleteTaskDefinitions; raise for an entry in `failures`."""
    answer = site.client("ecs").delete_task_definitions(taskDefinitions=[site.definition])
    assert not answer["failures"], answer["failures"][0]["reason"]


def test_a_cluster_is_deleted_when_its_tasks_have_stopped(site: Site) -> None:
    site.end_service()

    site.delete_cluster()
    clusters = site.client("ecs").describe_clusters(clusters=[NAME])["clusters"]
    assert [cluster["status"] for cluster in clusters] == ["INACTIVE"]


def test_an_active_task_definition_is_not_deleted(site: Site) -> None:
    with pytest.raises(AssertionError, match="still in ACTIVE status"):
        delete_definition(site)
    site.client("ecs").deregister_task_definition(taskDefinition=site.definition)

    delete_definition(site)


def test_creating_the_same_service_again_returns_it(site: Site) -> None:
    first, again = site.create_service(), site.create_service()

    assert again["serviceArn"] == first["serviceArn"]
    assert [d["id"] for d in again["deployments"]] == [d["id"] for d in first["deployments"]]


def test_a_deleted_services_name_can_be_used_again(site: Site) -> None:
    site.end_service()
    made = site.create_service()

    assert made["status"] == "ACTIVE"
    assert made["events"] == []


@pytest.mark.parametrize("make", [Site.make_balancer, Site.make_group, Site.make_listener])
def test_creating_the_same_resource_again_returns_it(
    site: Site, make: Callable[[Site], str]
) -> None:
    first, again = make(site), make(site)

    assert first == again


def test_creating_the_same_load_balancer_again_does_not_restart_it(site: Site) -> None:
    site.pass_time(SURELY_ACTIVE)
    site.make_balancer()

    assert site.state() == "active"


def test_deleting_a_missing_load_balancer_succeeds(site: Site) -> None:
    site.delete_balancer()
    site.delete_balancer()


def test_an_unreferenced_security_group_can_be_deleted(site: Site) -> None:
    ec2 = site.client("ec2")
    site.delete_balancer()
    site.pass_time(3600)
    permissions = ec2.describe_security_groups(GroupIds=[site.back])["SecurityGroups"][0]
    ec2.revoke_security_group_ingress(GroupId=site.back, IpPermissions=permissions["IpPermissions"])

    ec2.delete_security_group(GroupId=site.front)


def test_boto3_validates_calls_that_the_emulator_does_not_handle(site: Site) -> None:
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
