"""The deployment's domain: bound when everything behind it is proven, and let go at the end.

Where a public hosted zone of this account holds the domain, its record is written and waited for;
elsewhere the record to set is told, and nobody waits for it.
"""

from __future__ import annotations

from chalicelib.clock import now
from chalicelib.deployments.deployment import Deployment
from chalicelib.deployments.errors import NotReady
from chalicelib.deployments.parts import Dns, Resource
from chalicelib.resources import dns_record, load_balancer
from chalicelib.workflow.step import Outcome

CHANGE = "dns_change"


def bind(deployment: Deployment) -> Outcome:
    """Lets the domain lead here, and then lets go of every other one that the deployment had.

    Raises `NotReady` until Route 53's servers know of it: who asks them before would be told for
    minutes that there is no such name. Raises `DeploymentFailed` where the name is another's.
    """
    domain = deployment.spec.domain
    others = [known for known in deployment.domains if known != domain]
    dns = _bind(deployment, domain) if domain else None
    dns_record.delete(deployment.id, others)
    resources = [_resource(dns)] if dns and dns.managed else []

    def change(record: Deployment) -> None:
        record.dns, record.domains = dns, [domain] if domain else []
        record.keep_only(dns_record.KIND, {resource.name for resource in resources}, now())
        if domain:
            scheme = "https" if record.spec.certificate_arn else "http"
            record.url = f"{scheme}://{domain}"

    return Outcome(message=_told(dns), resources=resources, change=change)


def unbind(deployment: Deployment) -> Outcome:
    """Deletes the deployment's records, while what they lead to is still there."""
    dns_record.delete(deployment.id, deployment.domains)
    return Outcome(message="" if deployment.domains else "no domain")


def _bind(deployment: Deployment, domain: str) -> Dns:
    balancer = load_balancer.get(deployment.id)
    zone = dns_record.zone_of(domain)
    if zone is None:
        return Dns(name=domain, type="CNAME", value=balancer.dns_name, managed=False)
    change = dns_record.ensure(deployment.id, domain, zone, balancer)
    # Where the function died before it could tell of its change, that is not waited for.
    change = change or deployment.operation.evidence.get(CHANGE)
    if change and dns_record.is_pending(change):
        raise NotReady(f"Route 53 tells its servers of {domain}", evidence={CHANGE: change})
    return Dns(name=domain, type=dns_record.ALIAS, value=balancer.dns_name, managed=True)


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
