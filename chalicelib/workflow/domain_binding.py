"""The deployment's domain: bound after everything behind it is proven, and released at the end.

If a public hosted zone of this account holds the domain, Slipway writes the DNS record and waits
for it. Otherwise `dns` shows the record that the caller has to set, and Slipway does not wait.
"""

from __future__ import annotations

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, NotReady
from chalicelib.domain.operation import StepStatus
from chalicelib.domain.parts import Dns, Resource
from chalicelib.platform import clock
from chalicelib.resources import dns_record, load_balancer
from chalicelib.workflow.step import Outcome

CHANGE = "dns_change"


def bind(deployment: Deployment) -> Outcome:
    """Points the domain to the load balancer, then deletes the records of earlier domains.

    Earlier domains stay claimed by the deployment until the operation ends, because a rollback may
    need them.

    Raises `NotReady` until Route 53's servers have the record. A resolver that queried them earlier
    would cache for minutes that the name does not exist.

    Raises `DeploymentFailed` if the name is owned by someone else. If the deployment served under
    this domain before, the step is skipped instead, because a record changed by hand must not stop
    a service.
    """
    domain = deployment.spec.domain
    others = [known for known in deployment.domains if known != domain]
    try:
        dns = _bind(deployment, domain) if domain else None
    except DeploymentFailed as failure:
        if not _served_before(deployment):
            raise
        dns_record.delete(deployment.id, others)
        return Outcome(message=f"DNS record not changed: {failure}", status=StepStatus.SKIPPED)
    dns_record.delete(deployment.id, others)
    resources = [_resource(dns)] if dns and dns.managed else []

    def change(record: Deployment) -> None:
        record.dns = dns
        record.keep_only(dns_record.KIND, {resource.name for resource in resources}, clock.now())
        if domain:
            scheme = "https" if record.spec.certificate_arn else "http"
            record.url = f"{scheme}://{domain}"

    return Outcome(message=_summary(dns), resources=resources, change=change)


def _served_before(deployment: Deployment) -> bool:
    before = deployment.last_active
    return before is not None and before.spec.domain == deployment.spec.domain


def unbind(deployment: Deployment) -> Outcome:
    """Deletes the deployment's DNS records, before the load balancer that they point to."""
    dns_record.delete(deployment.id, deployment.domains)
    return Outcome(message="" if deployment.domains else "the deployment has no domain")


def _bind(deployment: Deployment, domain: str) -> Dns:
    balancer = load_balancer.get(deployment.id)
    change = deployment.operation.evidence.get(CHANGE)
    # Only this one call, because Route 53 allows five calls a second.
    if change and dns_record.is_pending(change):
        raise _waiting(domain, change)
    zone = dns_record.zone_of(domain)
    if zone is None:
        return Dns(name=domain, type="CNAME", value=balancer.dns_name, managed=False)
    # If the function dies before it records its change, no later run waits for that change.
    new_change = dns_record.ensure(deployment.id, domain, zone, balancer)
    if new_change and dns_record.is_pending(new_change):
        raise _waiting(domain, new_change)
    return Dns(name=domain, type=dns_record.ALIAS, value=balancer.dns_name, managed=True)


def _waiting(domain: str, change: str) -> NotReady:
    message = f"Route 53 is propagating the record of {domain}"
    return NotReady(message, evidence={CHANGE: change})


def _resource(dns: Dns) -> Resource:
    return Resource(kind=dns_record.KIND, name=dns.name)


def _summary(dns: Dns | None) -> str:
    if dns is None:
        return "the deployment has no domain"
    if dns.managed:
        return f"{dns.name} points to the load balancer"
    return (
        f"no public hosted zone of this account contains {dns.name}: create the {dns.type} record "
        "shown in `dns`"
    )
