"""The deployment's domain: bound when everything behind it is proven, and let go at the end.

Where a public hosted zone of this account holds the domain, its record is written and waited for;
elsewhere the record to set is told, and nobody waits for it.
"""

from __future__ import annotations

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, NotReady
from chalicelib.domain.operation import StepStatus
from chalicelib.domain.parts import Dns, Resource
from chalicelib.platform.clock import now
from chalicelib.resources import dns_record, load_balancer
from chalicelib.workflow.step import Outcome

CHANGE = "dns_change"


def bind(deployment: Deployment) -> Outcome:
    """Lets the domain lead here, and then lets go of every other one that the deployment had.

    Those stay the deployment's until the operation has ended, for the way back may need them.
    Raises `NotReady` until Route 53's servers know of it: who asks them before would be told for
    minutes that there is no such name. Raises `DeploymentFailed` where the name is another's,
    unless the domain served before: what somebody did to its record must not end what serves.
    """
    domain = deployment.spec.domain
    others = [known for known in deployment.domains if known != domain]
    try:
        dns = _bind(deployment, domain) if domain else None
    except DeploymentFailed as fault:
        if not _served_before(deployment):
            raise
        dns_record.delete(deployment.id, others)
        return Outcome(message=f"left as it is: {fault}", status=StepStatus.SKIPPED)
    dns_record.delete(deployment.id, others)
    resources = [_resource(dns)] if dns and dns.managed else []

    def change(record: Deployment) -> None:
        record.dns = dns
        record.keep_only(dns_record.KIND, {resource.name for resource in resources}, now())
        if domain:
            scheme = "https" if record.spec.certificate_arn else "http"
            record.url = f"{scheme}://{domain}"

    return Outcome(message=_told(dns), resources=resources, change=change)


def _served_before(deployment: Deployment) -> bool:
    before = deployment.last_active
    return before is not None and before.spec.domain == deployment.spec.domain


def unbind(deployment: Deployment) -> Outcome:
    """Deletes the deployment's records, while what they lead to is still there."""
    dns_record.delete(deployment.id, deployment.domains)
    return Outcome(message="" if deployment.domains else "no domain")


def _bind(deployment: Deployment, domain: str) -> Dns:
    balancer = load_balancer.get(deployment.id)
    change = deployment.operation.evidence.get(CHANGE)
    if change and dns_record.is_pending(change):  # asked alone: Route 53 takes five calls a second
        raise _waiting(domain, change)
    zone = dns_record.zone_of(domain)
    if zone is None:
        return Dns(name=domain, type="CNAME", value=balancer.dns_name, managed=False)
    # Where the function died before it could tell of its change, that is not waited for.
    made = dns_record.ensure(deployment.id, domain, zone, balancer)
    if made and dns_record.is_pending(made):
        raise _waiting(domain, made)
    return Dns(name=domain, type=dns_record.ALIAS, value=balancer.dns_name, managed=True)


def _waiting(domain: str, change: str) -> NotReady:
    return NotReady(f"Route 53 tells its servers of {domain}", evidence={CHANGE: change})


def _resource(dns: Dns) -> Resource:
    return Resource(kind=dns_record.KIND, name=dns.name)


def _told(dns: Dns | None) -> str:
    if dns is None:
        return "no domain"
    if dns.managed:
        return f"{dns.name} leads here"
    return (
        f"no public hosted zone of this account holds {dns.name}: set its {dns.type} as `dns` says"
    )
