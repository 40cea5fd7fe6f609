"""The Application Load Balancer: it provides the deployment's URL, and is its largest cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.domain.parts import Resource, ResourceKind
from chalicelib.domain.spec.request_timeout import idle_timeout
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.resources import network, security_groups
from chalicelib.resources.tagging import retag_elbv2, tags_of, upper

KIND = ResourceKind.LOAD_BALANCER
IDLE_TIMEOUT = "idle_timeout.timeout_seconds"


@dataclass(frozen=True)
class LoadBalancer:
    """AWS's description of a load balancer. `state` is `provisioning`, `active` and so on."""

    arn: str
    name: str
    dns_name: str
    # The hosted zone ID of Elastic Load Balancing, which an alias record needs.
    zone_id: str
    state: str
    reason: str

    def url(self, spec: Spec) -> str:
        """The URL with the load balancer's own DNS name, without a slash at the end.

        The template parameter `LoadBalancerUrl` sets the format, because an emulator serves its
        load balancers under a path.
        """
        scheme = "https" if spec.certificate_arn else "http"
        return settings().load_balancer_url.format(
            scheme=scheme, dns_name=self.dns_name, name=self.name
        )


def ensure(deployment: Deployment) -> Resource:
    """Creates the load balancer, or adopts the existing one. Does not wait for it."""
    elbv2 = aws.client("elbv2")
    existing = find(deployment.id)
    if existing:
        retag_elbv2(deployment, existing.arn)
    arn = existing.arn if existing else _create(deployment)
    try:
        _set_idle_timeout(arn, max(map(idle_timeout, deployment.request_timeouts)))
    except elbv2.exceptions.LoadBalancerNotFoundException:
        raise NotReady(f"load balancer {deployment.id} is not visible yet") from None
    return Resource(kind=KIND, name=deployment.id, arn=arn)


def shorten_idle_timeout(deployment: Deployment) -> None:
    """Sets the idle timeout of the spec, if that of the replaced version was longer."""
    timeout = idle_timeout(deployment.spec.request_timeout)
    if timeout < max(map(idle_timeout, deployment.request_timeouts)):
        _set_idle_timeout(get(deployment.id).arn, timeout)


def _set_idle_timeout(arn: str, seconds: int) -> None:
    aws.client("elbv2").modify_load_balancer_attributes(
        LoadBalancerArn=arn, Attributes=[{"Key": IDLE_TIMEOUT, "Value": str(seconds)}]
    )


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
        answer = elbv2.describe_load_balancers(Names=[deployment_id])
    except elbv2.exceptions.LoadBalancerNotFoundException:
        return None
    if not answer["LoadBalancers"]:
        return None
    described: dict[str, Any] = answer["LoadBalancers"][0]
    state = described.get("State", {})
    return LoadBalancer(
        arn=described["LoadBalancerArn"],
        name=described["LoadBalancerName"],
        dns_name=described["DNSName"],
        zone_id=described.get("CanonicalHostedZoneId", ""),
        state=state.get("Code", ""),
        reason=state.get("Reason", ""),
    )


def get(deployment_id: str) -> LoadBalancer:
    """The load balancer. Raises `NotReady` if AWS does not show it yet."""
    load_balancer = find(deployment_id)
    if load_balancer is None:
        raise NotReady(f"load balancer {deployment_id} is not visible yet")
    return load_balancer


def delete(deployment_id: str) -> None:
    """Deletes the load balancer and its listeners. Succeeds if there is none."""
    load_balancer = find(deployment_id)
    if load_balancer:
        aws.client("elbv2").delete_load_balancer(LoadBalancerArn=load_balancer.arn)


def exists(deployment_id: str) -> list[str]:
    """The name of the load balancer if it still exists."""
    return [deployment_id] if find(deployment_id) else []
