"""`certificate_arn`, `domain` and `ingress_cidrs`: every rule and the fix in its message."""

import re

import pytest

from chalicelib.domain.spec import certificate_reference, domain_name, ingress
from infra.template import resources
from tests.support.builders import ACCOUNT, CERTIFICATE, REGION
from tests.workflow.machine import ROOT


@pytest.mark.parametrize(
    "domain",
    [
        "example.com",
        "a.b.c.example.com",
        "3d.example.com",
        "xn--bcher-kva.example.com",
        "xn--strae-oqa.de",  # IDNA 2008; IDNA 2003 has another form
        "a--b.example.com",
        f"{'a' * 63}.example.com",
        ".".join(["a" * 49] * 5 + ["abc"]),
    ],
)
def test_a_host_name_is_accepted(domain: str) -> None:
    domain_name.check(domain, None)


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ("", "Use at least two labels"),
        ("com", "Use at least two labels"),
        ("a..example.com", "Use at least two labels"),
        ("-a.example.com", "no hyphen at either end"),
        ("a-.example.com", "no hyphen at either end"),
        ("a_b.example.com", "a-z, 0-9 and hyphen"),
        ("*.example.com", "a-z, 0-9 and hyphen"),
        ("a b.example.com", "a-z, 0-9 and hyphen"),
        ("example.com\n", "a-z, 0-9 and hyphen"),
        ("203.0.113.7", "a host name"),
        ("https://example.com", "a host name"),
        ("Example.com", "must be lowercase and must not end with a dot: example.com"),
        ("example.com.", "must be lowercase and must not end with a dot: example.com"),
        ("b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example", "punycode"),
        ("xn--.example.com", "Use at least two labels"),
        ("xn--999999999.example.com", "has the label xn--999999999, which is not valid punycode"),
        (f"{'a' * 64}.example.com", "63 characters"),
        (".".join(["a" * 49] * 5 + ["abcd"]), "at most 253"),
    ],
)
def test_an_invalid_host_name_is_refused_with_its_fix(domain: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        domain_name.check(domain, None)


@pytest.mark.parametrize(
    ("domain", "allowed", "verdict"),
    [
        ("a.example.com", ("*.example.com",), True),
        ("a.b.example.com", ("*.example.com",), True),
        ("example.com", ("*.example.com",), False),
        ("badexample.com", ("*.example.com",), False),
        ("example.com", ("example.com",), True),
        ("a.example.com", ("example.com",), False),
        ("a.example.org", ("*.example.com", "*.example.org"), True),
        ("a.example.com", (), False),
    ],
)
def test_a_domain_must_be_allowed(domain: str, allowed: tuple[str, ...], verdict: bool) -> None:
    assert domain_name.is_allowed(domain, allowed) is verdict


def test_if_no_domain_is_allowed_the_refusal_says_who_can_change_that() -> None:
    with pytest.raises(ValueError, match=r"none is set.*AllowedDomains"):
        domain_name.check("a.example.com", ())


@pytest.mark.parametrize(
    ("name", "domain", "verdict"),
    [
        ("a.example.com", "a.example.com", True),
        ("A.Example.com", "a.example.com", True),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "a.b.example.com", False),
        ("*.example.com", "example.com", False),
        ("b.example.com", "a.example.com", False),
    ],
)
def test_a_certificates_wildcard_matches_one_label(name: str, domain: str, verdict: bool) -> None:
    assert domain_name.covers(name, domain) is verdict


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        ("", True),
        ("example.com", True),
        ("*.example.com,predict.example.org", True),
        ("*", False),
        ("*.com", False),
        ("a.*.com", False),
        ("example.com, example.org", False),
        ("Example.com", False),
    ],
)
def test_the_template_allows_a_wildcard_only_at_the_start(value: str, verdict: bool) -> None:
    template = resources(ROOT)
    pattern = template["Parameters"]["AllowedDomains"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, value)) is verdict


@pytest.mark.parametrize(
    "arn",
    [CERTIFICATE, CERTIFICATE.replace(ACCOUNT, "9" * 12), CERTIFICATE.replace("aws", "aws-cn")],
)
def test_a_certificate_of_the_region_is_accepted(arn: str) -> None:
    certificate_reference.check(arn, REGION)


@pytest.mark.parametrize(
    ("arn", "words"),
    [
        ("0123-abcd", "Example: arn:aws:acm"),
        (f"{CERTIFICATE} ", "Example: arn:aws:acm"),
        (CERTIFICATE.replace("acm", "iam"), "Example: arn:aws:acm"),
        (
            CERTIFICATE.replace(REGION, "eu-west-1"),
            f"must be in {REGION}, the load balancer's region, not in eu-west-1",
        ),
    ],
)
def test_any_other_certificate_is_refused(arn: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        certificate_reference.check(arn, REGION)


@pytest.mark.parametrize(
    ("cidrs", "words"),
    [
        ([], "at least one range"),
        (["203.0.113.5/24"], "must contain 203.0.113.0/24 instead of 203.0.113.5/24"),
        (["203.0.113.5"], "must contain 203.0.113.5/32 instead of 203.0.113.5"),
        (["10.0.0.0/255.0.0.0"], "must contain 10.0.0.0/8 instead of 10.0.0.0/255.0.0.0"),
        (
            ["::/0"],
            "must contain IPv4 ranges only, not ::/0: the load balancer has no IPv6 address",
        ),
        (["10.0.0.0/33"], "must contain IPv4 ranges such as 203.0.113.0/24, not '10.0.0.0/33'"),
        (["everyone"], "must contain IPv4 ranges such as 203.0.113.0/24, not 'everyone'"),
        (["10.0.0.0/8", "10.0.0.0/8"], "must not repeat a range: 10.0.0.0/8"),
        ([f"10.{n}.0.0/16" for n in range(16)], "at most 15"),
    ],
)
def test_a_range_is_an_ipv4_network_as_aws_writes_it(cidrs: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        ingress.check(cidrs)


def test_all_faults_of_the_ranges_are_reported_at_once() -> None:
    with pytest.raises(ValueError) as raised:
        ingress.check(["::/0", "10.0.0.1/8", "x"])
    assert len(str(raised.value).split("; ")) == 3


def test_fifteen_ranges_are_accepted() -> None:
    ingress.check([f"10.{n}.0.0/16" for n in range(15)])


@pytest.mark.parametrize(
    ("cidrs", "verdict"),
    [
        (["0.0.0.0/0"], True),
        (["0.0.0.0/1", "128.0.0.0/1"], True),
        (["0.0.0.0/0", "10.0.0.0/8"], True),
        (["0.0.0.0/1"], False),
    ],
)
def test_the_default_range_is_all_of_ipv4(cidrs: list[str], verdict: bool) -> None:
    assert ingress.is_everyone(cidrs) is verdict
