"""The listeners: port 80, and 443 where the spec names a certificate.

Without a certificate port 80 forwards to the target group. With one, port 443 does, and port 80
redirects to it. They go with their load balancer, so they need no `delete` of their own.
"""

from __future__ import annotations

from typing import Any

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode, NotReady
from chalicelib.domain.parts import Resource, ResourceKind
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform import aws
from chalicelib.resources import load_balancer, target_group
from chalicelib.resources.tagging import retag_elbv2, tags_of, upper

KIND = ResourceKind.LISTENER
HTTP, HTTPS = 80, 443
# What AWS recommends: TLS 1.3 and 1.2, with forward secrecy, and post-quantum where a client can.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
# The second is not in the service's model, and is what it says of a key that it does not take.
REFUSED_CERTIFICATE = {"CertificateNotFound", "UnsupportedCertificate"}
# 301, with the caller's own host, path and query.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RedirectActionConfig.html
TO_HTTPS: dict[str, Any] = {
    "Type": "redirect",
    "RedirectConfig": {
        "Protocol": "HTTPS",
        "Port": str(HTTPS),
        "Host": "#{host}",
        "Path": "/#{path}",
        "Query": "#{query}",
        "StatusCode": "HTTP_301",
    },
}


def serving_port(spec: Spec) -> int:
    """The port whose listener forwards to the tasks."""
    return HTTPS if spec.certificate_arn else HTTP


def serving(deployment: Deployment) -> dict[str, Any] | None:
    """The listener that forwards to the tasks, as AWS describes it, or None."""
    balancer = load_balancer.find(deployment.id)
    return _by_port(balancer.arn).get(serving_port(deployment.spec)) if balancer else None


def arns(deployment_id: str) -> list[str]:
    """Of every listener of the load balancer; none where that is not there."""
    balancer = load_balancer.find(deployment_id)
    found = _by_port(balancer.arn).values() if balancer else ()
    return [listener["ListenerArn"] for listener in found]


def ensure(deployment: Deployment) -> list[Resource]:
    """Creates the listeners that the spec asks for, brings those that are there to it, and
    deletes the one on 443 where no certificate is named any more.

    In this order no request is dropped: 443 answers before 80 redirects to it, and 80 forwards
    before 443 goes. ECS refuses a service whose target group no listener uses, so this comes
    before the service.
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
    except elbv2.exceptions.ClientError as error:
        if aws.code_of(error) not in REFUSED_CERTIFICATE:
            raise
        raise DeploymentFailed(
            FailureCode.NETWORK_MISCONFIGURED,
            f"The load balancer did not take the certificate: {aws.message_of(error).rstrip('.')}.",
            hint="Check `certificate_arn`: the certificate must be issued, in this region, and of "
            "a key that load balancers take.",
            evidence={"certificate_arn": deployment.spec.certificate_arn},
        ) from None


def _ensure(deployment: Deployment) -> list[Resource]:
    balancer = load_balancer.get(deployment.id)
    wanted = _wanted(deployment.spec, target_group.get_arn(deployment.id))
    found = _by_port(balancer.arn)
    made = []
    for port, settings in wanted.items():
        there = found.pop(port, None)
        if there is None:
            arn = _create(deployment, balancer.arn, port, settings)
        else:
            arn = there["ListenerArn"]
            if _differs(there, settings):
                aws.client("elbv2").modify_listener(ListenerArn=arn, **settings)
            retag_elbv2(deployment, arn)
        made.append(Resource(kind=KIND, name=f"{deployment.id}:{port}", arn=arn))
    if HTTPS in found:
        aws.client("elbv2").delete_listener(ListenerArn=found[HTTPS]["ListenerArn"])
    return made


def _wanted(spec: Spec, target_group_arn: str) -> dict[int, dict[str, Any]]:
    """Port -> its listener's settings, in the order in which they are brought about."""
    forward = {"Type": "forward", "TargetGroupArn": target_group_arn}
    if not spec.certificate_arn:
        return {HTTP: {"Protocol": "HTTP", "DefaultActions": [forward]}}
    tls = {
        "Protocol": "HTTPS",
        "SslPolicy": TLS_POLICY,
        "Certificates": [{"CertificateArn": spec.certificate_arn}],
        "DefaultActions": [forward],
    }
    return {HTTPS: tls, HTTP: {"Protocol": "HTTP", "DefaultActions": [TO_HTTPS]}}


def _create(
    deployment: Deployment, load_balancer_arn: str, port: int, settings: dict[str, Any]
) -> str:
    elbv2 = aws.client("elbv2")
    try:
        answer = elbv2.create_listener(
            LoadBalancerArn=load_balancer_arn,
            Port=port,
            Tags=upper(tags_of(deployment)),
            **settings,
        )
    except elbv2.exceptions.DuplicateListenerException:
        raise NotReady(f"the listener of {deployment.id} exists but is not visible yet") from None
    return str(answer["Listeners"][0]["ListenerArn"])


def drift(deployment: Deployment, load_balancer_arn: str, target_group_arn: str) -> str:
    """How the listeners differ from the spec, in words; empty where they do not."""
    found = _by_port(load_balancer_arn)
    for port, settings in _wanted(deployment.spec, target_group_arn).items():
        name = "the listener" if port == HTTP else "the HTTPS listener"
        if port not in found:
            return f"{name} was deleted"
        # Not of the policy: a version of Slipway with a newer one must not repair every listener.
        if _differs(found[port], {**settings, "SslPolicy": found[port].get("SslPolicy")}):
            moved = _action(found[port]) != _action(settings)
            return f"{name} {'forwards elsewhere' if moved else 'has another certificate'}"
    return ""


def _by_port(load_balancer_arn: str) -> dict[int, dict[str, Any]]:
    answer = aws.client("elbv2").describe_listeners(LoadBalancerArn=load_balancer_arn)
    return {found["Port"]: found for found in answer["Listeners"]}


def _differs(found: dict[str, Any], settings: dict[str, Any]) -> bool:
    if _action(found) != _action(settings):
        return True
    if settings["Protocol"] != "HTTPS":
        return False
    arns = [entry["CertificateArn"] for entry in found.get("Certificates", [])]
    wanted = [entry["CertificateArn"] for entry in settings["Certificates"]]
    return found.get("SslPolicy") != settings["SslPolicy"] or arns != wanted


def _action(listener: dict[str, Any]) -> tuple[str | None, str | None]:
    """What its default action comes to: the target group, or the port that is redirected to."""
    action = listener["DefaultActions"][0]
    return action.get("TargetGroupArn"), action.get("RedirectConfig", {}).get("Port")
