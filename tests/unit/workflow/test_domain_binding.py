from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, NotReady
from chalicelib.domain.parts import Dns
from chalicelib.platform import aws
from chalicelib.resources import dns_record, load_balancer, security_groups
from chalicelib.workflow import domain_binding, teardown
from chalicelib.workflow.step import Outcome
from tests.support import aws_says
from tests.support.builders import CERTIFICATE, DOMAIN, ID, MOMENT, active, spec_of

OTHER = "other.example.com"
PENDING, INSYNC = ({"ChangeInfo": {"Status": status}} for status in ("PENDING", "INSYNC"))


@pytest.fixture
def deployment(cloud: None) -> Deployment:
    made = active(domain=DOMAIN, certificate_arn=CERTIFICATE)
    security_groups.ensure(made)
    load_balancer.ensure(made)
    return made


@pytest.fixture
def zone(cloud: None) -> str:
    answer = aws.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")
    return str(answer["HostedZone"]["Id"])


def bind(deployment: Deployment) -> Outcome:
    """Run the step and apply its changes to the record."""
    outcome = domain_binding.bind(deployment)
    for resource in outcome.resources:
        deployment.record_resource(resource, MOMENT)
    assert outcome.change
    outcome.change(deployment)
    return outcome


def lives(deployment: Deployment) -> list[str]:
    return dns_record.exists(ID, [DOMAIN, OTHER])


@pytest.mark.usefixtures("zone")
def test_a_domain_in_a_zone_of_this_account_points_to_the_load_balancer(
    deployment: Deployment,
) -> None:
    outcome = bind(deployment)
    assert outcome.message == f"{DOMAIN} points to the load balancer"
    value = load_balancer.get(ID).dns_name
    assert deployment.dns == Dns(name=DOMAIN, type="A", value=value, managed=True)
    assert deployment.url == f"https://{DOMAIN}"
    [record] = [r for r in deployment.resources if r.kind == dns_record.KIND]
    assert (record.name, record.deleted_at) == (DOMAIN, None)
    bind(deployment)
    assert lives(deployment) == [DOMAIN]


def test_outside_this_account_the_record_to_set_is_shown_without_waiting(
    deployment: Deployment,
) -> None:
    outcome = bind(deployment)
    assert outcome.message.endswith("create the CNAME record shown in `dns`")
    value = load_balancer.get(ID).dns_name
    assert deployment.dns == Dns(name=DOMAIN, type="CNAME", value=value, managed=False)
    assert outcome.resources == []
    assert deployment.url == f"https://{DOMAIN}"


def test_without_a_domain_there_are_no_calls(cloud: None, aws_calls: list[str]) -> None:
    deployment = active()
    deployment.url = "http://lb.example"
    assert bind(deployment).message == "the deployment has no domain"
    assert (deployment.dns, deployment.url) == (None, "http://lb.example")
    assert domain_binding.unbind(deployment).message == "the deployment has no domain"
    assert aws_calls == []


@pytest.mark.usefixtures("zone")
def test_the_step_waits_until_route_53_has_propagated_the_record(deployment: Deployment) -> None:
    answers: list[dict[str, Any]] = [PENDING, PENDING, INSYNC]
    asked: list[Any] = []

    def reply(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request["url_path"])
        return answers.pop(0)

    aws_says.answer("route53", "GetChange", reply)
    for _ in range(2):
        with pytest.raises(
            NotReady, match=f"Route 53 is propagating the record of {DOMAIN}"
        ) as raised:
            domain_binding.bind(deployment)
        deployment.operation.evidence |= raised.value.evidence  # as the step frame does
    bind(deployment)
    assert len(set(asked)) == 1
    assert deployment.url == f"https://{DOMAIN}"


@pytest.mark.usefixtures("zone")
def test_the_old_record_is_deleted_after_the_new_one_exists(deployment: Deployment) -> None:
    bind(deployment)
    deployment.update(spec_of(domain=OTHER), MOMENT, new_image=False)
    aws_says.answer("route53", "GetChange", PENDING)
    with pytest.raises(NotReady):
        domain_binding.bind(deployment)
    assert lives(deployment) == [DOMAIN, OTHER]
    aws_says.answer("route53", "GetChange", INSYNC)
    bind(deployment)
    assert lives(deployment) == [OTHER]
    assert (deployment.domains, deployment.url) == ([DOMAIN, OTHER], f"http://{OTHER}")
    deployment.activate(MOMENT, 0.03)  # until then a rollback may need it
    assert deployment.domains == [OTHER]
    verified_gone = {
        r.name: r.verified_gone for r in deployment.resources if r.kind == dns_record.KIND
    }
    assert verified_gone == {DOMAIN: True, OTHER: False}


@pytest.mark.usefixtures("zone")
def test_a_rollback_restores_the_old_record(deployment: Deployment) -> None:
    bind(deployment)
    deployment.update(spec_of(domain=OTHER), MOMENT, new_image=False)
    dns_record.ensure(ID, OTHER, _zone(), load_balancer.get(ID))  # then the function died
    deployment.restore(active(domain=DOMAIN).last_active)  # type: ignore[arg-type]
    bind(deployment)
    deployment.activate(MOMENT, 0.03)
    assert (lives(deployment), deployment.domains) == ([DOMAIN], [DOMAIN])


@pytest.mark.usefixtures("zone")
def test_a_removed_domain_is_released(deployment: Deployment) -> None:
    bind(deployment)
    deployment.update(spec_of(), MOMENT, new_image=False)
    bind(deployment)
    deployment.activate(MOMENT, 0.03)
    assert lives(deployment) == []
    assert (deployment.domains, deployment.dns) == ([], None)


@pytest.mark.usefixtures("zone")
def test_a_teardown_deletes_all_records_and_proves_it(deployment: Deployment) -> None:
    bind(deployment)
    deployment.update(spec_of(domain=OTHER), MOMENT, new_image=False)
    dns_record.ensure(ID, OTHER, _zone(), load_balancer.get(ID))
    left = teardown.find_leftovers(ID, deployment.domains)
    assert [item.name for item in left if item.kind == "dns_record"] == [DOMAIN, OTHER]
    domain_binding.unbind(deployment)
    assert lives(deployment) == []
    left = teardown.find_leftovers(ID, deployment.domains)
    assert [item for item in left if item.kind == "dns_record"] == []


@pytest.mark.usefixtures("zone")
def test_a_record_of_someone_else_is_kept_and_reported(deployment: Deployment, zone: str) -> None:
    record = {"Name": DOMAIN, "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "a.b"}]}
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    aws.client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)
    kept = domain_binding.bind(deployment)
    assert (kept.status, kept.change) == ("skipped", None)  # it served before, so it continues
    assert "of type CNAME" in kept.message
    deployment.last_active = None
    with pytest.raises(DeploymentFailed, match="of type CNAME"):
        domain_binding.bind(deployment)


def _zone() -> dns_record.Zone:
    found = dns_record.zone_of(DOMAIN)
    assert found
    return found
