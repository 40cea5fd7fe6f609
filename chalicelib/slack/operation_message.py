"""The message of an operation: how far it is, and what came of it.

Built from a deployment as the API shows it (`api/answers.py`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from slack_sdk.models.blocks import Block

from chalicelib.domain.parts import IN_EVIDENCE, SAMPLE_BYTES
from chalicelib.slack import inbox, layout, mrkdwn, progress
from chalicelib.slack.layout import Message

RETRY = "retry"
LOG_LINES = 10  # of a failure's evidence
MOST_LEFTOVERS = 6
# kind of operation -> while it runs, when it is done, when it failed
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
    """The message of a deployment's operation, as it stands.

    Args:
        deployment: as the API shows it; `operation` says what to tell of.
        asked_by: Slack's id of a user, or a name; None where nobody of Slack's did.
        superseded_by: the kind of the operation that came after this one, where `deployment` is
            what was last known of it.
        withdrawn: it could not be started, and `deployment` is what was last known of it.
    """
    under_way, named = deployment["operation"], title(deployment)
    shown: list[Block | None]
    if superseded_by:
        named = f"{named} (superseded by {superseded_by})"
        shown = [layout.section(progress.steps(under_way["steps"]))]
    elif withdrawn:
        shown = [layout.section("AWS was not available: it could not be started.")]
    elif under_way["status"] == "running":
        shown = [*_running(deployment, now), *failure(deployment)]
    elif under_way["status"] == "succeeded":
        is_delete = under_way["kind"] == "delete"
        shown = _receipt(deployment) if is_delete else _serving(deployment)
    else:
        shown = _ended_badly(deployment)
    is_running = under_way["status"] == "running" and not superseded_by
    text = f"{named}: {under_way['percent']} %{counted(deployment)}" if is_running else named
    asked = f"asked for by {mrkdwn.mention(asked_by)}" if asked_by else None
    small = context(deployment, asked, _took(under_way))
    return layout.message(text, [layout.header(named), *shown, small])


def title(deployment: dict[str, Any]) -> str:
    """What is being done to which deployment, or came of it."""
    under_way = deployment["operation"]
    running, done, failed = VERBS.get(
        under_way["kind"], (under_way["kind"], f"{under_way['kind']} done:", "Failed:")
    )
    name = deployment["name"]
    match under_way["status"]:
        case "running" if deployment["failure"] and under_way["kind"] != "delete":
            back = any(step["name"].startswith("rollback_") for step in under_way["steps"])
            return f"{failed} {name}, {'going back' if back else 'cleaning up'}"
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


def counted(deployment: dict[str, Any]) -> str:
    """What the percent counts, where one could think that it is the way back alone."""
    goes_back = deployment["failure"] and deployment["operation"]["kind"] != "delete"
    return " of all steps" if goes_back else ""


def _running(deployment: dict[str, Any], now: datetime) -> list[Block | None]:
    under_way = deployment["operation"]
    elapsed = (now - layout.time(under_way["started_at"])).total_seconds()
    told = f"{progress.bar(under_way['percent'])}  *{under_way['percent']} %*{counted(deployment)}"
    return [
        layout.section(f"{told}  {mrkdwn.duration(elapsed)}"),
        layout.section(progress.steps(under_way["steps"])),
    ]


def _serving(deployment: dict[str, Any]) -> list[Block | None]:
    if deployment["status"] == "PAUSED":
        url = mrkdwn.link(deployment["url"]) if deployment["url"] else "its URL"
        return [
            layout.section(f"No task runs; {url} answers that it is paused until it is resumed.")
        ]
    return [
        layout.section(f"*{mrkdwn.link(deployment['url'])}*") if deployment["url"] else None,
        *_prediction(deployment),
    ]


def _prediction(deployment: dict[str, Any]) -> list[Block | None]:
    found = deployment["prediction"]
    if not found:
        return []
    sample = found["sample"]
    cut = "…" if len(sample.encode(errors="replace")) >= SAMPLE_BYTES else ""
    asked = mrkdwn.code(f"GET {found['path']}", 300)
    return [
        layout.section(f"{asked} answered {found['status']} in {found['latency_ms']} ms:"),
        layout.section(mrkdwn.code_block(f"{sample}{cut}", 2000)) if sample else None,
    ]


def _receipt(deployment: dict[str, Any]) -> list[Block | None]:
    gone = [each for each in deployment["resources"] if each["verified_gone"]]
    kinds: dict[str, int] = {}
    for each in gone:
        kind = each["kind"].replace("_", " ")
        kinds[kind] = kinds.get(kind, 0) + 1
    named = ", ".join(layout.count(n, kind) if n > 1 else kind for kind, n in kinds.items())
    cost = f"It cost ${deployment['cost']['accrued_usd']:.2f}."
    return [
        layout.section(f"*{layout.count(len(gone), 'resource')} verified gone.* {cost}"),
        layout.section(mrkdwn.line(named)) if named else None,
        leftovers(deployment),
    ]


def _ended_badly(deployment: dict[str, Any]) -> list[Block | None]:
    under_way = deployment["operation"]
    serves = deployment["status"] == "ACTIVE" and deployment["url"]
    before = "The version before serves" if under_way["status"] == "rolled_back" else "It serves"
    can_retry = deployment["status"] in ("FAILED", "DELETE_FAILED")
    return [
        *failure(deployment),
        leftovers(deployment),
        layout.section(f"{before}: {mrkdwn.link(deployment['url'])}") if serves else None,
        way_on(deployment),
        layout.buttons(layout.button("Retry", RETRY, deployment["id"], "primary"))
        if can_retry
        else None,
    ]


def way_on(deployment: dict[str, Any]) -> Block | None:
    """What else than `retry` there is for one that failed: no update can mend it."""
    if deployment["status"] != "FAILED":
        return None
    retry, delete = (
        mrkdwn.code(f"{inbox.PREFIX}{verb} {deployment['name']}") for verb in ("retry", "delete")
    )
    return layout.section(
        f"{retry} tries the very same again. For another image or setting: {delete}, then deploy "
        "again."
    )


def failure(deployment: dict[str, Any]) -> list[Block | None]:
    """Why the operation failed, what can be done about it, and the last log lines."""
    found = deployment["failure"]
    if not found:
        return []
    code, step = mrkdwn.code(found["code"], 60), mrkdwn.code(found["step"], 60)
    advice = found["hint"].replace(IN_EVIDENCE, "below")
    hint = f"\n*What to do:* {mrkdwn.line(advice, 1000)}" if found["hint"] else ""
    told = layout.section(f"{code} in {step}\n{mrkdwn.quoted(found['message'], 1500)}{hint}")
    return [told, _log_lines(deployment)]


def _log_lines(deployment: dict[str, Any]) -> Block | None:
    evidence = (deployment["failure"] or {}).get("evidence", {})
    lines = evidence.get("log_lines")
    if not isinstance(lines, list) or not lines:
        return None
    return layout.section(mrkdwn.newest_lines([str(each) for each in lines[-LOG_LINES:]], 2000))


def leftovers(deployment: dict[str, Any]) -> Block | None:
    """What a teardown could not remove, and why."""
    left = deployment["leftovers"]
    if not left:
        return None
    told = [
        f"• {mrkdwn.code(each['name'], 100)} ({mrkdwn.line(each['kind'].replace('_', ' '), 60)}): "
        f"{mrkdwn.line(each['reason'], 200)}"
        for each in left[:MOST_LEFTOVERS]
    ]
    more = [f"… and {len(left) - MOST_LEFTOVERS} more"] if len(left) > MOST_LEFTOVERS else []
    return layout.section(
        "\n".join([f"*{layout.count(len(left), 'resource')} left:*", *told, *more])
    )


def context(deployment: dict[str, Any], *first: str | None) -> Block:
    """Which one, of what, at which price and until when, in small letters; `first` before that."""
    told = [
        *first,
        mrkdwn.code(deployment["id"]),
        mrkdwn.code(_without_registry(deployment["image"]["reference"]), 400),
        price(deployment),
        until(deployment),
    ]
    return layout.small("  |  ".join(each for each in told if each))


def _without_registry(reference: str) -> str:
    """`recommend:1` of `<registry>/recommend:1`: a registry's name is a line long."""
    return reference.partition("/")[2] or reference


def _took(under_way: dict[str, Any]) -> str:
    if not under_way["finished_at"]:
        return ""
    taken = layout.time(under_way["finished_at"]) - layout.time(under_way["started_at"])
    return f"took {mrkdwn.duration(taken.total_seconds())}"


def price(deployment: dict[str, Any]) -> str:
    """Per hour; nothing where it costs nothing."""
    usd = deployment["cost"]["usd_per_hour"]
    return f"${usd:.4f}/h" if usd else ""


def until(deployment: dict[str, Any]) -> str:
    """When it is torn down by itself; nothing where it is going already, or gone."""
    going = deployment["status"] in ("DELETING", "DELETED")
    if not deployment["expires_at"] or not deployment["cost"]["usd_per_hour"] or going:
        return ""
    return f"until {mrkdwn.moment(layout.time(deployment['expires_at']))}"


def content(deployment: dict[str, Any], asked_by: str | None, **more: Any) -> list[dict[str, Any]]:
    """What the message of an operation says apart from how long it has taken."""
    started = layout.time(deployment["operation"]["started_at"])
    return operation(deployment, asked_by, started, **more).blocks
