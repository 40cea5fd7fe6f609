"""HTTPS and a domain on the local stack.

The emulator stores the certificate, the listeners and the record. It serves every listener over
plain HTTP at its own address: a request with the load balancer's DNS name and a port in the Host
header reaches the listener of that port.
"""

import http.client
from collections.abc import Iterator

import pytest

from local.emulator import client
from local.inspection import leftovers
from local.stack import Stack
from tests.stack.client import Client

FIRST, SECOND = "first.example.com", "second.example.com"
NARROW = ["203.0.113.0/24"]


@pytest.fixture(scope="module")
def zone(stack: Stack) -> Iterator[None]:
    """A public hosted zone for example.com."""
    route53 = client("route53", stack)
    made = route53.create_hosted_zone(Name="example.com", CallerReference="address")
    yield
    route53.delete_hosted_zone(Id=made["HostedZone"]["Id"])


def through(stack: Stack, name: str, port: int) -> tuple[int, str]:
    """Status and Location of the response of the listener on `port` to /?uid=20."""
    connection = http.client.HTTPConnection(stack.aws_endpoint_url.removeprefix("http://"))
    try:
        connection.request("GET", "/?uid=20", headers={"Host": f"{name}:{port}"})
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Location", "")
    finally:
        connection.close()


@pytest.mark.usefixtures("zone")
def test_the_lifecycle_with_https_and_a_domain(api: Client, stack: Stack) -> None:
    acm = client("acm", stack)
    certificate = acm.request_certificate(DomainName="*.example.com")["CertificateArn"]

    made = api.deploy("address", certificate_arn=certificate, domain=FIRST)
    assert made["status"] == "ACTIVE", made["failure"]
    assert made["url"] == f"https://{FIRST}"
    assert made["prediction"]["status"] == 200
    name = made["dns"]["value"]
    assert made["dns"] == {"name": FIRST, "type": "A", "value": name, "managed": True}
    assert f"DNS record {FIRST}. -> {name}." in leftovers(stack, made["id"])
    assert through(stack, name, 443)[0] == 200
    status, location = through(stack, name, 80)
    assert (status, location.split(":", 1)[0]) == (301, "https")
    assert location.endswith("/?uid=20")

    moved = api.change(made["id"], domain=SECOND, ingress_cidrs=NARROW)
    assert (moved["url"], moved["dns"]["name"]) == (f"https://{SECOND}", SECOND)
    steps = {step["name"]: step["status"] for step in moved["operation"]["steps"]}
    assert steps["smoke_test"] == "skipped"
    records = [e for e in leftovers(stack, made["id"]) if "DNS record" in e]
    assert records == [f"DNS record {SECOND}. -> {name}."]

    refused = api.send("POST", "/deployments", api.spec("second", domain=SECOND))
    assert (refused.status, refused.json["code"]) == (409, "NAME_TAKEN")
    assert refused.json["errors"][0]["field"] == "domain"

    gone = api.delete(made["id"])
    assert (gone["status"], gone["leftovers"], gone["dns"]) == ("DELETED", [], None)
    assert all(resource["verified_gone"] for resource in gone["resources"])
    assert leftovers(stack, made["id"]) == []
