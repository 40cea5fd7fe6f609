import contextlib
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.platform import aws
from chalicelib.resources import security_groups
from tests.support import aws_says
from tests.support.builders import CERTIFICATE, ID, MOMENT, active, deployment_of, spec_of

FRONT, BACK = f"slipway-{ID}-lb", f"slipway-{ID}-task"


def groups() -> dict[str, Any]:
    shown = aws.client("ec2").describe_security_groups()["SecurityGroups"]
    return {group["GroupName"]: group for group in shown if group["GroupName"] != "default"}


def test_repeated_ensure_creates_two_groups_with_the_stacks_tags(deployment: Deployment) -> None:
    assert security_groups.ensure(deployment) == security_groups.ensure(deployment)
    shown = groups()
    assert set(shown) == {FRONT, BACK}
    tags = {tag["Key"]: tag["Value"] for tag in shown[BACK]["Tags"]}
    assert tags == {
        "team": "a",
        "Name": BACK,
        "slipway:deployment": ID,
        "slipway:owner": "team-a",
        "slipway:stack": "slipway-test",
    }


@pytest.mark.usefixtures("cloud")
def test_only_the_load_balancer_can_reach_the_tasks() -> None:
    cidrs = ["0.0.0.0/0"]
    security_groups.ensure(deployment_of(port=8080, ingress_cidrs=cidrs))
    shown = groups()
    [front] = shown[FRONT]["IpPermissions"]
    assert (front["FromPort"], front["ToPort"], front["IpProtocol"]) == (80, 80, "tcp")
    assert sorted(entry["CidrIp"] for entry in front["IpRanges"]) == cidrs
    [back] = shown[BACK]["IpPermissions"]
    assert (back["FromPort"], back["ToPort"], back["IpRanges"]) == (8080, 8080, [])
    assert [pair["GroupId"] for pair in back["UserIdGroupPairs"]] == [shown[FRONT]["GroupId"]]


def test_ensure_continues_after_a_crash(deployment: Deployment) -> None:
    aws_says.refuse("ec2", "AuthorizeSecurityGroupIngress", "InternalError", status=500, times=1)
    with pytest.raises(ClientError):
        security_groups.ensure(deployment)
    security_groups.ensure(deployment)
    assert all(group["IpPermissions"] for group in groups().values())


def test_ensure_waits_for_a_group_that_is_not_visible_yet(deployment: Deployment) -> None:
    aws_says.refuse("ec2", "AuthorizeSecurityGroupIngress", "InvalidGroup.NotFound", times=1)
    with pytest.raises(NotReady):
        security_groups.ensure(deployment)
    with pytest.raises(NotReady):
        security_groups.ids("other-abcdef")


def test_ensure_waits_for_a_duplicate_that_is_not_visible_yet(deployment: Deployment) -> None:
    aws_says.refuse("ec2", "CreateSecurityGroup", "InvalidGroup.Duplicate", times=1)
    with pytest.raises(NotReady):
        security_groups.ensure(deployment)


def test_only_groups_of_this_deployment_are_listed(deployment: Deployment) -> None:
    front, back = security_groups.ensure(deployment)
    security_groups.ensure(deployment_of("other-abcdef"))
    assert security_groups.ids(ID) == (front.arn, back.arn)


def test_delete_removes_both_groups_but_not_those_of_similar_names(deployment: Deployment) -> None:
    security_groups.ensure(deployment)
    security_groups.ensure(deployment_of("other-abcdef"))
    security_groups.delete(ID)
    assert set(groups()) == {"slipway-other-abcdef-lb", "slipway-other-abcdef-task"}
    assert security_groups.exists(ID) == []


@pytest.mark.usefixtures("cloud")
def test_deleting_missing_groups_succeeds() -> None:
    security_groups.delete(ID)
    assert security_groups.exists(ID) == []


def test_delete_waits_for_a_group_that_a_network_interface_uses(deployment: Deployment) -> None:
    security_groups.ensure(deployment)
    aws_says.refuse("ec2", "DeleteSecurityGroup", "DependencyViolation", times=1)
    with pytest.raises(NotReady, match=BACK):
        security_groups.delete(ID)
    assert security_groups.exists(ID) == [BACK]
    security_groups.delete(ID)
    assert groups() == {}


@pytest.mark.parametrize("code", ["InvalidGroup.NotFound", "InvalidPermission.NotFound"])
def test_a_group_that_another_run_deleted_is_gone(deployment: Deployment, code: str) -> None:
    security_groups.ensure(deployment)
    operation = (
        "DeleteSecurityGroup" if code.startswith("InvalidGroup") else "RevokeSecurityGroupIngress"
    )
    aws_says.refuse("ec2", operation, code)
    security_groups.delete(ID)


def test_other_errors_of_a_delete_are_raised(deployment: Deployment) -> None:
    security_groups.ensure(deployment)
    aws_says.refuse("ec2", "DeleteSecurityGroup", "UnauthorizedOperation")
    with pytest.raises(ClientError):
        security_groups.delete(ID)


def test_concurrently_revoked_rules_do_not_block_a_delete(
    deployment: Deployment,
) -> None:
    security_groups.ensure(deployment)
    aws_says.refuse("ec2", "RevokeSecurityGroupIngress", "InvalidPermission.NotFound")
    with contextlib.suppress(NotReady):  # moto keeps a group that a rule of another group refers to
        security_groups.delete(ID)
    assert BACK not in security_groups.exists(ID)


def callers() -> set[tuple[int, str]]:
    """(port, range) of each rule of the load balancer's group."""
    return {
        (rule["FromPort"], entry["CidrIp"])
        for rule in groups()[FRONT]["IpPermissions"]
        for entry in rule["IpRanges"]
    }


def test_443_is_open_with_a_certificate_and_until_https_is_off(
    deployment: Deployment,
) -> None:
    everyone = "0.0.0.0/0"
    secure = active(certificate_arn=CERTIFICATE)
    security_groups.ensure(deployment)
    security_groups.ensure(secure)
    assert callers() == {(80, everyone), (443, everyone)}
    secure.update(spec_of(), MOMENT, new_image=False)
    security_groups.ensure(secure)  # the listener on port 443 is deleted after this
    assert callers() == {(80, everyone), (443, everyone)}
    security_groups.ensure(deployment)
    assert callers() == {(80, everyone)}


@pytest.mark.usefixtures("cloud")
def test_a_change_of_ranges_never_blocks_unchanged_ranges() -> None:
    stays, goes, comes = "203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24"
    security_groups.ensure(deployment_of(ingress_cidrs=[goes, stays]))
    revoked = aws_says.watch("ec2", "RevokeSecurityGroupIngress")
    allowed = aws_says.watch("ec2", "AuthorizeSecurityGroupIngress")
    seen: list[bool] = []
    aws.client("ec2").meta.events.register_first(
        "before-call.ec2.RevokeSecurityGroupIngress",
        lambda **_: seen.append((80, comes) in callers()),
    )
    security_groups.ensure(deployment_of(ingress_cidrs=[stays, comes]))
    assert callers() == {(80, stays), (80, comes)}
    assert seen == [True]
    [call] = revoked
    ranges = [entry["CidrIp"] for rule in call["IpPermissions"] for entry in rule["IpRanges"]]
    assert ranges == [goes]
    assert allowed


@pytest.mark.usefixtures("cloud")
def test_a_manually_added_rule_is_removed() -> None:
    own = deployment_of(ingress_cidrs=["203.0.113.0/24"])
    security_groups.ensure(own)
    front, _ = security_groups.ids(ID)
    by_hand = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    aws.client("ec2").authorize_security_group_ingress(
        GroupId=front, IpPermissions=[{**by_hand, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    )
    security_groups.ensure(own)
    assert callers() == {(80, "203.0.113.0/24")}


@pytest.mark.usefixtures("cloud")
def test_new_rules_take_one_call() -> None:
    calls = aws_says.watch("ec2", "AuthorizeSecurityGroupIngress")
    cidrs = [f"10.{n}.0.0/16" for n in range(15)]
    security_groups.ensure(deployment_of(ingress_cidrs=cidrs, certificate_arn=CERTIFICATE))
    assert len(calls) == 2
    assert len(callers()) == 30


@pytest.mark.usefixtures("cloud")
def test_concurrently_revoked_rules_do_not_block_other_revocations() -> None:
    security_groups.ensure(deployment_of(ingress_cidrs=["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"]))
    aws_says.refuse("ec2", "RevokeSecurityGroupIngress", "InvalidPermission.NotFound", times=1)
    security_groups.ensure(deployment_of(ingress_cidrs=["10.0.0.0/8"]))
    assert callers() == {(80, "10.0.0.0/8")}
