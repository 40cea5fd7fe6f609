"""The message about an incident: a deployment became unhealthy after it was ACTIVE.

There is one message for each incident, and it is updated. So a deployment that flaps changes one
message, and does not fill a channel.
"""

from __future__ import annotations

from typing import Any

from slack_sdk.models.blocks import Block

from chalicelib.domain.health import UNHEALTHY, HealthStatus, Incident
from chalicelib.slack import inbox, layout, mrkdwn
from chalicelib.slack.layout import Message
from chalicelib.slack.operation_message import context, log_lines, reason


def incident(deployment: dict[str, Any], trouble: Incident) -> Message:
    """The message about an incident as it is now.

    Args:
        deployment: the API's document.
        trouble: the incident in its record.
    """
    if deployment["health"] is None:
        return _ended(deployment, trouble)
    if trouble.recovered_at:
        return _recovered(deployment, trouble)
    heading = f"{deployment['name']} is {deployment['health']['status']}"
    times = _times(trouble)
    return layout.message(
        heading,
        [
            layout.header(heading),
            *health(deployment),
            layout.section(times) if times else None,
            layout.section(mrkdwn.link(deployment["url"])) if deployment["url"] else None,
            layout.section(_cost(deployment)),
            context(deployment),
        ],
    )


def health(deployment: dict[str, Any]) -> list[Block | None]:
    """How many tasks serve, and why the others do not. Nothing if that is not checked."""
    found = deployment["health"]
    if not found:
        return []
    if found["status"] not in UNHEALTHY:
        is_known = found["running"] is not None
        serving = f"{found['status']}, {_serving(found)}" if is_known else "not checked yet"
        return [layout.section(f"Health: {serving}.")]
    since = mrkdwn.moment(layout.time(found["since"]))
    failure = found["failure"]
    # A deployment that flaps must be steady before its status improves.
    is_better = found["running"] == found["wanted"] or (
        found["status"] == HealthStatus.DOWN and found["running"]
    )
    now = " now, but not steadily" if is_better else ""
    return [
        layout.section(f"{_serving(found)}{now}. It has been {found['status']} since {since}."),
        *([reason(failure), log_lines(failure)] if failure else []),
    ]


def _recovered(deployment: dict[str, Any], trouble: Incident) -> Message:
    assert trouble.recovered_at
    heading = f"{deployment['name']} has recovered"
    at, took = trouble.recovered_at, trouble.recovered_at - trouble.started_at
    lasted = mrkdwn.duration(took.total_seconds())
    text = (
        f"{_serving(deployment['health'])}. It recovered {mrkdwn.moment(at)}, {lasted} after it "
        f"became unhealthy. {_times(trouble)}"
    )
    why = trouble.failure
    return layout.message(
        heading,
        [
            layout.header(heading),
            layout.section(text),
            reason(why.model_dump(mode="json")) if why else None,
            context(deployment),
        ],
    )


def _ended(deployment: dict[str, Any], trouble: Incident) -> Message:
    """The caller, or an operation, has ended the incident: no tasks should serve any more."""
    heading = f"{deployment['name']} was unhealthy and is now {deployment['status']}"
    why = trouble.failure
    return layout.message(
        heading,
        [
            layout.header(heading),
            reason(why.model_dump(mode="json")) if why else None,
            context(deployment),
        ],
    )


def _serving(found: dict[str, Any]) -> str:
    return f"{found['running']} of {found['wanted']} tasks serve"


def _times(trouble: Incident) -> str:
    if trouble.times == 1:
        return ""
    since = mrkdwn.moment(trouble.started_at)
    return f"It has become unhealthy {trouble.times} times since {since}."


def _cost(deployment: dict[str, Any]) -> str:
    usd, logs = deployment["cost"]["usd_per_hour"], f"{inbox.PREFIX}logs {deployment['name']}"
    cost = f"It still costs ${usd:.4f} per hour. " if usd else ""
    return f"{cost}To see its logs: {mrkdwn.code(logs)}"
