"""The message about an operation: its progress, and its result.

Built from the API's document of a deployment (`api/answers.py`).
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from slack_sdk.models.blocks import Block

from chalicelib.domain.parts import IN_EVIDENCE, SAMPLE_BYTES
from chalicelib.slack import inbox, layout, mrkdwn, progress
from chalicelib.slack.layout import Message

RETRY = "retry"
LOG_LINES = 10  # from the failure's evidence
MOST_LEFTOVERS = 6
# kind of operation -> title while it runs, when it has succeeded, when it has failed
VERBS = {
    "create": ("Deploying", "Deployed", "Deploy failed:"),
    "update": ("Updating", "Updated", "Update failed:"),
    "rollback": ("Rolling back", "Rolled back", "Rollback failed:"),
    "pause": ("Pausing", "Paused", "Pause failed:"),
    "resume": ("Resuming", "Resumed", "Resume failed:"),
    "repair": ("Repairing", "Repaired", "Repair failed:"),
    "delete": ("Deleting", "Deleted", "Delete failed:"),
}


def operation(
    deployment: dict[str, Any],
    asked_by: str | None,
    now: datetime,
    *,
    superseded_by: str | None = None,
    withdrawn: bool = False,
) -> Message:
    """The message about a deployment's operation at `now`.

    Args:
        deployment: the API's document; the message is about its `operation`.
        asked_by: the ID of a Slack user, or a name; None if the operation was not started in Slack.
        superseded_by: the kind of the newer operation that replaced this one. `deployment` is then
            the last known state of this one.
        withdrawn: the operation could not start. `deployment` is then its last known state.
    """
    current, heading = deployment["operation"], title(deployment)
    parts: list[Block | None]
    if superseded_by:
        heading = f"{heading} (superseded by {superseded_by})"
        parts = [layout.section(progress.steps(current["steps"]))]
    elif withdrawn:
        parts = [layout.section("The operation did not start because AWS was not available.")]
    elif current["status"] == "running":
        parts = [*_running(deployment, now), *failure(deployment)]
    elif current["status"] == "succeeded":
        is_delete = current["kind"] == "delete"
        parts = _receipt(deployment) if is_delete else _serving(deployment)
    else:
        parts = _unsuccessful(deployment)
    is_running = current["status"] == "running" and not superseded_by
    text = f"{heading}: {current['percent']} %{_of_what(deployment)}" if is_running else heading
    requested = f"requested by {mrkdwn.mention(asked_by)}" if asked_by else None
    small = context(deployment, requested, _duration(current))
    return layout.message(text, [layout.header(heading), *parts, small])


def title(deployment: dict[str, Any]) -> str:
    """What an operation does to which deployment, or its result."""
    current, name = deployment["operation"], deployment["name"]
    kind = current["kind"]
    running, done, failed = VERBS.get(kind, (kind, f"{kind} done:", "Failed:"))
    match current["status"]:
        case "running" if _is_going_back(deployment):
            is_rollback = any(step["name"].startswith("rollback_") for step in current["steps"])
            return f"{failed} {name}, {'rolling back' if is_rollback else 'cleaning up'}"
        case "running":
            return f"{running} {name}"
        case "succeeded":
            return f"{done} {name}"
        case "rolled_back":
            return f"{failed} {name}, rolled back"
        case "cancelled":
            return f"{running} {name}: cancelled"
        case _:
            return f"{failed} {name}"


def progress_bar(deployment: dict[str, Any]) -> str:
    """The bar and the percentage of a running operation."""
    percent = deployment["operation"]["percent"]
    return f"{progress.bar(percent)}  *{percent} %*{_of_what(deployment)}"


def _of_what(deployment: dict[str, Any]) -> str:
    # Without this, the percentage could look like that of the rollback or cleanup alone.
    return " of all steps" if _is_going_back(deployment) else ""


def _is_going_back(deployment: dict[str, Any]) -> bool:
    """Whether a running operation has failed and is being rolled back or cleaned up."""
    return bool(deployment["failure"]) and deployment["operation"]["kind"] != "delete"


def _running(deployment: dict[str, Any], now: datetime) -> list[Block | None]:
    current = deployment["operation"]
    elapsed = (now - layout.time(current["started_at"])).total_seconds()
    return [
        layout.section(f"{progress_bar(deployment)}  {mrkdwn.duration(elapsed)}"),
        layout.section(progress.steps(current["steps"])),
    ]


def _serving(deployment: dict[str, Any]) -> list[Block | None]:
    if deployment["status"] == "PAUSED":
        url = mrkdwn.link(deployment["url"]) if deployment["url"] else "The URL"
        pause = "returns 503 with code `PAUSED` until you resume the deployment"
        return [layout.section(f"No tasks run. {url} {pause}.")]
    return [
        layout.section(f"*{mrkdwn.link(deployment['url'])}*") if deployment["url"] else None,
        *_prediction(deployment),
    ]


def _prediction(deployment: dict[str, Any]) -> list[Block | None]:
    prediction = deployment["prediction"]
    if not prediction:
        return []
    sample = prediction["sample"]
    cut = "…" if len(sample.encode(errors="replace")) >= SAMPLE_BYTES else ""
    method = deployment["spec"]["smoke_test"]["method"]
    request = mrkdwn.code(f"{method} {prediction['path']}", 300)
    result = f"{prediction['status']} in {prediction['latency_ms']} ms"
    return [
        layout.section(f"{request} returned {result}:"),
        layout.section(mrkdwn.code_block(f"{sample}{cut}", 2000)) if sample else None,
    ]


def _receipt(deployment: dict[str, Any]) -> list[Block | None]:
    gone = [each for each in deployment["resources"] if each["verified_gone"]]
    kinds = Counter(each["kind"].replace("_", " ") for each in gone)
    names = ", ".join(layout.count(n, kind) if n > 1 else kind for kind, n in kinds.items())
    cost = f"Total cost: ${deployment['cost']['accrued_usd']:.2f}."
    return [
        layout.section(f"*{layout.count(len(gone), 'resource')} verified gone.* {cost}"),
        layout.section(mrkdwn.line(names)) if names else None,
        leftovers(deployment),
    ]


def _unsuccessful(deployment: dict[str, Any]) -> list[Block | None]:
    is_rolled_back = deployment["operation"]["status"] == "rolled_back"
    version = "The previous version" if is_rolled_back else "The deployment"
    serves = deployment["status"] == "ACTIVE" and deployment["url"]
    can_retry = deployment["status"] in ("FAILED", "DELETE_FAILED")
    return [
        *failure(deployment),
        leftovers(deployment),
        layout.section(f"{version} serves at {mrkdwn.link(deployment['url'])}") if serves else None,
        next_steps(deployment),
        layout.buttons(layout.button("Retry", RETRY, deployment["id"], "primary"))
        if can_retry
        else None,
    ]


def next_steps(deployment: dict[str, Any]) -> Block | None:
    """The commands for a FAILED deployment."""
    if deployment["status"] != "FAILED":
        return None
    retry, update = (
        mrkdwn.code(f"{inbox.PREFIX}{command}")
        for command in (
            f"retry {deployment['name']}",
            f"update {deployment['name']} image=… port=…",
        )
    )
    return layout.section(
        f"To retry with the same image and settings: {retry}. To deploy again with other "
        f"settings: {update}"
    )


def failure(deployment: dict[str, Any]) -> list[Block | None]:
    """Why the operation failed, what to do about it, and the last log lines."""
    fault = deployment["failure"]
    if not fault:
        return []
    step = mrkdwn.code(fault["step"], 60)
    return [reason(fault, f" in {step}"), log_lines(fault)]


def reason(fault: dict[str, Any], where: str = "") -> Block | None:
    """Why something failed, and what to do about it. `where` follows the code."""
    advice = fault["hint"].replace(IN_EVIDENCE, "below")
    hint = f"\n*What to do:* {mrkdwn.line(advice, 1000)}" if fault["hint"] else ""
    code = mrkdwn.code(fault["code"], 60)
    return layout.section(f"{code}{where}\n{mrkdwn.quoted(fault['message'], 1500)}{hint}")


def log_lines(fault: dict[str, Any]) -> Block | None:
    """The last log lines in the evidence of a failure."""
    lines = fault.get("evidence", {}).get("log_lines")
    if not isinstance(lines, list) or not lines:
        return None
    return layout.section(mrkdwn.newest_lines([str(each) for each in lines[-LOG_LINES:]], 2000))


def leftovers(deployment: dict[str, Any]) -> Block | None:
    """The resources that a teardown could not delete, and why."""
    left = deployment["leftovers"]
    if not left:
        return None
    lines = [
        f"• {mrkdwn.code(each['name'], 100)} ({mrkdwn.line(each['kind'].replace('_', ' '), 60)}): "
        f"{mrkdwn.line(each['reason'], 200)}"
        for each in left[:MOST_LEFTOVERS]
    ]
    more = [f"… and {len(left) - MOST_LEFTOVERS} more"] if len(left) > MOST_LEFTOVERS else []
    return layout.section(
        "\n".join([f"*{layout.count(len(left), 'resource')} not deleted:*", *lines, *more])
    )


def context(deployment: dict[str, Any], *first: str | None) -> Block:
    """The small print: `first`, then ID, image, price and expiry of the deployment."""
    parts = [
        *first,
        mrkdwn.code(deployment["id"]),
        mrkdwn.code(_without_registry(deployment["image"]["reference"]), 400),
        price(deployment),
        _expiry(deployment),
    ]
    return layout.small("  |  ".join(part for part in parts if part))


def _without_registry(reference: str) -> str:
    """`recommend:1` for `<registry>/recommend:1`, because a registry's name fills a line."""
    return reference.partition("/")[2] or reference


def _duration(operation: dict[str, Any]) -> str:
    if not operation["finished_at"]:
        return ""
    duration = layout.time(operation["finished_at"]) - layout.time(operation["started_at"])
    return f"took {mrkdwn.duration(duration.total_seconds())}"


def price(deployment: dict[str, Any]) -> str:
    """The price per hour; empty if the deployment costs nothing."""
    usd = deployment["cost"]["usd_per_hour"]
    return f"${usd:.4f}/h" if usd else ""


def _expiry(deployment: dict[str, Any]) -> str:
    """When the deployment expires; empty if it never does, or if nothing is left of it."""
    is_deleted = deployment["status"] in ("DELETING", "DELETED")
    if not deployment["expires_at"] or not deployment["cost"]["usd_per_hour"] or is_deleted:
        return ""
    return f"expires {mrkdwn.moment(layout.time(deployment['expires_at']))}"


def content(deployment: dict[str, Any], asked_by: str | None, **more: Any) -> list[dict[str, Any]]:
    """The blocks of the operation's message, independent of the elapsed time."""
    started = layout.time(deployment["operation"]["started_at"])
    return operation(deployment, asked_by, started, **more).blocks
