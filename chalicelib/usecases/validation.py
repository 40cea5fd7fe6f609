"""Validate a spec: what a create would find and cost. Nothing is created."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from chalicelib.domain import naming, quota, rates
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, NameTaken, QuotaExceeded
from chalicelib.domain.parts import Image
from chalicelib.domain.spec import spec as specs
from chalicelib.platform import clock
from chalicelib.store import deployments as store
from chalicelib.store import domains, quota_guard
from chalicelib.store.tokens import Caller
from chalicelib.usecases import stack_limits
from chalicelib.usecases.access import require
from chalicelib.workflow import image
from chalicelib.workflow.preflight import preflight
from chalicelib.workflow.preflight.preflight import Finding


@dataclass(frozen=True)
class Check:
    """One check of a spec.

    Attributes:
        status: `passed`, `failed`, `not_known` if AWS does not answer it, or `skipped` if the spec
            has nothing to check.
        figures: of the check `quota`: the limits and what is used, as a refused create has them.
    """

    name: str
    status: str
    code: str | None = None
    message: str | None = None
    hint: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Validation:
    """The checks of a spec, and its cost in USD per hour."""

    checks: list[Check]
    usd_per_hour: float
    image: Image
    spec: specs.Spec

    @property
    def is_valid(self) -> bool:
        return all(check.status != "failed" for check in self.checks)


def validate(caller: Caller, fields: Any) -> Validation:
    """Checks what a create of these fields would find.

    Raises `Forbidden`, and `ValidationFailed` if the fields are no spec.
    """
    require(caller, "deploy")
    spec = specs.parse(fields, **stack_limits.limits(fields))
    rate = rates.hourly_rate(spec)
    # Never stored.
    deployment = Deployment.create(naming.new_id(spec.name), caller.owner, spec, clock.now(), rate)
    checks = [
        _name(caller.owner, spec.name),
        *_domain(spec.domain),
        _quota(deployment),
        _image(deployment),
        *map(_check, preflight.examine(deployment)),
    ]
    return Validation(checks, rate, deployment.image, spec)


def _name(owner: str, name: str) -> Check:
    taken_by = store.id_of_name(owner, name)
    if taken_by is None:
        return Check("name", "passed")
    return _taken("name", *store.name_taken(owner, name, taken_by))


def _domain(domain: str | None) -> Iterator[Check]:
    if domain is None:
        return
    if domains.holder(domain) is None:
        yield Check("domain", "passed")
    else:
        yield _taken(
            "domain",
            f"{domain} belongs to another live deployment.",
            "Delete that deployment first, or choose another domain.",
        )


def _quota(deployment: Deployment) -> Check:
    exceeded = quota_guard.exceeded(deployment)
    if not exceeded:
        return Check("quota", "passed")
    return Check(
        "quota",
        "failed",
        QuotaExceeded.code,
        quota.explanation(deployment.owner, exceeded),
        quota.fix(exceeded, quota_guard.limits()),
        quota.members(exceeded),
    )


def _taken(name: str, message: str, hint: str) -> Check:
    return Check(name, "failed", NameTaken.code, message, hint)


def _image(deployment: Deployment) -> Check:
    try:
        outcome = image.resolve(deployment)
    except DeploymentFailed as failure:
        return _check(Finding("image", "failed", fault=failure))
    if outcome.change is None:
        return Check("image", "not_known", message=outcome.message or None)
    outcome.change(deployment)
    return Check("image", "passed")


def _check(finding: Finding) -> Check:
    failure = finding.fault
    if failure is None:
        return Check(finding.check, finding.status, message=finding.message or None)
    return Check(finding.check, finding.status, failure.code, failure.message, failure.hint)
