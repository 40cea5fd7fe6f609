"""The actions that each function's policy allows, and those that its calls need."""

from infra.template import config, policy
from tests.support.project import ROOT
from tests.workflow.world import World

POLICIES = {name: policy(ROOT, name)["Statement"] for name in config(ROOT)["lambda_functions"]}
# Services whose IAM action prefix differs from the API's name.
SERVICES = {"monitoring": "cloudwatch", "tagging": "tag"}
ACTIONS: dict[str, set[str]] = {
    # AWS checks that the caller has the permissions that the service-linked role then uses.
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/auto-scaling-IAM.html
    "application-autoscaling:RegisterScalableTarget": {
        "application-autoscaling:RegisterScalableTarget",
        "application-autoscaling:TagResource",
        "ecs:DescribeServices",
        "ecs:UpdateService",
        "iam:CreateServiceLinkedRole",
    },
    "application-autoscaling:PutScalingPolicy": {
        "application-autoscaling:PutScalingPolicy",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:PutMetricAlarm",
    },
    "application-autoscaling:DeleteScalingPolicy": {
        "application-autoscaling:DeleteScalingPolicy",
        "cloudwatch:DeleteAlarms",
    },
    "ec2:CreateSecurityGroup": {"ec2:CreateSecurityGroup", "ec2:CreateTags"},
    "ecs:CreateCluster": {"ecs:CreateCluster", "ecs:TagResource"},
    "ecs:CreateService": {"ecs:CreateService", "ecs:TagResource"},
    "ecs:RegisterTaskDefinition": {
        "ecs:RegisterTaskDefinition",
        "ecs:TagResource",
        "iam:PassRole",
    },
    "elasticloadbalancing:CreateListener": {
        "elasticloadbalancing:CreateListener",
        "elasticloadbalancing:AddTags",
    },
    "elasticloadbalancing:CreateLoadBalancer": {
        "elasticloadbalancing:CreateLoadBalancer",
        "elasticloadbalancing:AddTags",
    },
    "elasticloadbalancing:CreateRule": {
        "elasticloadbalancing:CreateRule",
        "elasticloadbalancing:AddTags",
    },
    "elasticloadbalancing:CreateTargetGroup": {
        "elasticloadbalancing:CreateTargetGroup",
        "elasticloadbalancing:AddTags",
    },
    "logs:CreateLogGroup": {"logs:CreateLogGroup", "logs:TagResource"},
}


def allowed(function: str) -> set[str]:
    """The actions that a function's policy allows."""
    return {action for s in POLICIES[function] if s["Effect"] == "Allow" for action in s["Action"]}


def needed(calls: set[tuple[str, str]]) -> set[str]:
    """The actions that these calls need."""
    names = {f"{SERVICES.get(service, service)}:{operation}" for service, operation in calls}
    return {action for name in names for action in ACTIONS.get(name, {name})}


def check(world: World, *functions: str) -> None:
    missing = {f: sorted(needed(world.calls[f]) - allowed(f)) for f in functions}

    assert {f: actions for f, actions in missing.items() if actions} == {}
    assert all(world.calls[f] for f in functions)
