"""`POST /deployments?validate_only=true`: what a create would find, and cost; nothing is made."""

from __future__ import annotations

from typing import Any

from chalicelib import domains, rates, store, usage
from chalicelib.clock import now
from chalicelib.deployments import naming, quota
from chalicelib.deployments.deployment import Deployment
from chalicelib.deployments.errors import DeploymentFailed, QuotaExceeded
from chalicelib.deployments.spec import Spec
from chalicelib.preflight import preflight
from chalicelib.preflight.preflight import Finding
from chalicelib.workflow import image


def validate(owner: str, spec: Spec) -> dict[str, Any]:
    """`{valid, checks: [{name, status, code, message, hint}], cost, image, spec}`.

    A check's `status` is `passed`, `failed`, `not_known` where AWS does not tell, or `skipped`
    where there is nothing to check. `valid` is false as soon as one failed. The check `quota` has
    the limits besides, as the refusal of a create has them.
    """
    # As a create would make it, and never stored.
    deployment = Deployment.create(naming.new_id(spec.name), owner, spec, now())
    checks = [
        _name(owner, spec.name),
        *_domain(spec.domain),
        _quota(deployment),
        _image(deployment),
    ]
    checks += map(_shown, preflight.examine(deployment))
    return {
        "valid": all(check["status"] != "failed" for check in checks),
        "checks": checks,
        "cost": {"usd_per_hour": rates.hourly_rate(spec), "basis": rates.basis()},
        "image": deployment.image.model_dump(),
        "spec": spec.model_dump(),
    }


def _name(owner: str, name: str) -> dict[str, Any]:
    taken_by = store.id_of_name(owner, name)
    if taken_by is None:
        return _shown(Finding("name", "passed"))
    return {
        "name": "name",
        "status": "failed",
        "code": "NAME_TAKEN",
        "message": f"{owner} has a live deployment named {name}: {taken_by}.",
        "hint": "Delete it first or choose another name.",
    }


def _quota(deployment: Deployment) -> dict[str, Any]:
    found = usage.exceeded(deployment)
    if not found:
        return _shown(Finding("quota", "passed"))
    return {
        "name": "quota",
        "status": "failed",
        "code": QuotaExceeded.code,
        "message": quota.told(deployment.owner, found),
        "hint": quota.fix(found, usage.limits()),
        **quota.members(found),
    }


def _domain(domain: str | None) -> list[dict[str, Any]]:
    if domain is None:
        return []
    if domains.holder(domain) is None:
        return [_shown(Finding("domain", "passed"))]
    return [
        {
            "name": "domain",
            "status": "failed",
            "code": "NAME_TAKEN",
            "message": f"{domain} belongs to another live deployment.",
            "hint": "Delete that one first or choose another domain.",
        }
    ]


def _image(deployment: Deployment) -> dict[str, Any]:
    try:
        outcome = image.resolve(deployment)
    except DeploymentFailed as fault:
        return _shown(Finding("image", "failed", fault=fault))
    if outcome.change is None:
        return _shown(Finding("image", "not_known", outcome.message))
    outcome.change(deployment)
    return _shown(Finding("image", "passed"))


def _shown(finding: Finding) -> dict[str, Any]:
    fault = finding.fault
    return {
        "name": finding.check,
        "status": finding.status,
        "code": fault.code if fault else None,
        "message": fault.message if fault else finding.message or None,
        "hint": fault.hint if fault else None,
    }
