"""The courier: tells subscribers and Slack what has happened to deployments.

Woken by the table's stream as events are written, and every minute for what came due since. What it
does not get done, or dies over, stays due for the next sweep.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Any

from chalicelib.platform import aws, shared_secrets
from chalicelib.platform.clock import now
from chalicelib.platform.observability import logger
from chalicelib.store import work
from chalicelib.store.keys import DELIVERY, EVENT, MESSAGE, identifier

Key = tuple[str, str]
# The function is ended after 60 s (.chalice/config.json); the rest is for clocks that differ.
LEASE = timedelta(seconds=70)
# Nothing is begun later: a delivery takes 10 s, and a few writes to the table.
BEGUN_WITHIN = timedelta(seconds=40)
# To one receiver in a run, however many wait and however slowly it answers: others are due, too.
TURN = timedelta(seconds=10)
# Each message and each receiver has one at a time, and they wait for others' answers: so many that
# a hundred who do not answer keep nobody from one.
THREADS = aws.CONNECTIONS


def run(event: dict[str, Any]) -> dict[str, Any]:
    """Does what the event's items ask for, or what is due where the event is a schedule's.

    A job that fails is logged, and its lease runs out: it fails no other. Raises where AWS lets
    nothing be done at all; Lambda runs it again then.

    Args:
        event: of the table's stream (`Records`), or of EventBridge's schedule.

    Returns:
        `{"woken": how many items woke it, "done": how many jobs it did}`, as logged.
    """
    for service in ("dynamodb", "ssm"):
        aws.client(service)  # threads may share a client, and not make one
    # Without them nobody can be told: better now, before anything is claimed.
    shared_secrets.get(shared_secrets.WEBHOOK_SECRETS)
    until = now() + BEGUN_WITHIN
    woken = work.woken_by(event)
    if woken:
        # An event that is not published asks for nothing but its messages.
        keys = [(item["pk"], item["sk"]) for item in woken if "worker" in item]
        done = _round(keys, [(item["pk"], item["sk"]) for item in woken], set(), until)
    else:
        done = _sweep(until)
    told = {"woken": len(woken), "done": done}
    logger.info("courier ran", extra=told)
    return told


def _sweep(until: datetime) -> int:
    """What is due, a hundred at a time, as long as there is time for it."""
    done, served = 0, set[str]()
    # All of it: however much is due to one who does not answer, the others stand behind it.
    due = work.all_due(work.COURIER)
    while now() < until and (keys := list(islice(due, work.MOST_AT_ONCE))):
        done += _round(keys, keys, served, until)
    return done


def _round(keys: list[Key], told_of: list[Key], served: set[str], until: datetime) -> int:
    """Fans the events out, then does all deliveries and messages at once; how many jobs it did.

    Args:
        told_of: the events among these are those that messages are to tell of.
        served: the receivers that had their turn in this run, or did not answer; more are added.
    """
    # Before an event ends: one that is still due has its messages looked for again.
    messages = dict.fromkeys([*_of(MESSAGE, keys), *_messages_of(_of(EVENT, told_of))])
    with ThreadPoolExecutor(THREADS) as slack, ThreadPoolExecutor(THREADS) as pool:
        told = [slack.submit(_job, key, until, _tell) for key in messages]
        fanned = [pool.submit(_job, key, until, _fan_out) for key in _of(EVENT, keys)]
        made = [key for each in fanned for key in each.result()[1] or ()]
        due = _by_receiver([*_of(DELIVERY, keys), *made])
        sent = [pool.submit(_send, each, served, until) for each in due]
        jobs = sum(each.result()[0] for each in (*told, *fanned))
        return jobs + sum(each.result() for each in sent)


def _job(key: Key, until: datetime, do: Callable[[work.Claim], Any]) -> tuple[int, Any]:
    """Claims an item and does it, where it is due and time is left: 1, else 0, and what it gave.

    Never raises.
    """
    try:
        claim = work.claim(*key, LEASE) if now() < until else None
        return (1, do(claim)) if claim else (0, None)
    except Exception:
        logger.exception("job of the courier failed", extra={"pk": key[0], "sk": key[1]})
        return 1, None


def _send(keys: list[Key], served: set[str], until: datetime) -> int:
    """The deliveries to one receiver, one after another, as long as it answers and for one turn.

    So it holds up nobody for longer than a turn and a call: the rest is the next sweep's.
    """
    done, over = 0, now() + TURN
    for key in keys:
        if key[0] in served:
            break
        count, answered = _job(key, until, _deliver)
        done += count
        if answered is False or now() >= over:
            served.add(key[0])
    return done


def _fan_out(claim: work.Claim) -> list[Key]:
    # Only here: most functions that import the app send nothing.
    from chalicelib.webhooks.fan_out import fan_out

    return fan_out(claim)


def _deliver(claim: work.Claim) -> bool:
    from chalicelib.webhooks import dispatch

    return dispatch.deliver(claim)


def _tell(claim: work.Claim) -> None:
    from chalicelib.slack import notifier

    notifier.notify(claim)


def _messages_of(events: list[Key]) -> list[Key]:
    """The Slack messages about the deployments of these events. One that fails fails no other."""
    from chalicelib.slack import messages

    found: list[Key] = []
    for pk in dict.fromkeys(pk for pk, _ in events):
        try:
            found += messages.keys_for({identifier(pk)})
        except Exception:
            logger.exception("messages not found", extra={"pk": pk})
    return found


def _of(kind: str, keys: list[Key]) -> list[Key]:
    return [key for key in keys if key[1].startswith(kind)]


def _by_receiver(keys: list[Key]) -> list[list[Key]]:
    return [list(each) for _, each in groupby(sorted(keys, key=lambda k: k[0]), lambda k: k[0])]
