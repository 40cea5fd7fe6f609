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


def tell(claim: work.Claim) -> None:
    """Brings a claimed message up to date, and leaves its item done, or due again.

    Raises what is AWS's; what else fails it, a record that cannot be read or shown, ends it after
    some tries.
    """
    try:
        _tell(claim)
    except Exception as error:
        known = aws_errors.workflow_error(error) or error
        if isinstance(known, (errors.WorkflowError, table.Conflict)):
            raise
        logger.exception("a message to Slack failed", extra={"pk": claim.pk, "sk": claim.sk})
        faults = int(claim.item.get("faults", 0)) + 1
        if faults < MOST_FAULTS:
            _try_again(claim, clock.now(), faults=faults)
        else:
            _done(claim)


def _tell(claim: work.Claim) -> None:
    subject = subject_of(claim)
    moment = clock.now()
    if subject and not subject.is_last:
        wait = _told_at(claim) + SHORTEST_GAP - moment
        if timedelta() < wait <= SHORTEST_GAP:
            sleep(wait.total_seconds())
            subject, moment = subject_of(claim), clock.now()
    if subject is None:
        _done(claim)
    elif subject.until and moment > subject.until:
        logger.warning("Slack was not told in time", extra={"pk": claim.pk, "sk": claim.sk})
        _done(claim)
    else:
        _send(claim, subject, moment)


# --- by which way ----------------------------------------------------------------------------


def _send(claim: work.Claim, subject: Subject, moment: datetime) -> None:
    barred = list(claim.item.get("barred", []))
    for way in _ways(claim, moment):
        if way in barred:
            continue
        is_last_word = _is_last_word(claim, way, moment)
        if not _is_worth_telling(claim, subject, way, moment) and not is_last_word:
            return _look_again(claim, moment, barred=barred or None)
        posts = {"posts": _posts(claim) + 1} if way == RESPONSE_URL else {}
        try:
            is_kept = _call(claim, way, _closing(subject) if is_last_word else subject.message)
        except client.Rejected as error:
            refused = f"Slack refuses by {way} for {claim.sk.rpartition('#')[2]}: {error.code}"
            logger.warning(refused, extra={"sk": claim.sk, "way": way, "why": error.code})
            if error.code == client.MESSAGE_GONE and way == BOT:
                _done(claim)
                return None
            barred.append(way)
            continue
        except client.Throttled as error:
            at = moment + error.retry_after
            work.again(claim, at, not_before=rfc3339(at), barred=barred or None, **posts)
            return None
        except client.Unreachable as error:
            logger.warning("Slack not reached", extra={"sk": claim.sk, "why": str(error)})
            return _try_again(claim, moment, barred=barred or None, **posts)
        if is_kept:
            _told(claim, subject, moment, is_last_word, barred=barred or None, **posts)
        return None
    return _no_way(claim, subject, moment, barred)


def _ways(claim: work.Claim, moment: datetime) -> list[str]:
    """Those that are set up, the best first."""
    if messages.is_webhook(claim.sk):
        found = shared_secrets.get(shared_secrets.SLACK_INCOMING_WEBHOOK)
        return [INCOMING_WEBHOOK] if found else []
    has_bot = shared_secrets.get(shared_secrets.SLACK_BOT_TOKEN) is not None
    takes_posts = claim.item.get("response_until", "") > rfc3339(moment)
    ways = {
        BOT: has_bot,
        RESPONSE_URL: takes_posts and _posts(claim) < POSTS,
        BOT_AGAIN: has_bot and "ts" in claim.item,
    }
    return [way for way, is_open in ways.items() if is_open]


def _is_worth_telling(claim: work.Claim, subject: Subject, way: str, moment: datetime) -> bool:
    told_before = "digest" in claim.item
    if subject.is_last or not told_before:
        return subject.is_last or way != RESPONSE_URL or _posts(claim) < POSTS - 1
    if way != BOT:
        return False
    is_same = claim.item["digest"] == subject.digest
    return not is_same or moment >= _told_at(claim) + ELAPSED_GAP


def _is_last_word(claim: work.Claim, way: str, moment: datetime) -> bool:
    ends = claim.item.get("response_until", "")
    return way == RESPONSE_URL and ends <= rfc3339(moment + LAST_WORD)


def _closing(subject: Subject) -> Message:
    if subject.is_last:
        return subject.message
    note = layout.small("Slack takes no more of it here: `/slipway status` tells how it goes on.")
    return Message(subject.message.text, [*subject.message.blocks, note.to_dict()])


def _call(claim: work.Claim, way: str, message: Message) -> bool:
    """Makes the call; False where another courier has the message now."""
    try:
        return _make(claim, way, message)
    except client.Rejected as error:
        if error.code not in client.BAD_BLOCKS:
            raise
        # Slack has a rule that is not known here: a line of text is better than nothing.
        logger.error("Slack does not take the blocks", extra={"sk": claim.sk, "why": error.code})
        return _make(claim, way, Message(message.text, []))


def _make(claim: work.Claim, way: str, message: Message) -> bool:
    if way == INCOMING_WEBHOOK:
        url = shared_secrets.get(shared_secrets.SLACK_INCOMING_WEBHOOK) or ""
        client.post_to_url(url, message, replace=False, in_channel=True)
        return True
    if way == RESPONSE_URL:
        url = claim.item["response_url"]
        client.post_to_url(url, message, replace=False, in_channel=True)
        return True
    channel = claim.sk.rpartition("#")[2]
    if way == BOT_AGAIN:
        client.post_message(channel, message)
        return True
    if "ts" in claim.item:
        client.update_message(channel, claim.item["ts"], message)
        return True
    ts = client.post_message(channel, message)
    if _keep(claim, ts):
        return True
    logger.warning("Slack was told twice at once", extra={"sk": claim.sk})
    client.delete_message(channel, ts)
    return False


def _keep(claim: work.Claim, ts: str) -> bool:
    """Whether or not the lease has passed meanwhile, the first `ts` that is kept is the message's;
    False where it is another's."""
    kept = table.update(claim.pk, claim.sk, "attribute_not_exists(ts)", change={"ts": ts})
    for attempt in range(KEEP_ATTEMPTS):
        sleep(KEEP_PAUSE * attempt)
        try:
            table.transact([kept])
        except (table.Conflict, errors.Throttled):
            # A conflict may be of somebody who wrote that item just then, too.
            found = (table.get_item(claim.pk, claim.sk) or {}).get("ts")
            if found:
                return bool(found == ts)
        else:
            return True
    logger.error("the ts of a message in Slack is lost", extra={"sk": claim.sk})
    return True


# --- what comes of it --------------------------------------------------------------------------


def _told(
    claim: work.Claim, subject: Subject, moment: datetime, is_last_word: bool, **change: Any
) -> None:
    change |= {"digest": subject.digest, "told_at": rfc3339(moment)}
    change |= {"failures": None, "faults": None, "not_before": None}
    if subject.is_last:
        _done(claim, **change)
    elif is_last_word:
        messages.hand_over(claim)
        _done(claim, **change)
    else:
        _look_again(claim, moment, **change, **subject.known)


def _done(claim: work.Claim, **change: Any) -> None:
    """Nothing is to be told any more; what only served for that goes."""
    gone = dict.fromkeys(("shown", "sequence", "response_url", "response_until"))
    work.done(claim, **change, **gone)


def _look_again(claim: work.Claim, moment: datetime, **change: Any) -> None:
    work.again(claim, moment + LOOK_AGAIN, **change)


def _try_again(claim: work.Claim, moment: datetime, **change: Any) -> None:
    """With growing gaps, in which nobody's event wakes it."""
    failures = int(claim.item.get("failures", 0))
    at = moment + min(FIRST_RETRY * 2 ** min(failures, 10), LONGEST_RETRY)
    work.again(claim, at, failures=failures + 1, not_before=rfc3339(at), **change)


def _no_way(claim: work.Claim, subject: Subject, moment: datetime, barred: list[str]) -> None:
    """The incoming webhook tells it, where there is one; else a command may bring a
    `response_url` yet, until the operation has ended."""
    if messages.hand_over(claim):
        _done(claim, barred=barred or None)
    elif subject.is_last:
        logger.warning("Slack has no way to tell it", extra={"pk": claim.pk, "sk": claim.sk})
        _done(claim, barred=barred or None)
    else:
        _look_again(claim, moment, barred=barred or None)


def _posts(claim: work.Claim) -> int:
    return int(claim.item.get("posts", 0))


def _told_at(claim: work.Claim) -> datetime:
    return datetime.fromisoformat(claim.item.get("told_at", "2000-01-01T00:00:00Z"))
