"""One endpoint of the API, and every refusal that follows from what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel

from chalicelib.api import idempotency
from chalicelib.api.answer import Answer
from chalicelib.api.parameters import Parameters
from chalicelib.api.requests import Request
from chalicelib.domain import errors
from chalicelib.domain.errors import RequestRefused
from chalicelib.usecases.access import require
from chalicelib.workflow.aws_errors import unavailable_if_transient

Handler = Callable[..., Answer]
Refusals = tuple[type[RequestRefused], ...]

WITH_TOKEN: Refusals = (errors.Unauthenticated, errors.Forbidden)
WITH_BODY: Refusals = (errors.MalformedJson, errors.BodyTooLarge, errors.UnsupportedMediaType)
WITH_KEY: Refusals = (errors.IdempotencyKeyInUse, errors.IdempotencyKeyReused)
ALWAYS: Refusals = (errors.ValidationFailed, errors.AwsUnavailable)


@dataclass(frozen=True)
class PathParameter:
    """A `{name}` in a path: what it is, and its pattern without anchors."""

    name: str
    description: str
    pattern: str


@dataclass(frozen=True)
class Route:
    """One method of one path.

    Attributes:
        name: the `operationId`, and the name of Chalice's view.
        scope: the scope that the token needs; None if no token is needed.
        handler: takes the `Request` and the path parameters in their order.
        summary: one line for the reference.
        answered: the model of each status that is no refusal; None for no body.
        path_parameters: one for each `{name}` in the path.
        parameters: the model of the query, which the handler reads. Without it any parameter is
            refused.
        body: the model of the body.
        partial: whether the body names only the fields that change.
        takes_key: whether an Idempotency-Key has effect.
        conditions: the request headers that the handler reads.
        headers: the headers of the answers, by status.
        also: refusals besides those that follow from the other attributes.
    """

    name: str
    method: str
    path: str
    scope: str | None
    handler: Handler
    summary: str
    answered: dict[int, type[BaseModel] | None]
    path_parameters: tuple[PathParameter, ...] = ()
    parameters: type[Parameters] | None = None
    body: type[BaseModel] | None = None
    partial: bool = False
    takes_key: bool = False
    conditions: tuple[str, ...] = ()
    headers: dict[int, tuple[str, ...]] = field(default_factory=dict)
    also: Refusals = ()

    @property
    def refusals(self) -> Refusals:
        """Every refusal that the endpoint may answer."""
        return (
            *(WITH_TOKEN if self.scope else ()),
            *((errors.NotFound,) if self.path_parameters else ()),
            *(WITH_BODY if self.body else ()),
            *(WITH_KEY if self.takes_key else ()),
            *((errors.PreconditionFailed,) if "If-Match" in self.conditions else ()),
            *self.also,
            *ALWAYS,
        )

    def carry_out(self, request: Request, *segments: str) -> Answer:
        """Answers a request; `segments` are the values of the path parameters.

        Raises `RequestRefused`: `AwsUnavailable` for a transient error of AWS, else what the
        token's scope, the query, the Idempotency-Key or the handler refuses. Any other exception
        is a fault of Slipway.
        """
        with unavailable_if_transient():
            if self.scope:
                require(request.caller, self.scope)
            if self.parameters is None:
                request.parameters(Parameters)
            return idempotency.once(request, lambda: self.handler(request, *segments))
