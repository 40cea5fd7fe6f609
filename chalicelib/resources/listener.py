"""The listener on port 80 that forwards to the target group.

It goes with its load balancer, so it needs no `delete` of its own.
"""

from __future__ import annotations

from chalicelib import aws
from chalicelib.deployments.deployment import Deployment
from chalicelib.deployments.errors import NotReady
from chalicelib.deployments.parts import Resource
from chalicelib.resources import load_balancer, target_group
from chalicelib.resources.tagging import tags_of, upper

KIND = "listener"
PORT = 80


def ensure(deployment: Deployment) -> Resource:
    """Creates the listener, or adopts the one on this port.

    ECS refuses a service whose target group no listener uses, so this comes before the service.
    """
    elbv2 = aws.client("elbv2")
    balancer = load_balancer.get(deployment.id)
    for listener in elbv2.describe_listeners(LoadBalancerArn=balancer.arn)["Listeners"]:
        if listener["Port"] == PORT:
            return _resource(deployment, listener["ListenerArn"])
    forward = {"Type": "forward", "TargetGroupArn": target_group.get_arn(deployment.id)}
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


def _resource(deployment: Deployment, arn: str) -> Resource:
    return Resource(kind=KIND, name=f"{deployment.id}:{PORT}", arn=arn)
