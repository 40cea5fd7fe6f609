"""The endpoints below `/webhooks`: deliveries of events, and subscriptions to all events."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from chalicelib.api import answers, cursor
from chalicelib.api.answer import Answer
from chalicelib.api.parameters import DeliveriesParameters
from chalicelib.api.requests import Request
from chalicelib.api.route import PathParameter
from chalicelib.domain import publication
from chalicelib.domain.errors import InvalidState, NotFound
from chalicelib.domain.spec import faults, web_address
from chalicelib.platform.observability import logger
from chalicelib.usecases import callback_url
from chalicelib.webhooks import deliveries, subscriptions

DELIVERY_ID = PathParameter("delivery_id", "The `id` of a delivery.", deliveries.ID_PATTERN.pattern)
SUBSCRIPTION_ID = PathParameter(
    "subscription_id", "The `id` of a subscription.", subscriptions.ID_PATTERN.pattern
)


class Subscription(answers.Shape):
    """A URL that gets every owner's events of these types, until it is disabled."""

    id: str
    url: str
    types: list[publication.PublishedType]
    created_at: answers.Moment
    disabled_at: answers.Moment | None
    disabled_reason: str | None


class Subscriptions(answers.Shape):
    """All subscriptions of the stack, newest first, including the disabled ones."""

    subscriptions: list[Subscription]


class Try(answers.Shape):
    """One call of a delivery. `error` is null if the response was 2xx."""

    at: answers.Moment
    status: int | None
    error: str | None
    duration_ms: int


class Delivery(answers.Shape):
    """An event for one URL, and the latest tries to post it, oldest first."""

    id: str
    event_id: str = Field(description="The header `webhook-id` of every try.")
    type: publication.PublishedType
    deployment: str
    owner: str
    sequence: int
    url: str
    subscription_id: str | None
    status: Literal["pending", "delivered", "failed"]
    next_try_at: answers.Moment | None
    tries: list[Try]
    created_at: answers.Moment


class Deliveries(answers.Shape):
    """A page of deliveries; those of the newest events are first."""

    deliveries: list[Delivery]
    next_cursor: answers.NextCursor


class SubscriptionRequest(BaseModel):
    """What an admin sends to `POST /webhooks/subscriptions`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    url: str = Field(
        description="The URL to post signed events to. Its host must be public.",
        json_schema_extra={
            "pattern": f"^({web_address.URL.pattern})$",
            "maxLength": web_address.MOST_CHARACTERS,
        },
    )
    types: list[publication.PublishedType] | None = Field(
        None,
        min_length=1,
        description="The types of events to post. The default is all types.",
        json_schema_extra={"uniqueItems": True},
    )

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        if fault := callback_url.fault(value):
            raise ValueError(fault)
        return value

    @field_validator("types")
    @classmethod
    def _types(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and len(set(value)) != len(value):
            raise ValueError("must list each type once")
        return value


def list_deliveries(request: Request) -> Answer:
    """`GET /webhooks/deliveries`: deliveries to the caller's callback URLs; an admin sees all."""
    query = request.parameters(DeliveriesParameters)
    listed, after = deliveries.list_page(
        None if request.caller.is_admin else request.caller.owner,
        limit=query.limit,
        after=cursor.decode(query.cursor) if query.cursor is not None else None,
        status=query.status,
        deployment=query.deployment,
    )
    page = Deliveries(
        deliveries=[Delivery.model_validate(each) for each in listed],
        next_cursor=cursor.next_of(after),
    )
    return Answer(200, page.document())


def redeliver(request: Request, delivery_id: str) -> Answer:
    """`POST /webhooks/deliveries/{delivery_id}/redeliver`: 202; it is pending and due now."""
    delivery, caller = deliveries.get(delivery_id), request.caller
    # Subscriptions belong to admins, although they get the events of every owner.
    is_theirs = delivery and delivery.owner == caller.owner and not delivery.subscription_id
    if delivery is None or not (is_theirs or caller.is_admin):
        raise NotFound(f"There is no delivery {delivery_id}.")
    if delivery.subscription_id:
        _require_enabled(delivery.subscription_id)
    shown = Delivery.model_validate(deliveries.redeliver(delivery_id))
    return Answer(202, shown.document())


def _require_enabled(subscription_id: str) -> None:
    subscription = subscriptions.find(subscription_id)
    if subscription is None:
        raise InvalidState(
            "The subscription of this delivery was deleted. Subscribe its URL again to get events."
        )
    if subscription.disabled_at:
        raise InvalidState(
            f"The subscription of this delivery was disabled at {subscription.disabled_at} "
            f"({subscription.disabled_reason}). Subscribe its URL again, then redeliver."
        )


def subscribe(request: Request) -> Answer:
    """`POST /webhooks/subscriptions`: 201."""
    sent = faults.validated(SubscriptionRequest, request.json())
    subscription = subscriptions.create(sent.url, tuple(sent.types or publication.TYPES))
    by = {"subscription": subscription.id, "by_token": request.caller.token_id}
    logger.info("subscription made", extra=by)
    return Answer(201, Subscription.model_validate(subscription).document())


def list_subscriptions(request: Request) -> Answer:
    """`GET /webhooks/subscriptions`: newest first, including the disabled ones."""
    listed: list[Any] = subscriptions.list_all()
    return Answer(200, Subscriptions(subscriptions=listed).document())


def unsubscribe(request: Request, subscription_id: str) -> Answer:
    """`DELETE /webhooks/subscriptions/{subscription_id}`: 204, or 404 if it does not exist."""
    subscriptions.delete(subscription_id)
    by = {"subscription": subscription_id, "by_token": request.caller.token_id}
    logger.info("subscription deleted", extra=by)
    return Answer(204)
