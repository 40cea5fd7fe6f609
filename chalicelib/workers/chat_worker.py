"""The chat worker: carries out the commands and buttons that Slack sent.

`/slack/commands` and `/slack/interactions` acknowledge a request and write an item for it
(`slack/inbox.py`). This worker claims the item with a lease that outlives the function. It may run
an item twice, if the first run died or could not reach Slack. Both runs use the same idempotency
key, so nothing starts twice. The message of an operation shows its progress
(`slack/messages.py`). Any other reply is posted to the `response_url`, with retries until that URL
expires.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.domain.errors import AwsUnavailable
from chalicelib.platform import backoff, clock
from chalicelib.platform.observability import logger
from chalicelib.slack import inbox, owners
from chalicelib.slack.inbox import Asked
from chalicelib.store import table, work
from chalicelib.store.tokens import Caller
from chalicelib.workflow import aws_errors

if TYPE_CHECKING:
    from chalicelib.chat.commands import Reply
    from chalicelib.chat.grammar import Command
    from chalicelib.slack.blocks import Message

# The function ends after 60 s (.chalice/config.json); the rest is for differing clocks.
LEASE = timedelta(seconds=70)
AT_ONCE = 8
# A fault in Slipway does not go away by itself, so few tries are enough. For errors of AWS and
# Slack the worker retries until the `response_url` expires.
MOST_FAULTS = 3
FIRST_GAP, LONGEST_GAP = timedelta(seconds=5), timedelta(minutes=5)
# A request is given up this long before its `response_url` expires, so that its user still gets a
# reply.
TIME_TO_REPORT = timedelta(minutes=2)

WAITING = (
    "AWS is not responding. Slipway will retry this command for 30 minutes and post the result "
    "here. Do not send it again: {text}"
)
GIVEN_UP = (
    "AWS or Slack did not respond for 30 minutes, so Slipway does not retry this command again: "
    "{text}. The command may have had an effect. Check with `/slipway list`, and send it again if "
    "it had none."
)
FAULT = (
    "This command failed because of a fault in Slipway: {text}. Give the request ID {request} to "
    "your platform team. The log has the details."
)


def run(event: dict[str, Any]) -> dict[str, Any]:
    """Runs the requests in an event of the table's stream, or the due ones for a schedule's event.

    Returns:
        `{"woken": number of items in the event, "due": number of due items, "taken": number of
        items that this run claimed}`
    """
    woken = [(item["pk"], item["sk"]) for item in work.woken_by(event)]
    due = [] if woken else work.list_due(work.CHAT_WORKER)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        taken = sum(pool.map(_attend, woken or due))
    return {"woken": len(woken), "due": len(due), "taken": taken}


def _attend(key: tuple[str, str]) -> bool:
    """Runs one request; False if it was not due. Never raises, so no request affects another."""
    try:
        lease = work.acquire(*key, LEASE)
        if lease is None:
            return False
        if clock.now() >= inbox.answerable_until(lease.item):
            # Its user can no longer get a reply, or it kills its worker each time.
            logger.error("slack request came to nothing", extra={"request": lease.pk})
            work.done(lease, response_url=None)
            return True
        try:
            _do(lease)
            work.done(lease, response_url=None)
        except Exception as error:
            _leave(lease, error)
        return True
    except Exception:
        # The sweep finds it again when the lease has expired.
        logger.exception("slack request not attended to", extra={"request": key[0]})
        return False


def _do(lease: work.Lease) -> None:
    from chalicelib.chat import grammar

    asked = inbox.asked_by(lease.item)
    caller = owners.owner_of(asked.user, asked.channel)
    if caller is None:
        _say(asked, owners.refusal(asked.user, asked.channel))
    elif asked.button == "cancel":
        _say(asked, f"Cancelled. {asked.text} was not changed.")
    elif asked.button:
        _carry_out(lease, asked, grammar.Command(asked.button, asked.text, None), caller)
    else:
        command = grammar.parse(asked.text, inbox.PREFIX)
        if isinstance(command, grammar.Misunderstanding):
            _say(asked, command.text)
        elif command.verb == "delete" and "deploy" in caller.scopes:
            _ask_back(asked, command, caller)
        else:
            _carry_out(lease, asked, command, caller)


def _carry_out(lease: work.Lease, asked: Asked, command: Command, caller: Caller) -> None:
    from chalicelib.slack import blocks, messages

    reply = _run(asked, command, caller, key=lease.pk)
    began = _began_operation(reply)
    if began:
        assert reply.deployment is not None
        messages.announce(
            reply.deployment,
            channel=asked.channel,
            user=asked.user,
            response_url=asked.response_url,
            response_until=inbox.answerable_until(lease.item),
        )
    logger.info(
        "slack request done",
        extra={
            "request": lease.pk,
            "verb": command.verb,
            "refused": reply.refused,
            "by": caller.token_id,
            "owner": caller.owner,
            "channel": asked.channel,
            "team": asked.team,
            "deployment": (reply.deployment or {}).get("id"),
        },
    )
    # The confirmation question must go, whatever the result. Otherwise the operation's message is
    # the reply.
    if not began or asked.button == "delete":
        _post(asked, blocks.reply(reply))


def _ask_back(asked: Asked, command: Command, caller: Caller) -> None:
    """Posts the question whether to delete, with buttons, or that there is nothing to delete."""
    from chalicelib.chat import grammar
    from chalicelib.slack import blocks

    status = _run(asked, grammar.Command("status", command.reference, None), caller)
    if status.deployment is None or status.deployment["status"] in ("DELETING", "DELETED"):
        _post(asked, blocks.reply(status))
    else:
        _post(asked, blocks.confirm_delete(status.deployment))


def _run(asked: Asked, command: Command, caller: Caller, key: str | None = None) -> Reply:
    """Runs the command. A missing scope has its own text, because Slack users have no token."""
    from chalicelib.chat import commands

    scope = "deploy" if command.verb in commands.CHANGES else "read"
    if command.verb != "help" and scope not in caller.scopes:
        refusal = owners.out_of_scope(asked.user, asked.channel, scope)
        return commands.Reply(refusal, None, command.verb, refused=True)
    return commands.run(command, caller, key=key, prefix=inbox.PREFIX)


def _began_operation(reply: Reply) -> bool:
    """Whether the command started an operation, whose message shows its progress."""
    return (
        not reply.refused
        and reply.deployment is not None
        and reply.verb not in ("status", "extend", "logs")
        and reply.deployment["operation"]["status"] == "running"
    )


# --- replies ----------------------------------------------------------------------


def _say(asked: Asked, text: str) -> None:
    from chalicelib.chat.commands import Reply
    from chalicelib.slack import blocks

    reply = Reply(text=text, deployment=None, verb=asked.button or "", refused=True)
    _post(asked, blocks.reply(reply))


def _post(asked: Asked, message: Message) -> None:
    """Posts to the `response_url`, only for the user. The reply to a button replaces its question.

    Raises the transient errors `Throttled` and `Unreachable` of `slack/client.py`.
    """
    from chalicelib.slack import client

    if asked.response_url is None:
        logger.warning("no response_url to answer to", extra={"user": asked.user})
        return
    replace = asked.button in ("delete", "cancel")
    try:
        client.post_to_url(asked.response_url, message, replace=replace, in_channel=False)
    except client.Rejected as error:
        # The command is done, but the URL has expired or the channel is gone.
        logger.warning("slack refused an answer", extra={"user": asked.user, "reason": str(error)})


# --- failures -------------------------------------------------------------------------


def _leave(lease: work.Lease, error: Exception) -> None:
    """Retries a failed request later, or gives it up and reports that."""
    attempts = int(lease.item.get("attempts", 0)) + 1
    of_slack = _is_slack_transient(error)
    transient = of_slack or _is_aws_transient(error)
    at = clock.now() + _gap(attempts, error)
    in_time = at < inbox.answerable_until(lease.item) - TIME_TO_REPORT
    extra = {
        "request": lease.pk,
        "attempts": attempts,
        "reason": f"{type(error).__name__}: {error}",
    }
    if in_time and (transient or attempts < MOST_FAULTS):
        logger.warning("slack request left for later", extra=extra, exc_info=not transient)
        if transient and not of_slack and attempts == 1:
            # Otherwise the user sends it again. Then it runs twice, or much later and after newer
            # commands.
            _report(lease, WAITING)
        work.again(lease, at, attempts=attempts)
        return
    logger.error("slack request given up", extra=extra, exc_info=not transient)
    _report(lease, GIVEN_UP if transient else FAULT)
    work.done(lease, attempts=attempts, response_url=None)


def _report(lease: work.Lease, words: str) -> None:
    """Posts a text about the request to its user. Never raises."""
    try:
        asked = inbox.asked_by(lease.item)
        _say(asked, words.format(text=asked.text, request=lease.pk))
    except Exception as error:
        extra = {"request": lease.pk, "reason": f"{type(error).__name__}: {error}"}
        logger.warning("report to a slack user failed", extra=extra)


def _gap(attempts: int, error: Exception) -> timedelta:
    """How long to wait: as Slack says, else twice as long each time."""
    asked_for = getattr(error, "retry_after", None)
    gap = backoff.gap(attempts, FIRST_GAP, LONGEST_GAP)
    return max(gap, asked_for) if isinstance(asked_for, timedelta) else gap


def _is_slack_transient(error: Exception) -> bool:
    from chalicelib.slack import client

    return isinstance(error, (client.Throttled, client.Unreachable))


def _is_aws_transient(error: Exception) -> bool:
    return isinstance(error, (AwsUnavailable, table.Conflict)) or aws_errors.is_transient(error)
