"""HTTPS and a domain through the whole workflow: on, moved, off, rolled back and deleted."""

from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NameTaken
from tests.support.in_process import REGISTRY
from tests.workflow.world import World

FIRST, SECOND = "a.example.com", "b.example.com"


def listeners(world: World, deployment: Deployment) -> dict[int, str]:
    """Port -> the action of its listener."""
    elbv2 = world.client("elbv2")
    arn = elbv2.describe_load_balancers(Names=[deployment.id])["LoadBalancers"][0][
        "LoadBalancerArn"
    ]
    found = elbv2.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    return {entry["Port"]: entry["DefaultActions"][0]["Type"] for entry in found}


def update(world: World, deployment: Deployment, **changes: Any) -> Deployment:
    world.execute(world.accept_update(deployment, **changes))
    return world.read(deployment)


def domains_of(world: World, deployment: Deployment, zone: str) -> list[str]:
    """The domains whose record points to the deployment."""
    return [name for name, target in world.records(zone).items() if deployment.id in target]


def test_the_lifecycle_with_https_and_a_domain(world: World) -> None:
    zone, certificate = world.make_zone(), world.make_certificate()

    made = world.deploy(certificate_arn=certificate, domain=FIRST)
    assert made.url == f"https://{FIRST}"
    assert listeners(world, made) == {443: "forward", 80: "redirect"}
    assert domains_of(world, made, zone) == [FIRST]

    moved = update(world, made, domain=SECOND)
    assert (moved.status, moved.url) == ("ACTIVE", f"https://{SECOND}")
    assert domains_of(world, made, zone) == [SECOND]

    plain = update(world, made, certificate_arn=None, domain=None)
    assert listeners(world, made) == {80: "forward"}
    assert domains_of(world, made, zone) == []
    assert plain.url and plain.url.startswith("http://") and plain.dns is None
    live = {(r.kind, r.name) for r in plain.resources if not r.deleted_at}
    assert ("listener", f"{made.id}:443") not in live
    assert not any(kind == "dns_record" for kind, _ in live)

    update(world, made, certificate_arn=certificate, domain=FIRST)
    world.execute(world.accept_delete(made))
    gone = world.read(made)
    assert (gone.status, gone.leftovers, gone.dns) == ("DELETED", [], None)
    assert all(resource.verified_gone for resource in gone.resources)
    assert {"listener", "dns_record"} <= {resource.kind for resource in gone.resources}
    assert domains_of(world, made, zone) == []
    assert world.left(made.id) == []


def test_a_failed_update_restores_the_old_address(world: World) -> None:
    zone, certificate = world.make_zone(), world.make_certificate()
    made = world.deploy(certificate_arn=certificate, domain=FIRST)

    failed = update(
        world,
        made,
        certificate_arn=None,
        domain=SECOND,
        smoke_test={"path": "/", "json_has": ["nope"]},
    )

    assert (failed.status, failed.operation.status) == ("ACTIVE", "rolled_back")
    assert (failed.url, failed.domains) == (f"https://{FIRST}", [FIRST])
    assert listeners(world, made) == {443: "forward", 80: "redirect"}
    assert domains_of(world, made, zone) == [FIRST]


def test_a_foreign_record_fails_the_preflight(world: World) -> None:
    zone = world.make_zone()
    record = {"Name": FIRST, "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "x.org"}]}
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    world.client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)

    deployment = world.accept(domain=FIRST)
    world.execute(deployment)

    failed = world.read(deployment)
    assert failed.failure and (failed.failure.code, failed.failure.step) == (
        "NETWORK_MISCONFIGURED",
        "preflight",
    )
    assert world.left(deployment.id) == []


def test_a_domain_outside_this_account_is_shown_but_not_waited_for(world: World) -> None:
    made = world.deploy(domain=FIRST)

    assert made.url == f"http://{FIRST}"
    assert made.dns and (made.dns.type, made.dns.managed) == ("CNAME", False)
    assert made.id in made.dns.value
    assert not any(resource.kind == "dns_record" for resource in made.resources)


def test_a_domain_belongs_to_one_deployment(world: World) -> None:
    first = world.deploy(domain=FIRST)
    with pytest.raises(NameTaken):
        world.accept(name="second", domain=FIRST)
    world.execute(world.accept_delete(first))
    assert world.deploy(name="second", domain=FIRST).status == "ACTIVE"


def test_restricted_callers_are_served_without_a_smoke_test(world: World) -> None:
    made = world.deploy(ingress_cidrs=["203.0.113.0/24"], smoke_test={"json_has": ["nope"]})
    assert made.operation.step("smoke_test").status == "skipped"
    assert made.prediction is None

    widened = update(world, made, ingress_cidrs=["0.0.0.0/0"], image=f"{REGISTRY}/recommend:2")
    assert widened.operation.status == "rolled_back"  # now the smoke test runs, and fails
    assert widened.spec.ingress_cidrs == ["203.0.113.0/24"]
