"""Validate a spec: what a create or a change would find and cost. Nothing is written."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from chalicelib.domain import naming, quota, rates
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, NameTaken, QuotaExceeded
from chalicelib.domain.parts import Image
from chalicelib.domain.quota import Use
from chalicelib.domain.record import Status
from chalicelib.domain.spec import parsing
from chalicelib.domain.spec.spec import Spec
from chalicelib.platform import clock
from chalicelib.resources import task_definition
from chalicelib.store import deployments as store
from chalicelib.store import domains, quota_guard
from chalicelib.store.tokens import Caller
from chalicelib.usecases import patches, stack_limits
from chalicelib.usecases.access import find, require
from chalicelib.usecases.patches import Change
from chalicelib.workflow.image import image
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
    spec: Spec

    @property
    def is_valid(self) -> bool:
        return all(check.status != "failed" for check in self.checks)


@dataclass(frozen=True)
class ChangeValidation(Validation):
    """Also what a PATCH would change, and whether new tasks would replace the running ones."""

    changes: list[Change]
    restarts: bool


def validate_change(
    caller: Caller, reference: str, fields: Any, *, editions: Collection[int] | None = None
) -> ChangeValidation:
    """Checks what a PATCH of these fields would find. Raises as `changes.update`."""
    require(caller, "deploy")
    before = find(caller, reference)
    patches.check_edition(before, editions)
    spec = parsing.patched(before.spec, fields, **stack_limits.limits(fields))
    after = patches.tried(before, spec, new_image="image" in fields)
    new_domain = after.spec.domain if after.spec.domain not in before.domains else None
    checks = [
        *_domain(new_domain),
        _quota(after, quota.held(before)),
        _image(after),
        _task_role(after),
        *map(_check, preflight.examine(after)),
    ]
    changes = patches.changes(before, after, after.image if "image" in fields else None)
    return ChangeValidation(
        checks,
        rates.hourly_rate(after.spec),
        after.image,
        after.spec,
        changes,
        _restarts(before, after, changes),
    )


def _restarts(before: Deployment, after: Deployment, changes: list[Change]) -> bool:
    if before.status is Status.FAILED:
        return True
    if after.paused:
        return False
    has_new_image = any(change.field == "image" for change in changes)
    return has_new_image or not task_definition.is_same(before, after)


def validate(caller: Caller, fields: Any) -> Validation:
    """Checks what a create of these fields would find.

    Raises `Forbidden`, and `ValidationFailed` if the fields are no spec.
    """
    require(caller, "deploy")
    spec = parsing.parse(fields, **stack_limits.limits(fields))
    rate = rates.hourly_rate(spec)
    # Never stored.
    deployment = Deployment.create(naming.new_id(spec.name), caller.owner, spec, clock.now(), rate)
    checks = [
        _name(caller.owner, spec.name),
        *_domain(spec.domain),
        _quota(deployment, Use()),
        _image(deployment),
        _task_role(deployment),
        *map(_check, preflight.examine(deployment)),
    ]
    return Validation(checks, rate, deployment.image, deployment.spec)


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


def _quota(deployment: Deployment, before: Use) -> Check:
    exceeded = quota_guard.exceeded(deployment, before)
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
    if outcome.change is not None:
        outcome.change(deployment)
    if deployment.image.digest is None:
        return Check("image", "not_known", message=outcome.message)
    return Check("image", "passed", message=outcome.message)


def _task_role(deployment: Deployment) -> Check:
    """A role that AllowedTaskRoles does not list is a fault of the body, so this cannot fail.

    Whether the role exists and trusts ECS is not checked: Slipway may not read IAM roles.
    """
    return Check("task role", "passed" if deployment.spec.task_role_arn else "skipped")


def _check(finding: Finding) -> Check:
    failure = finding.fault
    if failure is None:
        return Check(finding.check, finding.status, message=finding.message or None)
    return Check(finding.check, finding.status, failure.code, failure.message, failure.hint)
