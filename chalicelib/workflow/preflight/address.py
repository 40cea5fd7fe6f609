"""May the deployment have the address that it asks for: its certificate, and its domain's name?"""

from __future__ import annotations

from typing import Any

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.spec import domain_name
from chalicelib.platform import aws, clock
from chalicelib.platform.clock import rfc3339
from chalicelib.resources import dns_record
from chalicelib.workflow.preflight.subject import Subject


def check_certificate(subject: Subject) -> bool:
    """Raises `DeploymentFailed` (`NETWORK_MISCONFIGURED`) saying what is wrong with it."""
    spec = subject.deployment.spec
    if spec.certificate_arn is None:
        return False
    acm = aws.client("acm")
    try:
        found = acm.describe_certificate(CertificateArn=spec.certificate_arn)["Certificate"]
    except acm.exceptions.ResourceNotFoundException:
        raise _unusable(spec.certificate_arn, "there is no such certificate") from None
    if fault := _fault(found, spec.domain):
        raise _unusable(spec.certificate_arn, fault)
    return True


def check_domain(subject: Subject) -> bool:
    """Raises `DeploymentFailed` (`NETWORK_MISCONFIGURED`) where the name is another's."""
    deployment = subject.deployment
    domain = deployment.spec.domain
    zone = dns_record.zone_of(domain) if domain else None
    if domain is None or zone is None:
        return False
    dns_record.check_free(deployment.id, domain, zone)
    return True


def _fault(found: dict[str, Any], domain: str | None) -> str:
    """https://docs.aws.amazon.com/acm/latest/APIReference/API_CertificateDetail.html"""
    if found["Status"] != "ISSUED":
        return f"it is {found['Status']}, not ISSUED"
    moment, first, last = clock.now(), found.get("NotBefore"), found.get("NotAfter")
    if last and last <= moment:
        return f"it expired on {rfc3339(last)}"
    if first and first > moment:
        return f"it is valid only from {rfc3339(first)} on"
    names = {found["DomainName"], *found.get("SubjectAlternativeNames", [])}
    if domain and not any(domain_name.covers(name, domain) for name in names):
        return f"it is for {', '.join(sorted(names))}, and not for {domain}"
    return ""


def _unusable(arn: str, fault: str) -> DeploymentFailed:
    return DeploymentFailed(
        FailureCode.NETWORK_MISCONFIGURED,
        f"The certificate {arn} cannot be used: {fault}.",
        hint="Name a certificate of this account and region that AWS Certificate Manager shows as "
        "issued, and that is for the `domain`.",
        evidence={"certificate_arn": arn, "reason": fault},
    )
