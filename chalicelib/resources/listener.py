"""The listener on port 80 that forwards to the target group.

It goes with its load balancer, so it needs no `delete` of its own.
"""

from __future__ import annotations

from typing import Any

from chalicelib import aws
from chalicelib.deployments.deployment import Deployment
from chalicelib.deployments.errors import NotReady
from chalicelib.deployments.parts import Resource
from chalicelib.resources import load_balancer, target_group
from chalicelib.resources.tagging import retag_elbv2, tags_of, upper

KIND = "listener"
PORT = 80


def ensure(deployment: Deployment) -> Resource:
    """Creates the listener, or brings the one on this port to forward to the target group.

    ECS refuses a service whose target group no listener uses, so this comes before the service.
    """
    elbv2 = aws.client("elbv2")
    try:
        return _ensure(deployment)
    except (
        elbv2.exceptions.LoadBalancerNotFoundException,
        elbv2.exceptions.TargetGroupNotFoundException,
        elbv2.exceptions.ListenerNotFoundException,
    ) as error:
        # Right after a create: https://github.com/hashicorp/terraform-provider-aws/issues/15214
        raise NotReady(f"not visible yet: {aws.message_of(error)}") from None


def _ensure(deployment: Deployment) -> Resource:
    elbv2 = aws.client("elbv2")
    balancer = load_balancer.get(deployment.id)
    forward = {"Type": "forward", "TargetGroupArn": target_group.get_arn(deployment.id)}
    found = find(balancer.arn)
    if found:
        if found["DefaultActions"][0].get("TargetGroupArn") != forward["TargetGroupArn"]:
            elbv2.modify_listener(ListenerArn=found["ListenerArn"], DefaultActions=[forward])
        retag_elbv2(deployment, found["ListenerArn"])
        return _resource(deployment, found["ListenerArn"])
    try:
        answer = elbv2.create_listener(
            LoadBalancerArn=balancer.arn,
            Protocol="HTTP",
            Port=PORT,
            DefaultActions=[forward],
            Tags=upper(tags_of(deployment)),
        )
    except elbv2.exceptions.DuplicateListenerException:
        raise NotReady(f"the listener of {deployment.id} exists but is not visible yet") from None
    return _resource(deployment, answer["Listeners"][0]["ListenerArn"])


def find(load_balancer_arn: str) -> dict[str, Any] | None:
    """The listener on this port of a load balancer, or None."""
    answer = aws.client("elbv2").describe_listeners(LoadBalancerArn=load_balancer_arn)
    return next((found for found in answer["Listeners"] if found["Port"] == PORT), None)


def serving(deployment_id: str) -> dict[str, Any] | None:
    """The listener that forwards callers to the tasks, or None where it or its load balancer is not
    there (yet)."""
    balancer = load_balancer.find(deployment_id)
    return find(balancer.arn) if balancer else None


def _resource(deployment: Deployment, arn: str) -> Resource:
    return Resource(kind=KIND, name=f"{deployment.id}:{PORT}", arn=arn)
