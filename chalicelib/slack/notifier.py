"""Bring one message up to date in Slack: choose a route, call Slack, and record the result.

There are three routes:

- The bot token posts a message once and then updates it. Right after the post, a separate write
  stores the message's `ts`. If two couriers post at once, the first `ts` that is stored wins, and
  the other courier deletes its post. A function that dies in between, or a lost response of Slack,
  leaves a post that is never updated. The next attempt then posts another message.
- A `response_url` and an incoming webhook accept only new posts: one at the start, one at the end.

A workspace can forbid edits after some minutes. The bot then posts the end as a new message.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from time import sleep
from typing import Any

from chalicelib.domain import errors
from chalicelib.platform import backoff, clock, shared_secrets
from chalicelib.platform.clock import rfc3339
from chalicelib.platform.observability import logger
from chalicelib.slack import client, inbox, layout, messages
from chalicelib.slack.layout import Message
from chalicelib.slack.subject import Subject, subject_of
from chalicelib.store import table, work
from chalicelib.workflow import aws_errors

# Routes; the names are stored in the item's `barred`.
BOT, RESPONSE_URL, INCOMING_WEBHOOK = "bot", "response_url", "incoming_webhook"
# A second message of the bot, for a message that Slack does not update any more.
BOT_AGAIN = "bot_again"
# Until the operation ends, its message is checked this often, even without a new event.
CHECK_INTERVAL = timedelta(seconds=60)
# Between two updates of a message.
SHORTEST_GAP = timedelta(seconds=2)
# The same, if only the elapsed time has changed.
ELAPSED_GAP = timedelta(seconds=15)
FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=5), timedelta(minutes=4)
# A bug in Slipway seldom disappears by itself, but it may with the operation's next step.
MOST_FAULTS = 8
# A `response_url` accepts five posts. One is reserved for the end.
POSTS = 5
# Where Slipway can only post, an incident gets this many posts, and one for its end.
INCIDENT_POSTS = 4
# Shortly before a `response_url` expires, a running operation gets a last post there.
LAST_POST = timedelta(seconds=90)
STORE_ATTEMPTS, STORE_PAUSE = 5, 0.1  # seconds, times the attempts before


def notify(lease: work.Lease) -> None:
    """Brings a claimed message up to date, and leaves its item done or due again.

    Raises AWS's errors. Any other error, such as a record that cannot be read or shown, ends the
    message after MOST_FAULTS attempts.
    """
    try:
        _notify(lease)
    except Exception as error:
        known = aws_errors.workflow_error(error) or error
        if isinstance(known, (errors.WorkflowError, table.Conflict)):
            raise
        logger.exception("Slack message failed", extra={"pk": lease.pk, "sk": lease.sk})
        faults = int(lease.item.get("faults", 0)) + 1
        if faults < MOST_FAULTS:
            _retry(lease, clock.now(), faults=faults)
        else:
            _finish(lease)


def _notify(lease: work.Lease) -> None:
    subject = subject_of(lease)
    moment = clock.now()
    if subject and not subject.is_last:
        wait = _sent_at(lease) + SHORTEST_GAP - moment
        if timedelta() < wait <= SHORTEST_GAP:
            sleep(wait.total_seconds())
            subject, moment = subject_of(lease), clock.now()
    if subject is None:
        _finish(lease)
    elif subject.until and moment > subject.until:
        logger.warning("Slack message is too late", extra={"pk": lease.pk, "sk": lease.sk})
        _finish(lease)
    else:
        _send(lease, subject, moment)


# --- routes --------------------------------------------------------------------------------------


def _send(lease: work.Lease, subject: Subject, moment: datetime) -> None:
    """Sends the message by the first route that Slack accepts."""
    barred = list(lease.item.get("barred", []))
    for route in _routes(lease, moment):
        if route in barred:
            continue
        if _send_by(route, lease, subject, moment, barred):
            return
        barred.append(route)
    _without_route(lease, subject, moment, barred)


def _send_by(
    route: str, lease: work.Lease, subject: Subject, moment: datetime, barred: list[str]
) -> bool:
    """Sends the message by one route, and records the result. False if Slack closes the route."""
    change: dict[str, Any] = {"barred": barred or None}
    is_last_post = _is_last_post(lease, route, moment)
    if not _is_due(lease, subject, route, moment) and not is_last_post:
        if subject.is_last:  # an incident ends, and its message shows that already
            _finish(lease)
        else:
            _check_later(lease, subject, moment, **change)
        return True
    if route == RESPONSE_URL or (subject.state and route != BOT):
        change["posts"] = _posts(lease) + 1
    try:
        is_ours = _call(lease, route, _last_post(subject) if is_last_post else subject.message)
    except client.Rejected as error:
        channel = lease.sk.rpartition("#")[2]
        logger.warning(
            f"Slack rejected a call ({route}, {channel}): {error.code}",
            extra={"sk": lease.sk, "way": route, "why": error.code},
        )
        if error.code != client.MESSAGE_GONE or route != BOT:
            return False
        _finish(lease)
    except client.Throttled as error:
        at = moment + error.retry_after
        work.again(lease, at, not_before=rfc3339(at), **change)
    except client.Unreachable as error:
        logger.warning("Slack is unreachable", extra={"sk": lease.sk, "why": str(error)})
        _retry(lease, moment, **change)
    else:
        if is_ours:
            _record_sent(lease, subject, moment, is_last_post, **change)
    return True


def _routes(lease: work.Lease, moment: datetime) -> list[str]:
    """The routes that are set up, the best first."""
    if messages.is_webhook(lease.sk):
        url = shared_secrets.get(shared_secrets.SLACK_INCOMING_WEBHOOK)
        return [INCOMING_WEBHOOK] if url else []
    has_bot = shared_secrets.get(shared_secrets.SLACK_BOT_TOKEN) is not None
    accepts_posts = lease.item.get("response_until", "") > rfc3339(moment)
    routes = {
        BOT: has_bot,
        RESPONSE_URL: accepts_posts and _posts(lease) < POSTS,
        BOT_AGAIN: has_bot and "ts" in lease.item,
    }
    return [route for route, is_open in routes.items() if is_open]


def _is_due(lease: work.Lease, subject: Subject, route: str, moment: datetime) -> bool:
    """Whether the message has enough news to be sent now by this route."""
    was_sent = "digest" in lease.item
    if subject.state and was_sent:
        is_turn = lease.item.get("state") != subject.state
        has_posts = subject.is_last or _posts(lease) < INCIDENT_POSTS
        return _is_news(lease, subject) if route == BOT else has_posts and is_turn
    if subject.is_last or not was_sent:
        return subject.is_last or route != RESPONSE_URL or _posts(lease) < POSTS - 1
    if route != BOT:
        return False
    return _is_news(lease, subject) or moment >= _sent_at(lease) + ELAPSED_GAP


def _is_news(lease: work.Lease, subject: Subject) -> bool:
    """Whether the content differs from what was sent last."""
    return bool(lease.item.get("digest") != subject.digest)


def _is_last_post(lease: work.Lease, route: str, moment: datetime) -> bool:
    expires = lease.item.get("response_until", "")
    return route == RESPONSE_URL and expires <= rfc3339(moment + LAST_POST)


def _last_post(subject: Subject) -> Message:
    if subject.is_last:
        return subject.message
    note = layout.small(
        "Slack accepts no more updates of this message. To see the progress: "
        f"`{inbox.PREFIX}status`"
    )
    return Message(subject.message.text, [*subject.message.blocks, note.to_dict()])


def _call(lease: work.Lease, route: str, message: Message) -> bool:
    """Calls Slack. False if another courier has posted this message."""
    try:
        return _call_once(lease, route, message)
    except client.Rejected as error:
        if error.code not in client.BAD_BLOCKS:
            raise
        # Slack has a rule that Slipway does not know. One line of text is better than nothing.
        logger.error("Slack rejected the blocks", extra={"sk": lease.sk, "why": error.code})
        return _call_once(lease, route, Message(message.text, []))


def _call_once(lease: work.Lease, route: str, message: Message) -> bool:
    if route in (INCOMING_WEBHOOK, RESPONSE_URL):
        webhook = shared_secrets.SLACK_INCOMING_WEBHOOK
        is_webhook = route == INCOMING_WEBHOOK
        url = (shared_secrets.get(webhook) or "") if is_webhook else lease.item["response_url"]
        client.post_to_url(url, message, replace=False, in_channel=True)
        return True
    channel = lease.sk.rpartition("#")[2]
    if route == BOT_AGAIN:
        client.post_message(channel, message)
        return True
    if "ts" in lease.item:
        client.update_message(channel, lease.item["ts"], message)
        return True
    ts = client.post_message(channel, message)
    if _store_ts(lease, ts):
        return True
    logger.warning("deleting a duplicate Slack message", extra={"sk": lease.sk})
    client.delete_message(channel, ts)
    return False


def _store_ts(lease: work.Lease, ts: str) -> bool:
    """Stores the `ts` of a new message. False if another courier has stored one first.

    The first stored `ts` counts, whether or not the lease has expired meanwhile.
    """
    write = table.update(lease.pk, lease.sk, "attribute_not_exists(ts)", change={"ts": ts})
    for attempt in range(STORE_ATTEMPTS):
        sleep(STORE_PAUSE * attempt)
        try:
            table.transact([write])
        except (table.Conflict, errors.Throttled):
            # The conflict may also be with a write that does not concern the `ts`.
            stored = (table.get_item(lease.pk, lease.sk) or {}).get("ts")
            if stored:
                return bool(stored == ts)
        else:
            return True
    logger.error("the ts of a Slack message could not be stored", extra={"sk": lease.sk})
    return True


# --- results -------------------------------------------------------------------------------------


def _record_sent(
    lease: work.Lease, subject: Subject, moment: datetime, is_last_post: bool, **change: Any
) -> None:
    change |= {"digest": subject.digest, "told_at": rfc3339(moment)}
    change |= {"failures": None, "faults": None, "not_before": None}
    if subject.is_last:
        _finish(lease, **change)
    elif is_last_post:
        messages.hand_over(lease)
        _finish(lease, **change)
    else:
        _check_later(lease, subject, moment, **change, **subject.known)


def _finish(lease: work.Lease, **change: Any) -> None:
    """Ends the message, and removes the attributes that only its updates needed."""
    removed = dict.fromkeys(("shown", "sequence", "response_url", "response_until"))
    work.done(lease, **change, **removed)


def _check_later(lease: work.Lease, subject: Subject, moment: datetime, **change: Any) -> None:
    work.again(lease, moment + (subject.check_after or CHECK_INTERVAL), **change)


def _retry(lease: work.Lease, moment: datetime, **change: Any) -> None:
    """Retries after a growing gap, during which events do not wake the message."""
    failures = int(lease.item.get("failures", 0)) + 1
    at = moment + backoff.gap(failures, FIRST_RETRY, LONGEST_RETRY)
    work.again(lease, at, failures=failures, not_before=rfc3339(at), **change)


def _without_route(
    lease: work.Lease, subject: Subject, moment: datetime, barred: list[str]
) -> None:
    """Hands the message over to the incoming webhook, if there is one.

    Otherwise it waits until the operation ends, because a command may still bring a `response_url`.
    """
    if messages.hand_over(lease):
        _finish(lease, barred=barred or None)
    elif subject.is_last:
        logger.warning("no route for a Slack message", extra={"pk": lease.pk, "sk": lease.sk})
        _finish(lease, barred=barred or None)
    else:
        _check_later(lease, subject, moment, barred=barred or None)


def _posts(lease: work.Lease) -> int:
    return int(lease.item.get("posts", 0))


def _sent_at(lease: work.Lease) -> datetime:
    """When the message was last sent; long ago if it never was."""
    return datetime.fromisoformat(lease.item.get("told_at", "2000-01-01T00:00:00Z"))
