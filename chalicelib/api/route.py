"""One operation of the API, and every refusal that follows from what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel

from chalicelib.api import auth, idempotency
from chalicelib.api.answer import Answer
from chalicelib.api.parameters import Parameters
from chalicelib.api.requests import Request
from chalicelib.domain import errors
from chalicelib.domain.errors import RequestRefused
from chalicelib.platform import aws

Handler = Callable[..., Answer]
Refusals = tuple[type[RequestRefused], ...]

WITH_TOKEN: Refusals = (errors.Unauthenticated, errors.Forbidden)
WITH_BODY: Refusals = (errors.MalformedJson, errors.BodyTooLarge, errors.UnsupportedMediaType)
WITH_KEY: Refusals = (errors.IdempotencyKeyInUse, errors.IdempotencyKeyReused)
ALWAYS: Refusals = (errors.ValidationFailed, errors.AwsUnavailable)


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    Attributes:
        name: the `operationId`, and the view's name.
        scope: what the token needs; None where no token is needed.
        handler: takes the `Request` and the path's parameters in their order.
        summary: one line for the reference.
        answered: the model of each status that is no refusal, None for no body.
        parameters: the model of the query; the handler reads it, any other is refused.
        body: the model of the body.
        partial: whether the body names only fields that change.
        takes_key: whether an Idempotency-Key has effect.
        conditions: the request headers that it looks at.
        headers: those of the answers.
        also: refusals beyond those that follow from the rest.
    """

    name: str
    method: str
    path: str
    scope: str | None
    handler: Handler
    summary: str
    answered: dict[int, type[BaseModel] | None]
    parameters: type[Parameters] | None = None
    body: type[BaseModel] | None = None
    partial: bool = False
    takes_key: bool = False
    conditions: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    also: Refusals = ()

    @property
    def refusals(self) -> Refusals:
        """Every refusal that the operation may answer."""
        return (
            *(WITH_TOKEN if self.scope else ()),
            *((errors.NotFound,) if "{" in self.path else ()),
            *(WITH_BODY if self.body else ()),
            *(WITH_KEY if self.takes_key else ()),
            *((errors.PreconditionFailed,) if "If-Match" in self.conditions else ()),
            *self.also,
            *ALWAYS,
        )

    def carry_out(self, request: Request, *segments: str) -> Answer:
        """Does it for the caller of the request; `segments` are the path's parameters.

        Raises `RequestRefused`: by the token's scope, the query, the Idempotency-Key, the handler,
        and as `AwsUnavailable` where AWS is so for now. Anything else is a fault of ours.
        """
        try:
            if self.scope:
                auth.require(request.caller, self.scope)
            if self.parameters is None:
                request.parameters(Parameters)
            return idempotency.once(request, lambda: self.handler(request, *segments))
        except RequestRefused:
            raise
        except Exception as error:
            passing = aws.workflow_error(error) or error
            if not isinstance(passing, (errors.Throttled, errors.Retryable)):
                raise
            detail = f"AWS is not available: {passing}"
            raise errors.AwsUnavailable(detail, headers={"Retry-After": "5"}) from error
