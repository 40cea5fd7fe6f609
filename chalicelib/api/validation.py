"""`validate_only=true`: what a create or a change would find and cost."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from chalicelib.api import answers
from chalicelib.api.answer import Answer
from chalicelib.domain import rates
from chalicelib.store.tokens import Caller
from chalicelib.usecases import validation


def validate(caller: Caller, body: Any) -> Answer:
    """200 with `answers.Validation`; nothing is created."""
    validated = validation.validate(caller, body)
    answer = answers.Validation(
        valid=validated.is_valid,
        checks=[_shown(check) for check in validated.checks],
        cost=answers.Price(usd_per_hour=validated.usd_per_hour, basis=rates.basis()),
        image=validated.image,
        spec=validated.spec,
    )
    return Answer(200, answer.document())


def validate_change(
    caller: Caller, reference: str, body: Any, editions: Collection[int] | None
) -> Answer:
    """200 with `answers.ChangeValidation`; nothing is changed."""
    validated = validation.validate_change(caller, reference, body, editions=editions)
    answer = answers.ChangeValidation(
        valid=validated.is_valid,
        checks=[_shown(check) for check in validated.checks],
        cost=answers.Price(usd_per_hour=validated.usd_per_hour, basis=rates.basis()),
        image=validated.image,
        spec=validated.spec,
        changes=[answers.ChangedField.model_validate(change) for change in validated.changes],
        restarts=validated.restarts,
    )
    return Answer(200, answer.document())


def _shown(check: validation.Check) -> answers.Check:
    return answers.Check(
        name=check.name,
        status=check.status,
        code=check.code,
        message=check.message,
        hint=check.hint,
        **check.figures,
    )
