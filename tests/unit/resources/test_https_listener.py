"""HTTPS is turned on and off without a dropped request: 443 serves, and 80 redirects to it."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.platform import aws
from chalicelib.resources import (
    listener,
    load_balancer,
    pause_rule,
    security_groups,
    target_group,
)
from tests.support import aws_says
from tests.support.builders import ID, deployment_of

OPERATIONS = ("CreateListener", "ModifyListener", "DeleteListener")


@pytest.fixture
def certificates(cloud: None) -> list[str]:
    """The ARNs of two issued certificates."""
    acm = aws.client("acm")
    return [acm.request_certificate(DomainName=f"{n}.example.com")["CertificateArn"] for n in "ab"]


@pytest.fixture
def plain(cloud: None) -> Deployment:
    """A deployment without HTTPS, with the resources that listeners need."""
    deployment = deployment_of()
    for ensure in (security_groups.ensure, load_balancer.ensure, target_group.ensure):
        ensure(deployment)
    return deployment


def secured(certificate: str) -> Deployment:
    return deployment_of(certificate_arn=certificate)


def by_port() -> dict[int, dict[str, Any]]:
    arn = load_balancer.get(ID).arn
    listeners = aws.client("elbv2").describe_listeners(LoadBalancerArn=arn)["Listeners"]
    return {entry["Port"]: entry for entry in listeners}


def order() -> Callable[[], list[str]]:
    """The changes from now on, in order: (operation, port) as text."""
    made: list[str] = []
    events = aws.client("elbv2").meta.events

    def note(model: Any, params: dict[str, Any], **_: Any) -> None:
        if model.name in OPERATIONS:
            made.append(f"{model.name} {params['body'].get('Port', '')}".strip())

    events.register("before-call", note)
    return lambda: made


def test_443_serves_with_tls_1_3_and_80_redirects(
    plain: Deployment, certificates: list[str]
) -> None:
    made = listener.ensure(secured(certificates[0]))
    assert [resource.name for resource in made] == [f"{ID}:443", f"{ID}:80"]
    secure, http = by_port()[443], by_port()[80]
    assert (secure["Protocol"], secure["SslPolicy"]) == ("HTTPS", listener.TLS_POLICY)
    assert secure["Certificates"] == [{"CertificateArn": certificates[0]}]
    assert secure["DefaultActions"][0]["TargetGroupArn"] == target_group.get_arn(ID)
    redirect = http["DefaultActions"][0]["RedirectConfig"]
    assert (redirect["Protocol"], redirect["Port"]) == ("HTTPS", "443")
    assert (redirect["Path"], redirect["Query"]) == ("/#{path}", "#{query}")
    assert redirect["StatusCode"] == "HTTP_301"


def test_repeated_ensure_changes_nothing(plain: Deployment, certificates: list[str]) -> None:
    first = listener.ensure(secured(certificates[0]))
    changes = order()
    assert listener.ensure(secured(certificates[0])) == first
    assert changes() == []


def test_443_serves_before_80_redirects_to_it(plain: Deployment, certificates: list[str]) -> None:
    listener.ensure(plain)
    changes = order()
    listener.ensure(secured(certificates[0]))
    assert changes() == ["CreateListener 443", "ModifyListener"]
    assert "RedirectConfig" in by_port()[80]["DefaultActions"][0]


def test_80_forwards_before_443_is_deleted(plain: Deployment, certificates: list[str]) -> None:
    listener.ensure(secured(certificates[0]))
    changes = order()
    listener.ensure(plain)
    assert changes() == ["ModifyListener", "DeleteListener"]
    [http] = by_port().values()
    assert http["DefaultActions"][0]["TargetGroupArn"] == target_group.get_arn(ID)


def test_ensure_continues_after_a_crash_while_https_is_turned_off(
    plain: Deployment, certificates: list[str]
) -> None:
    listener.ensure(secured(certificates[0]))
    aws_says.refuse("elbv2", "DeleteListener", "InternalFailure", status=500, times=1)
    with pytest.raises(aws.client("elbv2").exceptions.ClientError):
        listener.ensure(plain)
    listener.ensure(plain)
    assert set(by_port()) == {80}


def test_a_new_certificate_is_set_in_place(plain: Deployment, certificates: list[str]) -> None:
    listener.ensure(secured(certificates[0]))
    before = by_port()[443]["ListenerArn"]
    changes = order()
    listener.ensure(secured(certificates[1]))
    assert changes() == ["ModifyListener"]
    assert by_port()[443]["Certificates"] == [{"CertificateArn": certificates[1]}]
    assert by_port()[443]["ListenerArn"] == before


def test_the_serving_listener_forwards(plain: Deployment, certificates: list[str]) -> None:
    listener.ensure(plain)
    assert (listener.serving(plain) or {})["Port"] == 80
    listener.ensure(secured(certificates[0]))
    assert (listener.serving(secured(certificates[0])) or {})["Port"] == 443


@pytest.mark.parametrize("code", sorted(listener.REFUSED_CERTIFICATE))
def test_a_refused_certificate_is_the_callers_fault(
    plain: Deployment, certificates: list[str], code: str
) -> None:
    aws_says.refuse("elbv2", "CreateListener", code, "It has no name.")
    with pytest.raises(DeploymentFailed, match="It has no name") as raised:
        listener.ensure(secured(certificates[0]))
    assert raised.value.code is FailureCode.NETWORK_MISCONFIGURED
    assert raised.value.evidence == {"certificate_arn": certificates[0]}


def test_drift_is_reported_as_text(plain: Deployment, certificates: list[str]) -> None:
    deployment = secured(certificates[0])
    listener.ensure(deployment)
    elbv2, balancer = aws.client("elbv2"), load_balancer.get(ID).arn
    group = target_group.get_arn(ID)

    def drift() -> str:
        return listener.drift(deployment, balancer, group)

    assert drift() == ""
    arn = by_port()[443]["ListenerArn"]
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    elbv2.modify_listener(
        ListenerArn=arn, Certificates=[{"CertificateArn": certificates[1]}], DefaultActions=forward
    )
    assert drift() == "the HTTPS listener has another certificate"
    elbv2.modify_listener(ListenerArn=by_port()[80]["ListenerArn"], DefaultActions=forward)
    elbv2.delete_listener(ListenerArn=arn)
    assert drift() == "the HTTPS listener was deleted"
    listener.ensure(deployment)
    elbv2.modify_listener(ListenerArn=by_port()[80]["ListenerArn"], DefaultActions=forward)
    assert drift() == "the listener has another default action"


def test_the_pause_rule_follows_the_serving_listener(
    plain: Deployment, certificates: list[str]
) -> None:
    secure = secured(certificates[0])
    for deployment, port in ((plain, 80), (secure, 443), (plain, 80)):
        listener.ensure(deployment)
        pause_rule.ensure(deployment)
        ruled = [
            at
            for at, front in by_port().items()
            if pause_rule.find(deployment, front["ListenerArn"])
        ]
        assert ruled == [port]

    listener.ensure(secure)
    pause_rule.delete(secure)  # as in a resume, after HTTPS was turned on during the pause
    assert not any(pause_rule.find(secure, front["ListenerArn"]) for front in by_port().values())
