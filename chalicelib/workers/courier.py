"""The courier: posts what happens to deployments to webhook receivers and Slack.

The table's stream wakes it when events are written, and a schedule runs it every minute for items
that became due. Whatever a run does not finish stays due for the next sweep.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Any

from chalicelib.platform import aws, clock, shared_secrets
from chalicelib.platform.observability import logger
from chalicelib.store import work
from chalicelib.store.keys import DELIVERY, EVENT, MESSAGE, identifier

Key = tuple[str, str]
# The function ends after 60 s (.chalice/config.json); the rest is for differing clocks.
LEASE = timedelta(seconds=70)
# No job starts later than this, because a delivery takes 10 s and a few writes to the table.
LAST_START = timedelta(seconds=40)
# The longest time for one receiver in a run, however many deliveries wait and however slowly it
# answers, because other receivers are due too.
TURN = timedelta(seconds=10)
# A thread works for one message or one receiver, and mostly waits for answers. There are enough
# threads for a hundred receivers that do not answer and some that do.
THREADS = aws.CONNECTIONS


def run(event: dict[str, Any]) -> dict[str, Any]:
    """Does the jobs of the event's items, or all due jobs for a schedule's event.

    A job that fails is logged, its lease expires, and the other jobs go on. Raises if AWS allows no
    job at all; Lambda then runs the function again.

    Args:
        event: from the table's stream (`Records`), or from EventBridge's schedule.

    Returns:
        `{"woken": number of items in the event, "done": number of jobs that it did}`.
    """
    for service in ("dynamodb", "ssm"):
        aws.client(service)  # threads may share a client, but must not create one
    # If the secrets cannot be read, no job can be done: fail before any job is claimed.
    shared_secrets.get(shared_secrets.WEBHOOK_SECRETS)
    until = clock.now() + LAST_START
    woken = work.woken_by(event)
    if woken:
        # An event without a worker is not published: only its Slack messages are refreshed.
        keys = [(item["pk"], item["sk"]) for item in woken if "worker" in item]
        done = _round(keys, [(item["pk"], item["sk"]) for item in woken], set(), until)
    else:
        done = _sweep(until)
    result = {"woken": len(woken), "done": done}
    logger.info("courier ran", extra=result)
    return result


def _sweep(until: datetime) -> int:
    """Does due jobs, a hundred at a time, until none is due or the time is up."""
    done, served = 0, set[str]()
    # All due items, because those of a receiver that does not answer may come first.
    due = work.all_due(work.COURIER)
    while clock.now() < until and (keys := list(islice(due, work.MOST_AT_ONCE))):
        done += _round(keys, keys, served, until)
    return done


def _round(keys: list[Key], written: list[Key], served: set[str], until: datetime) -> int:
    """Fans the events out, then does all deliveries and messages in parallel.

    Args:
        written: the events among these keys have Slack messages to refresh.
        served: the receivers that had their turn in this run or did not answer. The function adds
            to it.

    Returns:
        How many jobs it did.
    """
    # Before any event ends: if this fails, the event is still due and its messages are found then.
    messages = dict.fromkeys([*_of(MESSAGE, keys), *_messages_of(_of(EVENT, written))])
    with ThreadPoolExecutor(THREADS) as slack, ThreadPoolExecutor(THREADS) as pool:
        refreshed = [slack.submit(_job, key, until, _refresh) for key in messages]
        fanned = [pool.submit(_job, key, until, _fan_out) for key in _of(EVENT, keys)]
        created = [key for each in fanned for key in each.result()[1] or ()]
        due = _by_receiver([*_of(DELIVERY, keys), *created])
        sent = [pool.submit(_send, each, served, until) for each in due]
        jobs = sum(each.result()[0] for each in (*refreshed, *fanned))
        return jobs + sum(each.result() for each in sent)


def _job(key: Key, until: datetime, do: Callable[[work.Lease], Any]) -> tuple[int, Any]:
    """Claims an item and does its job, if it is due and the time is not up. Never raises.

    Returns:
        How many jobs it did, 0 or 1, and what `do` returned.
    """
    try:
        lease = work.acquire(*key, LEASE) if clock.now() < until else None
        return (1, do(lease)) if lease else (0, None)
    except Exception:
        logger.exception("job of the courier failed", extra={"pk": key[0], "sk": key[1]})
        return 1, None


def _send(keys: list[Key], served: set[str], until: datetime) -> int:
    """Sends the deliveries to one receiver one by one, while it answers and its turn lasts.

    So a receiver delays the others by at most a turn and a call. The next sweep sends the rest.
    Returns how many deliveries it tried.
    """
    done, over = 0, clock.now() + TURN
    for key in keys:
        if key[0] in served:
            break
        count, answered = _job(key, until, _deliver)
        done += count
        if answered is False or clock.now() >= over:
            served.add(key[0])
    return done


def _fan_out(lease: work.Lease) -> list[Key]:
    # Only the courier sends events, so only it imports this.
    from chalicelib.webhooks.fan_out import fan_out

    return fan_out(lease)


def _deliver(lease: work.Lease) -> bool:
    from chalicelib.webhooks import dispatch

    return dispatch.deliver(lease)


def _refresh(lease: work.Lease) -> None:
    from chalicelib.slack import notifier

    notifier.notify(lease)


def _messages_of(events: list[Key]) -> list[Key]:
    """The Slack messages about the deployments of these events. A failure affects only one."""
    from chalicelib.slack import messages

    messages_of: list[Key] = []
    for pk in dict.fromkeys(pk for pk, _ in events):
        try:
            messages_of += messages.keys_for({identifier(pk)})
        except Exception:
            logger.exception("messages not found", extra={"pk": pk})
    return messages_of


def _of(kind: str, keys: list[Key]) -> list[Key]:
    return [key for key in keys if key[1].startswith(kind)]


def _by_receiver(keys: list[Key]) -> list[list[Key]]:
    return [list(each) for _, each in groupby(sorted(keys, key=lambda k: k[0]), lambda k: k[0])]
