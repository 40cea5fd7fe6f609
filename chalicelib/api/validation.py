"""`POST /deployments?validate_only=true`: what a create would find, and cost; nothing is made."""

from __future__ import annotations

from typing import Any

from chalicelib.api import answers
from chalicelib.domain import naming, quota, rates
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, NameTaken, QuotaExceeded
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform.clock import now
from chalicelib.store import deployments as store
from chalicelib.store import domains
from chalicelib.store import quota_guard as usage
from chalicelib.workflow import image
from chalicelib.workflow.preflight import preflight
from chalicelib.workflow.preflight.preflight import Finding


def validate(owner: str, spec: Spec) -> dict[str, Any]:
    """`answers.Validation` as a document.

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
    found = answers.Validation(
        valid=all(check.status != "failed" for check in checks),
        checks=checks,
        cost=answers.Price(usd_per_hour=rates.hourly_rate(spec), basis=rates.basis()),
        image=deployment.image,
        spec=spec,
    )
    return found.document()


def _name(owner: str, name: str) -> answers.Check:
    taken_by = store.id_of_name(owner, name)
    if taken_by is None:
        return _shown(Finding("name", "passed"))
    return _taken("name", f"{store.name_taken(owner, name, taken_by)}.")


def _quota(deployment: Deployment) -> answers.Check:
    found = usage.exceeded(deployment)
    if not found:
        return _shown(Finding("quota", "passed"))
    return answers.Check(
        name="quota",
        status="failed",
        code=QuotaExceeded.code,
        message=quota.explanation(deployment.owner, found),
        hint=quota.fix(found, usage.limits()),
        **quota.members(found),
    )


def _domain(domain: str | None) -> list[answers.Check]:
    if domain is None:
        return []
    if domains.holder(domain) is None:
        return [_shown(Finding("domain", "passed"))]
    return [_taken("domain", f"{domain} belongs to another live deployment.")]


def _taken(field: str, message: str) -> answers.Check:
    return answers.Check(
        name=field,
        status="failed",
        code=NameTaken.code,
        message=message,
        hint=f"Delete that one first or choose another {field}.",
    )


def _image(deployment: Deployment) -> answers.Check:
    try:
        outcome = image.resolve(deployment)
    except DeploymentFailed as fault:
        return _shown(Finding("image", "failed", fault=fault))
    if outcome.change is None:
        return _shown(Finding("image", "not_known", outcome.message))
    outcome.change(deployment)
    return _shown(Finding("image", "passed"))


def _shown(finding: Finding) -> answers.Check:
    fault = finding.fault
    return answers.Check(
        name=finding.check,
        status=finding.status,
        code=fault.code if fault else None,
        message=fault.message if fault else finding.message or None,
        hint=fault.hint if fault else None,
    )
