"""Checks the certificate and the domain of a deployment."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.spec import domain_name
from chalicelib.platform import aws, clock
from chalicelib.platform.clock import rfc3339
from chalicelib.resources import dns_record
from chalicelib.workflow.preflight.subject import Subject


def check_certificate(subject: Subject) -> bool:
    """Raises `DeploymentFailed` (`NETWORK_MISCONFIGURED`) if the certificate cannot be used."""
    spec = subject.deployment.spec
    if spec.certificate_arn is None:
        return False
    acm = aws.client("acm")
    try:
        answer = acm.describe_certificate(CertificateArn=spec.certificate_arn)
    except acm.exceptions.ResourceNotFoundException:
        raise _unusable(spec.certificate_arn, "it does not exist") from None
    if fault := _fault(answer["Certificate"], spec.domain):
        raise _unusable(spec.certificate_arn, fault)
    return True


def check_domain(subject: Subject) -> bool:
    """Raises `DeploymentFailed` (`NETWORK_MISCONFIGURED`) if another DNS record uses the domain."""
    deployment = subject.deployment
    domain = deployment.spec.domain
    zone = dns_record.zone_of(domain) if domain else None
    if domain is None or zone is None:
        return False
    dns_record.check_free(deployment.id, domain, zone)
    return True


def _fault(certificate: dict[str, Any], domain: str | None) -> str:
    """Why the certificate cannot be used; empty if it can.

    https://docs.aws.amazon.com/acm/latest/APIReference/API_CertificateDetail.html
    """
    if certificate["Status"] != "ISSUED":
        return f"its status is {certificate['Status']}, not ISSUED"
    moment, first, last = clock.now(), certificate.get("NotBefore"), certificate.get("NotAfter")
    if last and last <= moment:
        return f"it expired on {rfc3339(last)}"
    if first and first > moment:
        return f"it is not valid before {rfc3339(first)}"
    names = {certificate["DomainName"], *certificate.get("SubjectAlternativeNames", [])}
    if domain and not any(domain_name.covers(name, domain) for name in names):
        return f"it covers {', '.join(sorted(names))}, but not {domain}"
    return ""


def _unusable(arn: str, fault: str) -> DeploymentFailed:
    return DeploymentFailed(
        FailureCode.NETWORK_MISCONFIGURED,
        f"The certificate {arn} cannot be used: {fault}.",
        hint="Use an issued AWS Certificate Manager certificate in this account and region that "
        "covers the `domain`.",
        evidence={"certificate_arn": arn, "reason": fault},
    )
