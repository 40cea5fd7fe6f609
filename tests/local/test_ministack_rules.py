"""The proxy's corrections of MiniStack: with boto3 in front of it, and the gateway behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.emulator import Aws, client
from tests.support.simulated_aws.ministack import FARGATE_VCPU, Ministack
from tests.support.simulated_aws.proxy import Proxy


@pytest.fixture
def through(aws: Aws) -> Iterator[Aws]:
    """The endpoint of a proxy with the rules about MiniStack."""

    @cache
    def raw(service: str) -> Any:
        return client(service, aws)

    running = Proxy([Ministack(raw)])
    running.start()
    running.forward_to(aws.aws_endpoint_url)
    yield replace(aws, aws_endpoint_url=running.url)
    running.stop()


def test_a_rule_that_names_another_group_can_be_revoked_and_found(
    through: Aws,
) -> None:
    ec2 = client("ec2", through)
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    front, back = (
        ec2.create_security_group(GroupName=f"rules-{n}", Description=n, VpcId=vpc)["GroupId"]
        for n in ("front", "back")
    )
    pair = [{"GroupId": front, "Description": "front"}]
    ec2.authorize_security_group_ingress(
        GroupId=back,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": pair}
        ],
    )
    naming = [{"Name": "ip-permission.group-id", "Values": [front]}]

    (found,) = ec2.describe_security_groups(Filters=naming)["SecurityGroups"]
    ec2.revoke_security_group_ingress(GroupId=back, IpPermissions=found["IpPermissions"])

    assert found["GroupId"] == back
    assert ec2.describe_security_groups(Filters=naming)["SecurityGroups"] == []


def test_a_missing_image_is_an_error_and_quotas_have_aws_s_defaults(
    through: Aws,
) -> None:
    ecr = client("ecr", through)
    ecr.create_repository(repositoryName="rules")
    with pytest.raises(ecr.exceptions.ImageNotFoundException):
        ecr.describe_images(repositoryName="rules", imageIds=[{"imageTag": "none"}])

    limits = client("elbv2", through).describe_account_limits()["Limits"]
    assert {"Name": "application-load-balancers", "Max": "50"} in limits
    quotas = client("service-quotas", through)
    quota = quotas.get_service_quota(ServiceCode="fargate", QuotaCode="L-3032A538")["Quota"]
    assert quota["Value"] == FARGATE_VCPU
    with pytest.raises(ClientError):
        ecr.describe_images(repositoryName="none", imageIds=[{"imageTag": "none"}])
