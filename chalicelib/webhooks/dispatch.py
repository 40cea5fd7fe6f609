"""One try of one delivery: the call, and what its outcome means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib import __version__
from chalicelib.domain.publication import DeliveryStatus
from chalicelib.platform import clock, public_addresses
from chalicelib.platform.clock import rfc3339
from chalicelib.platform.deadline import Connections, within
from chalicelib.platform.observability import logger
from chalicelib.store import work
from chalicelib.webhooks import deliveries, retry_schedule, signing, subscriptions
from chalicelib.webhooks.deliveries import Delivery, Try

# In seconds: to connect, and between two bytes of the answer.
TIMEOUTS = (3.0, 10.0)
LONGEST_CALL = timedelta(seconds=10)
GONE = 410
# Those that tell when to come again.
BUSY = (429, 503)


@dataclass(frozen=True)
class Answered:
    """What a receiver said."""

    status: int
    retry_after: str | None


def deliver(lease: work.Lease) -> bool:
    """Tries a delivery once, and notes what came of it.

    Returns:
        Whether the receiver answered, so that its next delivery may be tried in the same run.
    """
    delivery, body = deliveries.read(lease.item), deliveries.body_of(lease.item)
    began = clock.now()
    ended = _unwanted(delivery, body)
    if ended or body is None:
        deliveries.end(lease, DeliveryStatus.FAILED, _try(began, None, ended))
        return True
    answered, error = _call(delivery, body, began)
    attempt = _try(began, answered, error)
    logger.info("webhook tried", extra={"delivery": delivery.id, **attempt.__dict__})
    _settle(lease, delivery, attempt, answered)
    return answered is not None


def _unwanted(delivery: Delivery, body: str | None) -> str | None:
    """Why it is not to be sent any more."""
    if body is None:
        return "the deployment was taken back before it began"
    if delivery.subscription_id is None:
        return None
    subscription = subscriptions.find(delivery.subscription_id)
    if subscription is None:
        return "the subscription was deleted"
    return "the subscription is disabled" if subscription.disabled_at else None


def _call(delivery: Delivery, body: str, moment: datetime) -> tuple[Answered | None, str | None]:
    """The answer, and what is wrong with it or why there is none."""
    try:
        signed = signing.headers(delivery.event_id, moment, body)
    except signing.NotSetUp as error:
        return None, f"not sent: {error}"
    agent = f"Slipway/{__version__}"
    headers = {"Content-Type": "application/json", "User-Agent": agent, **signed}
    session = public_addresses.session(delivery.url)
    try:
        answered = within(
            LONGEST_CALL,
            lambda: _post(session, delivery.url, body.encode(), headers),
            Connections(session).cut,
        )
    except public_addresses.Refused as refused:
        return None, f"not sent: the URL {refused}"
    except TimeoutError:
        return None, f"no answer within {LONGEST_CALL.total_seconds():.0f} s"
    except Exception as error:
        # Whatever a receiver can bring the client to raise: it is noted, and so comes to an end.
        # Its kind alone: the words name addresses and ports, which are not for everybody.
        return None, f"no answer: {type(error).__name__}"
    return answered, _fault(answered.status)


def _post(session: Any, url: str, body: bytes, headers: dict[str, str]) -> Answered:
    # `stream`: the answer's body is not read, for its status says it all.
    how = {"timeout": TIMEOUTS, "allow_redirects": False, "stream": True}
    with (
        session,
        public_addresses.refusals(),
        session.post(url, data=body, headers=headers, **how) as answer,
    ):
        return Answered(answer.status_code, answer.headers.get("Retry-After"))


def _fault(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"answered {status}: redirects are not followed"
    return f"answered {status}"


def _settle(lease: work.Lease, delivery: Delivery, attempt: Try, answered: Answered | None) -> None:
    if attempt.error is None:
        deliveries.end(lease, DeliveryStatus.DELIVERED, attempt)
        return
    status = answered.status if answered else None
    moment = clock.now()
    at = None
    if status == GONE:
        # First, so that a function that dies in between comes here again.
        if delivery.subscription_id:
            subscriptions.disable(delivery.subscription_id, f"answered {GONE} Gone")
    else:
        wanted = answered.retry_after if answered and status in BUSY else None
        first = datetime.fromisoformat(delivery.first_try_at or attempt.at)
        at = retry_schedule.next_try(
            delivery.tried + 1, first, moment, retry_schedule.retry_after(wanted, moment)
        )
    if at is None:
        deliveries.end(lease, DeliveryStatus.FAILED, attempt)
    else:
        deliveries.leave(lease, at, attempt)


def _try(began: datetime, answered: Answered | None, error: str | None) -> Try:
    took = clock.now() - began
    status = answered.status if answered else None
    return Try(rfc3339(began), status, error, int(took / timedelta(milliseconds=1)))
