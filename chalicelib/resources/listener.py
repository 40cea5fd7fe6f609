"""The listeners: port 80, and port 443 if the spec names a certificate.

Without a certificate, port 80 forwards to the target group. With one, port 443 forwards to it, and
port 80 redirects to port 443. AWS deletes listeners with their load balancer, so there is no
`delete`.
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
# The policy that AWS recommends: TLS 1.3 and 1.2 with forward secrecy, and with post-quantum key
# exchange if the client supports it.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
# `UnsupportedCertificate` is not in the service model. AWS returns it for an unsupported key type.
REFUSED_CERTIFICATE = {"CertificateNotFound", "UnsupportedCertificate"}
# 301 that keeps the host, path and query of the request.
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
    """AWS's description of the listener that forwards to the tasks, or None."""
    balancer = load_balancer.find(deployment.id)
    return _by_port(balancer.arn).get(serving_port(deployment.spec)) if balancer else None


def arns(deployment_id: str) -> list[str]:
    """The ARNs of the load balancer's listeners; none if there is no load balancer."""
    balancer = load_balancer.find(deployment_id)
    listeners = _by_port(balancer.arn).values() if balancer else ()
    return [listener["ListenerArn"] for listener in listeners]


def ensure(deployment: Deployment) -> list[Resource]:
    """Creates or updates the listeners of the spec.

    Deletes the listener on port 443 if the spec no longer names a certificate. The order drops no
    request: port 443 forwards before port 80 redirects to it, and port 80 forwards before port 443
    is deleted. ECS refuses a service whose target group has no listener, so this runs before the
    service.
    """
    elbv2 = aws.client("elbv2")
    try:
        return _ensure(deployment)
    except (
        elbv2.exceptions.LoadBalancerNotFoundException,
        elbv2.exceptions.TargetGroupNotFoundException,
        elbv2.exceptions.ListenerNotFoundException,
    ) as error:
        # Eventual consistency right after a create:
        # https://github.com/hashicorp/terraform-provider-aws/issues/15214
        raise NotReady(f"a resource is not visible yet: {aws.message_of(error)}") from None
    except elbv2.exceptions.ClientError as error:
        if aws.code_of(error) not in REFUSED_CERTIFICATE:
            raise
        raise DeploymentFailed(
            FailureCode.NETWORK_MISCONFIGURED,
            f"The load balancer refused the certificate: {aws.message_of(error).rstrip('.')}.",
            hint="Check `certificate_arn`. The certificate must be issued, be in this region, and "
            "have a key type that load balancers support.",
            evidence={"certificate_arn": deployment.spec.certificate_arn},
        ) from None


def _ensure(deployment: Deployment) -> list[Resource]:
    balancer = load_balancer.get(deployment.id)
    wanted = _wanted(deployment.spec, target_group.get_arn(deployment.id))
    existing = _by_port(balancer.arn)
    made = []
    for port, settings in wanted.items():
        listener = existing.pop(port, None)
        if listener is None:
            arn = _create(deployment, balancer.arn, port, settings)
        else:
            arn = listener["ListenerArn"]
            if _differs(listener, settings):
                aws.client("elbv2").modify_listener(ListenerArn=arn, **settings)
            retag_elbv2(deployment, arn)
        made.append(Resource(kind=KIND, name=f"{deployment.id}:{port}", arn=arn))
    if HTTPS in existing:
        aws.client("elbv2").delete_listener(ListenerArn=existing[HTTPS]["ListenerArn"])
    return made


def _wanted(spec: Spec, target_group_arn: str) -> dict[int, dict[str, Any]]:
    """Port -> settings of its listener, in the order in which `ensure` applies them."""
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
    """How the listeners differ from the spec, as text; empty if they do not differ."""
    listeners = _by_port(load_balancer_arn)
    for port, settings in _wanted(deployment.spec, target_group_arn).items():
        name = "the listener" if port == HTTP else "the HTTPS listener"
        listener = listeners.get(port)
        if listener is None:
            return f"{name} was deleted"
        # Another TLS policy is no drift: a Slipway version with a newer policy must not repair
        # every listener.
        if _differs(listener, {**settings, "SslPolicy": listener.get("SslPolicy")}):
            moved = _action(listener) != _action(settings)
            return f"{name} {'has another default action' if moved else 'has another certificate'}"
    return ""


def _by_port(load_balancer_arn: str) -> dict[int, dict[str, Any]]:
    answer = aws.client("elbv2").describe_listeners(LoadBalancerArn=load_balancer_arn)
    return {listener["Port"]: listener for listener in answer["Listeners"]}


def _differs(listener: dict[str, Any], settings: dict[str, Any]) -> bool:
    if _action(listener) != _action(settings):
        return True
    if settings["Protocol"] != "HTTPS":
        return False
    arns = [entry["CertificateArn"] for entry in listener.get("Certificates", [])]
    wanted = [entry["CertificateArn"] for entry in settings["Certificates"]]
    return listener.get("SslPolicy") != settings["SslPolicy"] or arns != wanted


def _action(listener: dict[str, Any]) -> tuple[str | None, str | None]:
    """The target of the default action: (target group ARN, None) or (None, redirect port)."""
    action = listener["DefaultActions"][0]
    return action.get("TargetGroupArn"), action.get("RedirectConfig", {}).get("Port")
