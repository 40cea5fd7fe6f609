"""Corrections of bugs in MiniStack 1.5.33 that mislead other rules or Slipway. All are verified."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.simulated_aws.aws import Answer, AwsError, Call, Rule

NAMED = "ip-permission.group-id"
# Default quotas of an account.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
LIMITS = {"application-load-balancers": "50", "target-groups": "3000"}
FARGATE_VCPU = 6.0


class Ministack(Rule):
    """Revokes rules between groups, filters groups by their rules, and reports images and quotas.

    MiniStack has these bugs:
    - Revoking a rule that refers to another group succeeds, but keeps the rule unless the call
      gives the rule's ID.
    - It ignores the filter `ip-permission.group-id`.
    - For a missing image it returns an empty list; AWS returns an error.
    - It has no quotas.
    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html
    """

    def __init__(self, raw: Callable[[str], Any]) -> None:
        """Args: raw: service -> a boto3 client straight to the emulator."""
        self._raw = raw

    def before(self, call: Call) -> Answer | None:
        if call.name == "elbv2.DescribeAccountLimits":
            return {"Limits": [{"Name": name, "Max": most} for name, most in LIMITS.items()]}
        if call.name == "service-quotas.GetServiceQuota":
            return {"Quota": {"QuotaCode": call.params["QuotaCode"], "Value": FARGATE_VCPU}}
        return None

    def after(self, call: Call, answer: Answer) -> Answer:
        if call.name == "ec2.RevokeSecurityGroupIngress":
            self._revoke(call.params)
        if call.name == "ecr.DescribeImages" and not answer.get("imageDetails"):
            _missing(call.params)
        if call.name == "ec2.DescribeSecurityGroups":
            for condition in call.params.get("Filters", []):
                if condition["Name"] == NAMED:
                    return _naming(answer, set(condition["Values"]))
        return answer

    def _revoke(self, params: Answer) -> None:
        named = {
            pair["GroupId"]
            for permission in params.get("IpPermissions", [])
            for pair in permission.get("UserIdGroupPairs", [])
        }
        ec2, group = self._raw("ec2"), params["GroupId"]
        filters = [{"Name": "group-id", "Values": [group]}]
        rules = ec2.describe_security_group_rules(Filters=filters)["SecurityGroupRules"]
        ids = [
            rule["SecurityGroupRuleId"]
            for rule in rules
            if not rule["IsEgress"] and rule.get("ReferencedGroupInfo", {}).get("GroupId") in named
        ]
        if ids:
            ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=ids)


def _missing(params: Answer) -> None:
    for image in params.get("imageIds", []):
        digest, tag = image.get("imageDigest", "null"), image.get("imageTag", "null")
        raise AwsError(
            "ImageNotFoundException",
            f"The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist "
            f"within the repository with name '{params['repositoryName']}'",
        )


def _naming(answer: Answer, group_ids: set[str]) -> Answer:
    groups = [
        group
        for group in answer["SecurityGroups"]
        for permission in group.get("IpPermissions", [])
        if group_ids & {pair.get("GroupId") for pair in permission.get("UserIdGroupPairs", [])}
    ]
    return {**answer, "SecurityGroups": groups}
