"""The application load balancer: the deployment's address, and its largest cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.domain.parts import Resource, ResourceKind
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.resources import network, security_groups
from chalicelib.resources.tagging import retag_elbv2, tags_of, upper

KIND = ResourceKind.LOAD_BALANCER


@dataclass(frozen=True)
class LoadBalancer:
    """What AWS says of a load balancer; `state` is `provisioning`, `active`, ..."""

    arn: str
    name: str
    dns_name: str
    # Of Elastic Load Balancing itself, for an alias record.
    zone_id: str
    state: str
    reason: str

    def url(self, spec: Spec) -> str:
        """Where callers reach it by its own name, without a slash at the end.

        The template's `LoadBalancerUrl` says how a URL is made, for an emulator serves its load
        balancers under a path of its own.
        """
        scheme = "https" if spec.certificate_arn else "http"
        return settings().load_balancer_url.format(
            scheme=scheme, dns_name=self.dns_name, name=self.name
        )


def ensure(deployment: Deployment) -> Resource:
    """Creates the load balancer, or adopts the one of this name; does not wait for it."""
    found = find(deployment.id)
    if found:
        retag_elbv2(deployment, found.arn)
    arn = found.arn if found else _create(deployment)
    return Resource(kind=KIND, name=deployment.id, arn=arn)


def _create(deployment: Deployment) -> str:
    elbv2 = aws.client("elbv2")
    group_id, _ = security_groups.ids(deployment.id)
    try:
        answer = elbv2.create_load_balancer(
            Name=deployment.id,
            Type="application",
            Scheme="internet-facing",
            Subnets=list(network.find().subnet_ids),
            SecurityGroups=[group_id],
            Tags=upper(tags_of(deployment)),
        )
    except elbv2.exceptions.DuplicateLoadBalancerNameException:
        raise NotReady(f"load balancer {deployment.id} exists but is not visible yet") from None
    except elbv2.exceptions.InvalidSecurityGroupException as error:
        message = aws.message_of(error)
        raise NotReady(f"security group {group_id} is not usable yet: {message}") from None
    return str(answer["LoadBalancers"][0]["LoadBalancerArn"])


def find(deployment_id: str) -> LoadBalancer | None:
    """The load balancer of the deployment, or None."""
    elbv2 = aws.client("elbv2")
    try:
        found: list[dict[str, Any]] = elbv2.describe_load_balancers(Names=[deployment_id])[
            "LoadBalancers"
        ]
    except elbv2.exceptions.LoadBalancerNotFoundException:
        return None
    if not found:
        return None
    state = found[0].get("State", {})
    return LoadBalancer(
        arn=found[0]["LoadBalancerArn"],
        name=found[0]["LoadBalancerName"],
        dns_name=found[0]["DNSName"],
        zone_id=found[0].get("CanonicalHostedZoneId", ""),
        state=state.get("Code", ""),
        reason=state.get("Reason", ""),
    )


def get(deployment_id: str) -> LoadBalancer:
    """The load balancer. Raises `NotReady` while AWS does not show it yet."""
    load_balancer = find(deployment_id)
    if load_balancer is None:
        raise NotReady(f"load balancer {deployment_id} is not visible yet")
    return load_balancer


def delete(deployment_id: str) -> None:
    """Deletes it; its listeners go along. Succeeds where there is none."""
    load_balancer = find(deployment_id)
    if load_balancer:
        aws.client("elbv2").delete_load_balancer(LoadBalancerArn=load_balancer.arn)


def exists(deployment_id: str) -> list[str]:
    """The name of the load balancer if AWS still knows it."""
    return [deployment_id] if find(deployment_id) else []
