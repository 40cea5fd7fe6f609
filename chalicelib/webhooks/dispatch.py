"""One try of one delivery: the call to the receiver, and what follows from its result."""

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

# Seconds: to connect, and between two bytes of the response.
TIMEOUTS = (3.0, 10.0)
LONGEST_CALL = timedelta(seconds=10)
GONE = 410
# With these, a receiver can say in `Retry-After` when to try again.
BUSY = (429, 503)


@dataclass(frozen=True)
class Response:
    """A receiver's response."""

    status: int
    retry_after: str | None


def deliver(lease: work.Lease) -> bool:
    """Tries a delivery once, and records the result.

    Returns:
        Whether the receiver responded. If so, its next delivery may be tried in the same run.
    """
    delivery, body = deliveries.read(lease.item), deliveries.body_of(lease.item)
    began = clock.now()
    obsolete = _why_obsolete(delivery, body)
    if obsolete or body is None:
        deliveries.end(lease, DeliveryStatus.FAILED, _try(began, None, obsolete))
        return True
    response, error = _call(delivery, body, began)
    attempt = _try(began, response, error)
    logger.info("webhook tried", extra={"delivery": delivery.id, **attempt.__dict__})
    _settle(lease, delivery, attempt, response)
    return response is not None


def _why_obsolete(delivery: Delivery, body: str | None) -> str | None:
    """Why the delivery must not be sent any more; None if it must."""
    if body is None:
        return "the deployment was withdrawn because it could not start"
    if delivery.subscription_id is None:
        return None
    subscription = subscriptions.find(delivery.subscription_id)
    if subscription is None:
        return "the subscription was deleted"
    return "the subscription is disabled" if subscription.disabled_at else None


def _call(delivery: Delivery, body: str, moment: datetime) -> tuple[Response | None, str | None]:
    """The response, and what is wrong with it or why there is none."""
    try:
        signed = signing.headers(delivery.event_id, moment, body)
    except signing.NotSetUp as error:
        return None, f"not sent: {error}"
    agent = f"Slipway/{__version__}"
    headers = {"Content-Type": "application/json", "User-Agent": agent, **signed}
    session = public_addresses.session(delivery.url)
    try:
        response = within(
            LONGEST_CALL,
            lambda: _post(session, delivery.url, body.encode(), headers),
            Connections(session).cut,
        )
    except public_addresses.Refused as refused:
        return None, f"not sent: the URL {refused}"
    except TimeoutError:
        return None, f"no response within {LONGEST_CALL.total_seconds():.0f} s"
    except Exception as error:
        # Any error that a receiver can cause in the client must end the try, and is recorded. Only
        # its type is public, because the message can contain addresses and ports.
        return None, f"no response: {type(error).__name__}"
    return response, _fault(response.status)


def _post(session: Any, url: str, body: bytes, headers: dict[str, str]) -> Response:
    # `stream`: the response's body is not read, because only its status matters.
    how = {"timeout": TIMEOUTS, "allow_redirects": False, "stream": True}
    with (
        session,
        public_addresses.refusals(),
        session.post(url, data=body, headers=headers, **how) as response,
    ):
        return Response(response.status_code, response.headers.get("Retry-After"))


def _fault(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"returned {status}; redirects are not followed"
    return f"returned {status}"


def _settle(lease: work.Lease, delivery: Delivery, attempt: Try, response: Response | None) -> None:
    if attempt.error is None:
        deliveries.end(lease, DeliveryStatus.DELIVERED, attempt)
        return
    status = response.status if response else None
    moment = clock.now()
    at = None
    if status == GONE:
        # Before the delivery ends, so that a function that dies in between does both again.
        if delivery.subscription_id:
            subscriptions.disable(delivery.subscription_id, f"returned {GONE} Gone")
    else:
        wanted = response.retry_after if response and status in BUSY else None
        first = datetime.fromisoformat(delivery.first_try_at or attempt.at)
        at = retry_schedule.next_try(
            delivery.tried + 1, first, moment, retry_schedule.retry_after(wanted, moment)
        )
    if at is None:
        deliveries.end(lease, DeliveryStatus.FAILED, attempt)
    else:
        deliveries.leave(lease, at, attempt)


def _try(began: datetime, response: Response | None, error: str | None) -> Try:
    duration = clock.now() - began
    status = response.status if response else None
    return Try(rfc3339(began), status, error, int(duration / timedelta(milliseconds=1)))
