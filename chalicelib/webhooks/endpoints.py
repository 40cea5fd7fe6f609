"""The endpoints below `/webhooks`: what was posted and what was not, and who is told of all."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from chalicelib.api import answers, cursor
from chalicelib.api.answer import Answer
from chalicelib.api.parameters import DeliveriesParameters
from chalicelib.api.requests import Request
from chalicelib.domain import publication
from chalicelib.domain.errors import InvalidState, NotFound
from chalicelib.domain.spec import faults, web_address
from chalicelib.platform.observability import logger
from chalicelib.webhooks import callback_url, deliveries, subscriptions

MOST_CURSOR = 256


class SubscriptionRequest(BaseModel):
    """What an admin sends to `POST /webhooks/subscriptions`; `types` None is all of them."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    url: str = Field(
        description="Signed events are posted to it; its host must be public.",
        json_schema_extra={
            "pattern": f"^({web_address.URL.pattern})$",
            "maxLength": web_address.MOST_CHARACTERS,
        },
    )
    types: list[publication.PublishedType] | None = Field(
        None,
        min_length=1,
        description="Which events; all of them by default.",
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
            raise ValueError("must name each type once")
        return value


def list_deliveries(request: Request) -> Answer:
    """`GET /webhooks/deliveries`: those to the caller's callback URLs; an admin sees all."""
    query = request.parameters(DeliveriesParameters)
    found, after = deliveries.list_page(
        None if request.caller.is_admin else request.caller.owner,
        limit=query.limit,
        after=cursor.decode(query.cursor, MOST_CURSOR) if query.cursor is not None else None,
        status=query.status,
        deployment=query.deployment,
    )
    page = answers.Deliveries(
        deliveries=[_shown(each) for each in found],
        next_cursor=cursor.encode(after) if after else None,
    )
    return Answer(200, page.document())


def redeliver(request: Request, delivery_id: str) -> Answer:
    """`POST /webhooks/deliveries/{delivery_id}/redeliver`: 202; pending again, and due now."""
    found, caller = deliveries.get(delivery_id), request.caller
    # A subscription is an admin's, whoever's deployment it tells of.
    is_theirs = found and found.owner == caller.owner and not found.subscription_id
    if found is None or not (is_theirs or caller.is_admin):
        raise NotFound(f"There is no delivery {delivery_id}")
    if found.subscription_id:
        _require_enabled(found.subscription_id)
    return Answer(202, _shown(deliveries.redeliver(delivery_id)).document())


def _require_enabled(subscription_id: str) -> None:
    subscription = subscriptions.find(subscription_id)
    if subscription is None:
        raise InvalidState("Its subscription was deleted: nothing is sent to that URL any more")
    if subscription.disabled_at:
        raise InvalidState(
            f"Its subscription is disabled since {subscription.disabled_at} "
            f"({subscription.disabled_reason}): subscribe the URL again, then send this again"
        )


def subscribe(request: Request) -> Answer:
    """`POST /webhooks/subscriptions`: 201."""
    wanted = faults.validated(SubscriptionRequest, request.json())
    made = subscriptions.create(wanted.url, tuple(wanted.types or publication.TYPES))
    by = {"subscription": made.id, "by_token": request.caller.token_id}
    logger.info("subscription made", extra=by)
    return Answer(201, answers.Subscription.model_validate(made).document())


def list_subscriptions(request: Request) -> Answer:
    """`GET /webhooks/subscriptions`: newest first, also the disabled ones."""
    shown: list[Any] = subscriptions.list_all()
    return Answer(200, answers.Subscriptions(subscriptions=shown).document())


def unsubscribe(request: Request, subscription_id: str) -> Answer:
    """`DELETE /webhooks/subscriptions/{subscription_id}`: 204, and 404 when there is none."""
    subscriptions.delete(subscription_id)
    by = {"subscription": subscription_id, "by_token": request.caller.token_id}
    logger.info("subscription deleted", extra=by)
    return Answer(204)


def _shown(delivery: deliveries.Delivery) -> answers.Delivery:
    return answers.Delivery.model_validate(delivery)
