"""Right after a create, AWS can return not found for a short time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.simulated_aws import eventual
from tests.support.simulated_aws.account import Account
from tests.support.simulated_aws.eventual import Eventual
from tests.support.simulated_aws.site import NAME, Site, code_of
from tests.support.simulated_aws.times import Times

DELAY = 2


@pytest.fixture
def site(account: Account, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A network. From now on, every new resource is visible after two seconds."""
    site = Site(account)
    site.make_network()
    monkeypatch.setattr(eventual, "VISIBLE_AFTER", (DELAY,))
    account.layer.rules.insert(0, Eventual(account.clock, Times()))
    return site


def shown(site: Site, service: str, operation: str, key: str, **params: Any) -> list[Any]:
    answer = getattr(site.client(service), operation)(**params)
    return list(answer[key])


def later(site: Site) -> None:
    site.pass_time(DELAY)


def test_a_new_security_group_is_not_listed_and_cannot_be_used(site: Site) -> None:
    ec2 = site.client("ec2")
    group = ec2.create_security_group(GroupName="new", Description="new", VpcId=site.vpc)["GroupId"]
    filters = [{"Name": "group-name", "Values": ["new"]}]
    permission = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}
    permission["IpRanges"] = [{"CidrIp": "0.0.0.0/0"}]  # type: ignore[assignment]
    assert shown(site, "ec2", "describe_security_groups", "SecurityGroups", Filters=filters) == []
    for ask in (
        lambda: ec2.describe_security_groups(GroupIds=[group]),
        lambda: ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission]),
        lambda: ec2.create_tags(Resources=[group], Tags=[{"Key": "a", "Value": "1"}]),
    ):
        with pytest.raises(ClientError) as error:
            ask()
        assert code_of(error) == "InvalidGroup.NotFound"
    later(site)

    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
    assert len(shown(site, "ec2", "describe_security_groups", "SecurityGroups", Filters=filters))


def describe_balancer(site: Site) -> Any:
    return site.client("elbv2").describe_load_balancers(Names=[NAME])["LoadBalancers"][0]


def describe_group(site: Site) -> Any:
    return site.client("elbv2").describe_target_groups(Names=[NAME])["TargetGroups"][0]


def make_both(site: Site) -> None:
    site.make_balancer()
    site.client("elbv2").create_target_group(
        Name=NAME, Protocol="HTTP", Port=80, VpcId=site.vpc, TargetType="ip"
    )


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (describe_balancer, "LoadBalancerNotFound"),
        (describe_group, "TargetGroupNotFound"),
        (
            lambda site: site.client("elbv2").describe_listeners(LoadBalancerArn=site.balancer),
            "LoadBalancerNotFound",
        ),
    ],
    ids=["load balancer", "target group", "listeners"],
)
def test_new_load_balancing_resources_are_not_found_at_first(
    site: Site, ask: Callable[[Site], Any], code: str
) -> None:
    make_both(site)
    with pytest.raises(ClientError) as error:
        ask(site)
    assert code_of(error) == code
    later(site)

    ask(site)


def test_a_listener_needs_a_visible_target_group(site: Site) -> None:
    site.make_balancer()
    later(site)
    elbv2 = site.client("elbv2")
    site.group = elbv2.create_target_group(
        Name=NAME, Protocol="HTTP", Port=80, VpcId=site.vpc, TargetType="ip"
    )["TargetGroups"][0]["TargetGroupArn"]
    with pytest.raises(ClientError) as error:
        site.make_listener()
    assert code_of(error) == "TargetGroupNotFound"
    later(site)

    site.make_listener()


def own_rules(site: Site) -> list[Any]:
    """The listener's rules without its default rule."""
    rules = shown(site, "elbv2", "describe_rules", "Rules", ListenerArn=site.listener)
    return [rule for rule in rules if not rule["IsDefault"]]


def test_a_new_rule_is_not_listed_but_its_priority_is_in_use(site: Site) -> None:
    make_both(site)
    later(site)
    site.group = describe_group(site)["TargetGroupArn"]
    site.make_listener()
    elbv2 = site.client("elbv2")
    rule: dict[str, Any] = {
        "ListenerArn": site.listener,
        "Priority": 1,
        "Conditions": [{"Field": "path-pattern", "Values": ["/*"]}],
        "Actions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}],
    }
    elbv2.create_rule(**rule)
    assert own_rules(site) == []
    with pytest.raises(ClientError) as error:
        elbv2.create_rule(**rule)
    assert code_of(error) == "PriorityInUse"
    later(site)

    assert len(own_rules(site)) == 1


def test_a_new_cluster_is_missing_and_refuses_calls_at_first(site: Site) -> None:
    ecs = site.client("ecs")
    ecs.create_cluster(clusterName=NAME)
    answer = ecs.describe_clusters(clusters=[NAME])
    assert (answer["clusters"], answer["failures"][0]["reason"]) == ([], "MISSING")
    with pytest.raises(ClientError) as error:
        ecs.list_tasks(cluster=NAME)
    assert code_of(error) == "ClusterNotFoundException"
    later(site)

    assert ecs.list_tasks(cluster=NAME)["taskArns"] == []


def test_a_create_sees_an_existing_name(site: Site) -> None:
    first = site.make_balancer()

    assert site.make_balancer() == first


def test_a_delete_finds_resources_that_reads_do_not_show(site: Site) -> None:
    site.make_balancer()
    site.client("elbv2").delete_load_balancer(LoadBalancerArn=site.balancer)
    later(site)

    with pytest.raises(ClientError):
        describe_balancer(site)


def test_a_new_service_is_missing_at_first(account: Account, site: Site) -> None:
    hidden = account.layer.rules.pop(0)
    site.make_balancer()
    site.make_group()
    site.make_listener()
    site.make_cluster()
    site.register()
    account.layer.rules.insert(0, hidden)
    site.create_service()
    answer = site.client("ecs").describe_services(cluster=NAME, services=[NAME])
    assert answer["services"] == []
    later(site)

    assert site.service()["status"] == "ACTIVE"


def test_a_cluster_that_is_not_visible_cannot_be_tagged(site: Site) -> None:
    ecs = site.client("ecs")
    arn = ecs.create_cluster(clusterName="new")["cluster"]["clusterArn"]
    tags = [{"key": "a", "value": "1"}]
    with pytest.raises(ClientError) as error:
        ecs.tag_resource(resourceArn=arn, tags=tags)
    assert code_of(error) == "ResourceNotFoundException"
    later(site)

    ecs.tag_resource(resourceArn=arn, tags=tags)


def test_a_target_group_that_is_not_visible_cannot_be_tagged(site: Site) -> None:
    elbv2 = site.client("elbv2")
    arn = elbv2.create_target_group(
        Name="new", Protocol="HTTP", Port=80, VpcId=site.vpc, TargetType="ip"
    )["TargetGroups"][0]["TargetGroupArn"]
    tags = [{"Key": "a", "Value": "1"}]
    with pytest.raises(ClientError) as error:
        elbv2.add_tags(ResourceArns=[arn], Tags=tags)
    assert code_of(error) == "TargetGroupNotFound"
    later(site)

    elbv2.add_tags(ResourceArns=[arn], Tags=tags)


def test_an_account_is_eventually_consistent_by_default(account: Account) -> None:
    kinds = [type(rule) for rule in Account(account.clock, furnish=False).layer.rules]

    assert Eventual in kinds
    assert Eventual not in [type(rule) for rule in account.layer.rules]
