"""Explain why ECS starts no task, from the events of the service.

ECS leaves out an event that it wrote within the last six hours:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages.html
"""

from __future__ import annotations

import re
from collections import Counter

from chalicelib.domain.spec.spec import Spec
from chalicelib.workflow.diagnosis.known_texts import known_text, service_events, stopped_reasons
from chalicelib.workflow.diagnosis.known_texts.known_text import KnownText
from chalicelib.workflow.diagnosis.stopped_tasks import unrecognized, verdict_of
from chalicelib.workflow.diagnosis.verdict import Verdict

_UNABLE = re.compile(r"\b(?:unable to (?:place|launch|start)|failed to launch) ", re.IGNORECASE)
_ANY_UNABLE = re.compile(r"\bunable to ", re.IGNORECASE)
_WRAPPED = re.compile(r"\(error (?P<error>.*)\)\.?$|\bReason: (?P<reason>.*)$", re.DOTALL)


def judge_events(
    messages: list[str], spec: Spec, *, is_last: bool = False, is_ending: bool = False
) -> Verdict | None:
    """Why no task starts; None if the events do not say it, or may change.

    Args:
        messages: the service events since the operation began, newest first.
        is_last: no task has run, and Slipway will not wait longer. Then one event is enough, and
            the newest "unable to ..." is quoted if no row recognizes it.
        is_ending: a task is stopping. It will show the reason that an event already has, with
            more evidence.
    """
    rows = [(row, said) for said in messages if (row := _row(said))]
    if is_ending:
        rows = [(row, said) for row, said in rows if row in service_events.TEXTS]
    counts = Counter(id(row) for row, _ in rows)
    for row, said in rows:
        if is_last or counts[id(row)] >= _needed(row):
            return verdict_of(row, said, spec)
    unable = _first(_UNABLE, messages) or _first(_ANY_UNABLE, messages)
    return unrecognized(_reason(unable)) if is_last and unable else None


def _first(pattern: re.Pattern[str], messages: list[str]) -> str:
    return next((said for said in messages if pattern.search(known_text.plain(said))), "")


def _row(said: str) -> KnownText | None:
    text = known_text.plain(said)
    return stopped_reasons.find(text) if _UNABLE.search(text) else None


def _needed(row: KnownText) -> int:
    if row in service_events.TEXTS:
        return row.needed
    return 1 if row.final else service_events.ATTEMPTS


def _reason(event: str) -> str:
    """The reason in `(service x) was unable to place a task. Reason: ...`."""
    found = _WRAPPED.search(event)
    return (found["error"] or found["reason"] or event) if found else event
