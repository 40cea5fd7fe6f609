from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.platform import aws
from chalicelib.platform.clock import now
from chalicelib.workflow.preflight import address
from chalicelib.workflow.preflight.subject import Subject
from tests.support import aws_says
from tests.support.builders import CERTIFICATE, DOMAIN, deployment_of

pytestmark = pytest.mark.usefixtures("cloud")


def subject(**fields: Any) -> Subject:
    return Subject(deployment_of(**fields))


def certificate_with(**fields: Any) -> None:
    """Make Certificate Manager return these fields for an otherwise valid certificate."""
    detail = {
        "Status": "ISSUED",
        "DomainName": "*.example.com",
        "SubjectAlternativeNames": ["*.example.com"],
        "NotBefore": now() - timedelta(days=30),
        "NotAfter": now() + timedelta(days=30),
        **fields,
    }
    aws_says.answer("acm", "DescribeCertificate", {"Certificate": detail})


def test_without_certificate_and_domain_nothing_is_checked() -> None:
    assert not address.check_certificate(subject())
    assert not address.check_domain(subject())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"DomainName": "a.example.com", "SubjectAlternativeNames": ["a.example.com", DOMAIN]},
        {"NotAfter": None, "NotBefore": None},
    ],
)
def test_an_issued_certificate_for_the_domain_is_valid(fields: dict[str, Any]) -> None:
    certificate_with(**fields)
    assert address.check_certificate(subject(certificate_arn=CERTIFICATE, domain=DOMAIN))


def test_without_a_domain_its_names_do_not_matter() -> None:
    certificate_with(DomainName="other.example.org", SubjectAlternativeNames=[])
    assert address.check_certificate(subject(certificate_arn=CERTIFICATE))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"Status": "PENDING_VALIDATION"}, "its status is PENDING_VALIDATION, not ISSUED"),
        ({"Status": "EXPIRED"}, "its status is EXPIRED, not ISSUED"),
        ({"NotAfter": now() - timedelta(days=1)}, "it expired on"),
        ({"NotBefore": now() + timedelta(days=1)}, "it is not valid before"),
        (
            {"DomainName": "*.x.example.com", "SubjectAlternativeNames": ["example.com"]},
            rf"it covers \*.x.example.com, example.com, but not {DOMAIN}",
        ),
    ],
)
def test_an_unusable_certificate_is_reported(fields: dict[str, Any], words: str) -> None:
    certificate_with(**fields)
    with pytest.raises(DeploymentFailed, match=words) as raised:
        address.check_certificate(subject(certificate_arn=CERTIFICATE, domain=DOMAIN))
    assert raised.value.code is FailureCode.NETWORK_MISCONFIGURED
    assert raised.value.evidence["certificate_arn"] == CERTIFICATE


def test_a_missing_certificate_is_reported() -> None:
    with pytest.raises(DeploymentFailed, match="it does not exist"):
        address.check_certificate(subject(certificate_arn=CERTIFICATE))


def test_a_foreign_record_is_reported_before_anything_is_created() -> None:
    route53 = aws.client("route53")
    assert not address.check_domain(
        subject(domain=DOMAIN)
    )  # this account has no hosted zone for the domain
    zone = route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]
    assert address.check_domain(subject(domain=DOMAIN))
    record = {"Name": DOMAIN, "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "a.b"}]}
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)
    with pytest.raises(DeploymentFailed, match="already has a record of type CNAME"):
        address.check_domain(subject(domain=DOMAIN))
