"""Replies to commands as short plain text.

They are made from the API's answers (`api/answers.py`). Commands are between backquotes and start
with the `prefix` that users of the chat type (`/slipway ` in Slack). Text from a container or from
AWS is not escaped. Escape &, < and > before sending it to Slack.
"""

from __future__ import annotations

from typing import Any

from chalicelib.domain.errors import (
    InvalidState,
    NameTaken,
    NotFound,
    OperationInProgress,
    RequestRefused,
    ValidationFailed,
)
from chalicelib.domain.health import UNHEALTHY

Document = dict[str, Any]

# A chat message of this size is neither cut nor folded.
MOST_LINES = 20
MOST_LINE = 300
MOST_LISTED = 50
MOST_MEANT = 5
# verb -> (what an accepted command does, about how many minutes that takes)
DOING = {
    "deploy": ("Deploying", 3),
    "update": ("Updating", 3),
    "scale": ("Scaling", 1),
    "pause": ("Pausing", 1),
    "resume": ("Resuming", 1),
    "rollback": ("Rolling back", 3),
    "retry": ("Retrying", 3),
    "delete": ("Deleting", 3),
}
FIXES: dict[type[RequestRefused], str] = {
    NotFound: "To see your deployments: `{prefix}list`",
    NameTaken: (
        "Use the option name=… to choose another name. To see your deployments: `{prefix}list`"
    ),
    OperationInProgress: "To see its progress: `{prefix}status {reference}`",
    InvalidState: "To see the details: `{prefix}status {reference}`",
    ValidationFailed: (
        "Correct this and send the command again. To see the options: `{prefix}help {verb}`"
    ),
}
SCALES_ITSELF = (
    "The deployment uses autoscaling. To change its bounds: `{prefix}update {reference} "
    "scaling.max=5`. To turn autoscaling off: `{prefix}update {reference} scaling=none count=3`"
)


def accepted(verb: str, deployment: Document, *, prefix: str = "") -> str:
    """The reply to a change that was accepted, or that is already done."""
    name = _named(deployment)
    if deployment["status"] == "DELETED":
        return f"{name} is already deleted. {_receipt(deployment)}"
    if verb == "extend":
        return f"{name} now expires at {_moment(deployment['expires_at'])}."
    if verb in ("update", "scale") and deployment["operation"]["status"] != "running":
        return f"{name} already has these settings. Nothing was changed."
    # A change of a FAILED deployment creates it again.
    is_create = verb in ("update", "scale") and deployment["status"] == "CREATING"
    doing, minutes = DOING["deploy" if is_create else verb]
    about = "about a minute" if minutes == 1 else f"about {minutes} minutes"
    takes = "" if verb == "delete" and _all_gone(deployment) else f" This takes {about}."
    # The ID after a delete, because the name may soon belong to another deployment.
    reference = deployment["id"] if verb == "delete" else deployment["name"]
    return f"{doing} {name}.{takes} To see the progress: `{prefix}status {reference}`"


def status(deployment: Document, *, prefix: str = "") -> str:
    """The status of a deployment: progress, URL, failure and cost."""
    lines = [_state(deployment)]
    if deployment["url"]:
        lines.append(f"URL: {deployment['url']}")
    if deployment["failure"]:
        lines += _failure(deployment, prefix)
    elif deployment["prediction"] and deployment["status"] == "ACTIVE":
        prediction = deployment["prediction"]
        result = f"{prediction['status']} in {prediction['latency_ms']} ms"
        request = f"{deployment['spec']['smoke_test']['method']} {prediction['path']}"
        lines.append(f"Sample: {request} returned {result}: {cut(prediction['sample'])}")
    lines += _health(deployment)
    cost = deployment["cost"]
    rate = f"USD {cost['usd_per_hour']:.4f} per hour, " if cost["usd_per_hour"] else ""
    lines.append(f"Cost: {rate}USD {cost['accrued_usd']:.2f} so far")
    is_gone = deployment["status"] == "FAILED" and _all_gone(deployment)
    if deployment["expires_at"] and not deployment["deleted_at"] and not is_gone:
        lines.append(f"Expires: {_moment(deployment['expires_at'])}")
    return "\n".join(lines)


def listed(
    deployments: list[Document], *, more: bool, with_owner: bool = False, prefix: str = ""
) -> str:
    """One line for each deployment, newest first. `more`: whether there are older ones."""
    if not deployments:
        return f"There are no deployments. To create one: `{prefix}deploy <image>`"
    lines = [_line(deployment, with_owner) for deployment in deployments]
    return "\n".join([*lines, *(["Older deployments are not shown."] if more else [])])


def logged(deployment: str, lines: list[Document]) -> str:
    """The last log lines that fit, oldest first."""
    if not lines:
        return f"{deployment} has no log lines."
    shown = [f"{line['at'][11:19]} {cut(line['message'])}" for line in lines[-MOST_LINES:]]
    return "\n".join([f"The last log lines of {deployment} (times in UTC):", *shown])


def refused(
    refusal: RequestRefused,
    verb: str,
    reference: str | None,
    near: list[str],
    *,
    prefix: str = "",
) -> str:
    """Why the API refused a command, with one line for each fault, and what to do.

    `near` are names or IDs that the caller may have meant.
    """
    lines = [f"{fault['field']} {fault['message']}" for fault in refusal.errors]
    lines = lines or [refusal.detail]
    if near:
        lines.append(f"Did you mean {' or '.join(f'`{each}`' for each in near)}?")
    elif verb == "scale" and any("scaling" in each["message"] for each in refusal.errors):
        lines.append(SCALES_ITSELF.format(prefix=prefix, reference=reference))
    elif fix := FIXES.get(type(refusal)):
        lines.append(fix.format(prefix=prefix, verb=verb, reference=reference))
    return "\n".join(lines)


def cut(text: str) -> str:
    """The text on one line, cut to MOST_LINE characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= MOST_LINE else f"{flat[:MOST_LINE]}…"


def _named(deployment: Document) -> str:
    return f"{deployment['name']} ({deployment['id']})"


def _moment(text: str) -> str:
    """An RFC 3339 timestamp for people."""
    return f"{text[:10]} {text[11:16]} UTC"


def _state(deployment: Document) -> str:
    state, operation = f"{_named(deployment)} is {deployment['status']}", deployment["operation"]
    if deployment["status"] == "DELETED":
        return f"{state} (since {_moment(deployment['deleted_at'])}). {_receipt(deployment)}"
    if operation["status"] == "rolled_back":
        return f"{state}, but its {operation['kind']} failed and was rolled back."
    if operation["status"] != "running":
        return f"{state}."
    steps = [step for step in operation["steps"] if step["status"] == "running"]
    now = "; ".join(" ".join((s["name"], cut(s["message"]))).strip() for s in steps)
    return f"{state}: {operation['percent']} %" + (f", {now}" if now else "")


def _health(deployment: Document) -> list[str]:
    """Whether the tasks serve, and why not; nothing if that is not checked."""
    health = deployment["health"]
    if not health:
        return []
    running = "?" if health["running"] is None else health["running"]
    state = f"Health: {health['status']}, {running} of {health['wanted']} tasks serve"
    failure = health["failure"]
    if not failure:
        return [state]
    return [
        f"{state}, since {_moment(health['since'])}",
        f"{failure['code']}: {failure['message']}",
        f"What to do: {failure['hint']}",
    ]


def _failure(deployment: Document, prefix: str) -> list[str]:
    failure = deployment["failure"]
    lines = [
        f"{failure['code']} in step {failure['step']}: {failure['message']}",
        f"What to do: {failure['hint']}",
    ]
    lines += [
        f"Not deleted: {each['kind']} {each['name']} ({cut(each['reason'])})"
        for each in deployment["leftovers"]
    ]
    retry = f"`{prefix}retry {deployment['name']}`"
    if deployment["status"] == "DELETE_FAILED":
        lines.append(f"To retry: {retry}")
    elif deployment["status"] == "FAILED":
        update = f"`{prefix}update {deployment['name']} image=… port=…`"
        lines.append(
            f"To retry with the same image and settings: {retry}. To deploy again with other "
            f"settings: {update}"
        )
    return lines


def _all_gone(deployment: Document) -> bool:
    """Whether no resource was created, or every created resource is verified gone."""
    return all(each["verified_gone"] for each in deployment["resources"])


def _receipt(deployment: Document) -> str:
    gone = sum(each["verified_gone"] for each in deployment["resources"])
    return f"{gone} of {len(deployment['resources'])} resources verified gone."


def _line(deployment: Document, with_owner: bool) -> str:
    operation, rate = deployment["operation"], deployment["cost"]["usd_per_hour"]
    percent = f"{operation['percent']} %" if operation["status"] == "running" else ""
    parts = (
        deployment["name"],
        f"({deployment['owner']}, {deployment['id']})" if with_owner else "",
        deployment["status"],
        _bad_health(deployment),
        percent,
        deployment["url"] or "",
        f"USD {rate:.4f}/h" if rate else "",
    )
    return " ".join(part for part in parts if part)


def _bad_health(deployment: Document) -> str:
    """`down` or `degraded`, or nothing."""
    status = (deployment["health"] or {}).get("status", "")
    return status if status in UNHEALTHY else ""
