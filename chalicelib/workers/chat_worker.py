"""The chat worker: does what was asked for in Slack, after the request was acknowledged.

A request is an item (`slack/inbox.py`), claimed with a lease that outlives this function. Whoever
runs it a second time, because the first died or Slack could not be told, sends the same
Idempotency-Key: nothing is started twice. What began an operation is told by the operation's own
message (`slack/messages.py`); all else is posted to the `response_url`, and tried again while that
lives.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.domain.errors import AwsUnavailable, Retryable, Throttled
from chalicelib.platform import aws, backoff, clock
from chalicelib.platform.observability import logger
from chalicelib.slack import inbox, owners
from chalicelib.slack.inbox import Asked
from chalicelib.store import table, work
from chalicelib.store.tokens import Caller

if TYPE_CHECKING:
    from chalicelib.chat.commands import Reply
    from chalicelib.chat.grammar import Command
    from chalicelib.slack.blocks import Message

# The function is ended after 60 s (.chalice/config.json); the rest is for clocks that differ.
LEASE = timedelta(seconds=70)
AT_ONCE = 8
# A fault of our own does not pass by itself; AWS and Slack are waited for instead.
MOST_FAULTS = 3
FIRST_GAP, LONGEST_GAP = timedelta(seconds=5), timedelta(minutes=5)
# So long before its `response_url` dies a request is given up, so that its user can be told.
TO_SAY_SO = timedelta(minutes=2)

WAITING = (
    "AWS does not answer at this moment, so this is tried again for half an hour: {text}. You need "
    "not send it again; what comes of it is told here."
)
GIVEN_UP = (
    "AWS or Slack did not answer for half an hour, so this was given up: {text}. It may have taken "
    "effect: look with `/slipway list`, and send it again where it has not."
)
FAULT = (
    "Slipway failed on this: {text}. The fault is in its log, with the request {request}; please "
    "tell the people who run it."
)


def run(event: dict[str, Any]) -> dict[str, Any]:
    """Does the commands that the event's items hold, or those due where it is a schedule's.

    Returns:
        `{"woken": how many items woke it, "due": how many were due, "taken": how many it claimed}`
    """
    woken = [(item["pk"], item["sk"]) for item in work.woken_by(event)]
    due = [] if woken else work.list_due(work.CHAT_WORKER)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        taken = sum(pool.map(_attend, woken or due))
    return {"woken": len(woken), "due": len(due), "taken": taken}


def _attend(key: tuple[str, str]) -> bool:
    """Does one request; whether it was there to be done. One that fails fails by itself."""
    try:
        claim = work.claim(*key, LEASE)
        if claim is None:
            return False
        if clock.now() >= inbox.answerable_until(claim.item):
            # Nobody waits for it any more, or it is one that kills its worker each time.
            logger.error("slack request came to nothing", extra={"request": claim.pk})
            work.done(claim, response_url=None)
            return True
        try:
            _do(claim)
            work.done(claim, response_url=None)
        except Exception as error:
            _leave(claim, error)
        return True
    except Exception:
        # The sweep finds it again, when the lease has passed.
        logger.exception("slack request not attended to", extra={"request": key[0]})
        return False


def _do(claim: work.Claim) -> None:
    from chalicelib.chat import grammar

    asked = inbox.asked_by(claim.item)
    caller = owners.owner_of(asked.user, asked.channel)
    if caller is None:
        _say(asked, owners.refusal(asked.user, asked.channel))
    elif asked.button == "cancel":
        _say(asked, f"Cancelled: nothing was done to {asked.text}.")
    elif asked.button:
        _carry_out(claim, asked, grammar.Command(asked.button, asked.text, None), caller)
    else:
        command = grammar.parse(asked.text, inbox.PREFIX)
        if isinstance(command, grammar.Misunderstanding):
            _say(asked, command.text)
        elif command.verb == "delete" and "deploy" in caller.scopes:
            _ask_back(asked, command, caller)
        else:
            _carry_out(claim, asked, command, caller)


def _carry_out(claim: work.Claim, asked: Asked, command: Command, caller: Caller) -> None:
    from chalicelib.slack import blocks, messages

    reply = _run(asked, command, caller, key=claim.pk)
    began = _began_operation(reply)
    if began:
        assert reply.deployment is not None
        messages.announce(
            reply.deployment,
            channel=asked.channel,
            user=asked.user,
            response_url=asked.response_url,
            response_until=inbox.answerable_until(claim.item),
        )
    logger.info(
        "slack request done",
        extra={
            "request": claim.pk,
            "verb": command.verb,
            "refused": reply.refused,
            "by": caller.token_id,
            "owner": caller.owner,
            "channel": asked.channel,
            "team": asked.team,
            "deployment": (reply.deployment or {}).get("id"),
        },
    )
    # The question goes, whatever came of it; else the operation's message says it all.
    if not began or asked.button == "delete":
        _post(asked, blocks.reply(reply))


def _ask_back(asked: Asked, command: Command, caller: Caller) -> None:
    """Posts the question whether to delete, with its buttons; or that there is nothing to."""
    from chalicelib.chat import grammar
    from chalicelib.slack import blocks

    found = _run(asked, grammar.Command("status", command.reference, None), caller)
    if found.deployment is None or found.deployment["status"] in ("DELETING", "DELETED"):
        _post(asked, blocks.reply(found))
    else:
        _post(asked, blocks.confirm_delete(found.deployment))


def _run(asked: Asked, command: Command, caller: Caller, key: str | None = None) -> Reply:
    """What came of it, in words for Slack: nobody there has a token to lack a scope."""
    from chalicelib.chat import commands

    scope = "deploy" if command.verb in commands.CHANGES else "read"
    if command.verb != "help" and scope not in caller.scopes:
        told = owners.out_of_scope(asked.user, asked.channel, scope)
        return commands.Reply(told, None, command.verb, refused=True)
    return commands.run(command, caller, key=key, prefix=inbox.PREFIX)


def _began_operation(reply: Reply) -> bool:
    """Whether there is something to follow: `extend` for one begins no operation."""
    return (
        not reply.refused
        and reply.deployment is not None
        and reply.verb not in ("status", "extend", "logs")
        and reply.deployment["operation"]["status"] == "running"
    )


# --- telling the user ----------------------------------------------------------------------


def _say(asked: Asked, text: str) -> None:
    from chalicelib.chat.commands import Reply
    from chalicelib.slack import blocks

    said = Reply(text=text, deployment=None, verb=asked.button or "", refused=True)
    _post(asked, blocks.reply(said))


def _post(asked: Asked, message: Message) -> None:
    """Posts to the `response_url`, for the user alone; in place of the question for its buttons.

    Raises `Throttled` or `Unreachable` of `slack/client.py`, which pass.
    """
    from chalicelib.slack import client

    if asked.response_url is None:
        logger.warning("no response_url to answer to", extra={"user": asked.user})
        return
    replace = asked.button in ("delete", "cancel")
    try:
        client.post_to_url(asked.response_url, message, replace=replace, in_channel=False)
    except client.Rejected as error:
        # The work is done; the URL is used up, or its channel is gone.
        logger.warning("slack refused an answer", extra={"user": asked.user, "reason": str(error)})


# --- when it fails -------------------------------------------------------------------------


def _leave(claim: work.Claim, error: Exception) -> None:
    """Leaves a request that failed for later, or ends it and says so."""
    attempts = int(claim.item.get("attempts", 0)) + 1
    of_slack = _is_of_slack(error)
    passing = of_slack or _is_of_aws(error)
    at = clock.now() + _gap(attempts, error)
    in_time = at < inbox.answerable_until(claim.item) - TO_SAY_SO
    told = {"request": claim.pk, "attempts": attempts, "reason": f"{type(error).__name__}: {error}"}
    if in_time and (passing or attempts < MOST_FAULTS):
        logger.warning("slack request left for later", extra=told, exc_info=not passing)
        if passing and not of_slack and attempts == 1:
            # Else it is typed again, and done twice or, much later, after what was typed since.
            _say_so(claim, WAITING)
        work.again(claim, at, attempts=attempts)
        return
    logger.error("slack request given up", extra=told, exc_info=not passing)
    _say_so(claim, GIVEN_UP if passing else FAULT)
    work.done(claim, attempts=attempts, response_url=None)


def _say_so(claim: work.Claim, words: str) -> None:
    """Tells its user what is the matter, if Slack lets it. Never raises."""
    try:
        asked = inbox.asked_by(claim.item)
        _say(asked, words.format(text=asked.text, request=claim.pk))
    except Exception as error:
        extra = {"request": claim.pk, "reason": f"{type(error).__name__}: {error}"}
        logger.warning("its user could not be told", extra=extra)


def _gap(attempts: int, error: Exception) -> timedelta:
    """How long to wait: as Slack says, else twice as long each time."""
    asked_for = getattr(error, "retry_after", None)
    gap = backoff.gap(attempts, FIRST_GAP, LONGEST_GAP)
    return max(gap, asked_for) if isinstance(asked_for, timedelta) else gap


def _is_of_slack(error: Exception) -> bool:
    """Whether it is Slack's affair, and may work in a while."""
    from chalicelib.slack import client

    return isinstance(error, (client.Throttled, client.Unreachable))


def _is_of_aws(error: Exception) -> bool:
    """Whether it is AWS's, likewise."""
    known = aws.workflow_error(error) or error
    return isinstance(known, (AwsUnavailable, Throttled, Retryable, table.Conflict))
