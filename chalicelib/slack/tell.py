"""One message brought up to date: by which way, and what comes of it.

A message by a bot token is posted once and updated. Its `ts` is kept by a write of its own right
after the post. Where two were at it at once, the first to keep its own has it, and the other takes
its post away again. What remains: a function that dies in between, or an answer of Slack that was
lost, leaves a post that nobody knows of, which stays as it is; the next try posts another.
A `response_url` and an incoming webhook take new posts only: one at the start, one at the end.
A workspace may allow no edits after some minutes: there the bot posts the end anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from time import sleep
from typing import Any

from chalicelib.domain import errors
from chalicelib.platform import clock, shared_secrets
from chalicelib.platform.clock import rfc3339
from chalicelib.platform.observability import logger
from chalicelib.slack import client, layout, messages
from chalicelib.slack.layout import Message
from chalicelib.slack.subject import Subject, subject_of
from chalicelib.store import table, work
from chalicelib.workflow import aws_errors

BOT, RESPONSE_URL, INCOMING_WEBHOOK = "bot", "response_url", "incoming_webhook"
# A second message of the bot's, where Slack takes no more updates of the first.
BOT_AGAIN = "bot_again"
# Until the end is told a message is looked at this often, though nobody wakes the courier.
LOOK_AGAIN = timedelta(seconds=60)
SHORTEST_GAP = timedelta(seconds=2)
# Where nothing has changed but the time it takes.
ELAPSED_GAP = timedelta(seconds=15)
FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=5), timedelta(minutes=4)
# A fault of our own seldom passes by itself; it may with the next step of the operation.
MOST_FAULTS = 8
# Of the five posts that a `response_url` takes one is for the end.
POSTS = 5
# So near to its end a `response_url` gets the last word on an operation that still runs.
LAST_WORD = timedelta(seconds=90)
KEEP_ATTEMPTS, KEEP_PAUSE = 5, 0.1  # seconds, times the attempts before


def tell(lease: work.Lease) -> None:
    """Brings a claimed message up to date, and leaves its item done, or due again.

    Raises what is AWS's; what else fails it, a record that cannot be read or shown, ends it after
    some tries.
    """
    try:
        _tell(lease)
    except Exception as error:
        known = aws_errors.workflow_error(error) or error
        if isinstance(known, (errors.WorkflowError, table.Conflict)):
            raise
        logger.exception("a message to Slack failed", extra={"pk": lease.pk, "sk": lease.sk})
        faults = int(lease.item.get("faults", 0)) + 1
        if faults < MOST_FAULTS:
            _try_again(lease, clock.now(), faults=faults)
        else:
            _done(lease)


def _tell(lease: work.Lease) -> None:
    subject = subject_of(lease)
    moment = clock.now()
    if subject and not subject.is_last:
        wait = _told_at(lease) + SHORTEST_GAP - moment
        if timedelta() < wait <= SHORTEST_GAP:
            sleep(wait.total_seconds())
            subject, moment = subject_of(lease), clock.now()
    if subject is None:
        _done(lease)
    elif subject.until and moment > subject.until:
        logger.warning("Slack was not told in time", extra={"pk": lease.pk, "sk": lease.sk})
        _done(lease)
    else:
        _send(lease, subject, moment)


# --- by which way ----------------------------------------------------------------------------


def _send(lease: work.Lease, subject: Subject, moment: datetime) -> None:
    barred = list(lease.item.get("barred", []))
    for way in _ways(lease, moment):
        if way in barred:
            continue
        is_last_word = _is_last_word(lease, way, moment)
        if not _is_worth_telling(lease, subject, way, moment) and not is_last_word:
            return _look_again(lease, moment, barred=barred or None)
        posts = {"posts": _posts(lease) + 1} if way == RESPONSE_URL else {}
        try:
            is_kept = _call(lease, way, _closing(subject) if is_last_word else subject.message)
        except client.Rejected as error:
            refused = f"Slack refuses by {way} for {lease.sk.rpartition('#')[2]}: {error.code}"
            logger.warning(refused, extra={"sk": lease.sk, "way": way, "why": error.code})
            if error.code == client.MESSAGE_GONE and way == BOT:
                _done(lease)
                return None
            barred.append(way)
            continue
        except client.Throttled as error:
            at = moment + error.retry_after
            work.again(lease, at, not_before=rfc3339(at), barred=barred or None, **posts)
            return None
        except client.Unreachable as error:
            logger.warning("Slack not reached", extra={"sk": lease.sk, "why": str(error)})
            return _try_again(lease, moment, barred=barred or None, **posts)
        if is_kept:
            _told(lease, subject, moment, is_last_word, barred=barred or None, **posts)
        return None
    return _no_way(lease, subject, moment, barred)


def _ways(lease: work.Lease, moment: datetime) -> list[str]:
    """Those that are set up, the best first."""
    if messages.is_webhook(lease.sk):
        found = shared_secrets.get(shared_secrets.SLACK_INCOMING_WEBHOOK)
        return [INCOMING_WEBHOOK] if found else []
    has_bot = shared_secrets.get(shared_secrets.SLACK_BOT_TOKEN) is not None
    takes_posts = lease.item.get("response_until", "") > rfc3339(moment)
    ways = {
        BOT: has_bot,
        RESPONSE_URL: takes_posts and _posts(lease) < POSTS,
        BOT_AGAIN: has_bot and "ts" in lease.item,
    }
    return [way for way, is_open in ways.items() if is_open]


def _is_worth_telling(lease: work.Lease, subject: Subject, way: str, moment: datetime) -> bool:
    told_before = "digest" in lease.item
    if subject.is_last or not told_before:
        return subject.is_last or way != RESPONSE_URL or _posts(lease) < POSTS - 1
    if way != BOT:
        return False
    is_same = lease.item["digest"] == subject.digest
    return not is_same or moment >= _told_at(lease) + ELAPSED_GAP


def _is_last_word(lease: work.Lease, way: str, moment: datetime) -> bool:
    ends = lease.item.get("response_until", "")
    return way == RESPONSE_URL and ends <= rfc3339(moment + LAST_WORD)


def _closing(subject: Subject) -> Message:
    if subject.is_last:
        return subject.message
    note = layout.small("Slack takes no more of it here: `/slipway status` tells how it goes on.")
    return Message(subject.message.text, [*subject.message.blocks, note.to_dict()])


def _call(lease: work.Lease, way: str, message: Message) -> bool:
    """Makes the call; False where another courier has the message now."""
    try:
        return _make(lease, way, message)
    except client.Rejected as error:
        if error.code not in client.BAD_BLOCKS:
            raise
        # Slack has a rule that is not known here: a line of text is better than nothing.
        logger.error("Slack does not take the blocks", extra={"sk": lease.sk, "why": error.code})
        return _make(lease, way, Message(message.text, []))


def _make(lease: work.Lease, way: str, message: Message) -> bool:
    if way == INCOMING_WEBHOOK:
        url = shared_secrets.get(shared_secrets.SLACK_INCOMING_WEBHOOK) or ""
        client.post_to_url(url, message, replace=False, in_channel=True)
        return True
    if way == RESPONSE_URL:
        url = lease.item["response_url"]
        client.post_to_url(url, message, replace=False, in_channel=True)
        return True
    channel = lease.sk.rpartition("#")[2]
    if way == BOT_AGAIN:
        client.post_message(channel, message)
        return True
    if "ts" in lease.item:
        client.update_message(channel, lease.item["ts"], message)
        return True
    ts = client.post_message(channel, message)
    if _keep(lease, ts):
        return True
    logger.warning("Slack was told twice at once", extra={"sk": lease.sk})
    client.delete_message(channel, ts)
    return False


def _keep(lease: work.Lease, ts: str) -> bool:
    """Whether or not the lease has passed meanwhile, the first `ts` that is kept is the message's;
    False where it is another's."""
    kept = table.update(lease.pk, lease.sk, "attribute_not_exists(ts)", change={"ts": ts})
    for attempt in range(KEEP_ATTEMPTS):
        sleep(KEEP_PAUSE * attempt)
        try:
            table.transact([kept])
        except (table.Conflict, errors.Throttled):
            # A conflict may be of somebody who wrote that item just then, too.
            found = (table.get_item(lease.pk, lease.sk) or {}).get("ts")
            if found:
                return bool(found == ts)
        else:
            return True
    logger.error("the ts of a message in Slack is lost", extra={"sk": lease.sk})
    return True


# --- what comes of it --------------------------------------------------------------------------


def _told(
    lease: work.Lease, subject: Subject, moment: datetime, is_last_word: bool, **change: Any
) -> None:
    change |= {"digest": subject.digest, "told_at": rfc3339(moment)}
    change |= {"failures": None, "faults": None, "not_before": None}
    if subject.is_last:
        _done(lease, **change)
    elif is_last_word:
        messages.hand_over(lease)
        _done(lease, **change)
    else:
        _look_again(lease, moment, **change, **subject.known)


def _done(lease: work.Lease, **change: Any) -> None:
    """Nothing is to be told any more; what only served for that goes."""
    gone = dict.fromkeys(("shown", "sequence", "response_url", "response_until"))
    work.done(lease, **change, **gone)


def _look_again(lease: work.Lease, moment: datetime, **change: Any) -> None:
    work.again(lease, moment + LOOK_AGAIN, **change)


def _try_again(lease: work.Lease, moment: datetime, **change: Any) -> None:
    """With growing gaps, in which nobody's event wakes it."""
    failures = int(lease.item.get("failures", 0))
    at = moment + min(FIRST_RETRY * 2 ** min(failures, 10), LONGEST_RETRY)
    work.again(lease, at, failures=failures + 1, not_before=rfc3339(at), **change)


def _no_way(lease: work.Lease, subject: Subject, moment: datetime, barred: list[str]) -> None:
    """The incoming webhook tells it, where there is one; else a command may bring a
    `response_url` yet, until the operation has ended."""
    if messages.hand_over(lease):
        _done(lease, barred=barred or None)
    elif subject.is_last:
        logger.warning("Slack has no way to tell it", extra={"pk": lease.pk, "sk": lease.sk})
        _done(lease, barred=barred or None)
    else:
        _look_again(lease, moment, barred=barred or None)


def _posts(lease: work.Lease) -> int:
    return int(lease.item.get("posts", 0))


def _told_at(lease: work.Lease) -> datetime:
    return datetime.fromisoformat(lease.item.get("told_at", "2000-01-01T00:00:00Z"))
