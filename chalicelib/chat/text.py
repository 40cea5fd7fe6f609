"""Answers as plain text: what a person needs, and short.

The documents are the API's own (`api/answers.py`). Commands stand `within code marks`, after the
`prefix` that the chat has them typed with (`/slipway ` in Slack). What a
container or AWS wrote comes with any characters that it has: for Slack escape &, < and >.
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

Document = dict[str, Any]

# What a message of a chat can hold without being cut or folded.
MOST_LINES = 20
MOST_LINE = 300
MOST_LISTED = 50
MOST_MEANT = 5
# What a command that was accepted is doing, and about how many minutes that takes.
DOING = {
    "deploy": ("Deploying", 3),
    "update": ("Updating", 3),
    "scale": ("Scaling", 1),
    "pause": ("Pausing", 1),
    "resume": ("Resuming", 1),
    "rollback": ("Rolling back", 3),
    "retry": ("Trying again:", 3),
    "delete": ("Deleting", 3),
}
FIXES: dict[type[RequestRefused], str] = {
    NotFound: "`{prefix}list` names those that there are.",
    NameTaken: "`{prefix}list` names those that there are; name=… takes another name.",
    OperationInProgress: "`{prefix}status {reference}` tells how far it is.",
    InvalidState: "`{prefix}status {reference}` tells more.",
    ValidationFailed: (
        "Mend that and send the command again; `{prefix}help {verb}` tells what it takes."
    ),
}
SCALES_ITSELF = (
    "Where it scales by itself: `{prefix}update {reference} scaling.max=5` changes the bounds, and "
    "`{prefix}update {reference} scaling=none count=3` ends it."
)


def accepted(verb: str, deployment: Document, *, prefix: str = "") -> str:
    """A change has been accepted, or was done at once."""
    name = _named(deployment)
    if deployment["status"] == "DELETED":
        return f"{name} is deleted already. {_receipt(deployment)}"
    if verb == "extend":
        return f"{name} lives until {_moment(deployment['expires_at'])}."
    doing, minutes = DOING[verb]
    about = "about a minute" if minutes == 1 else f"about {minutes} minutes"
    takes = "" if verb == "delete" and _nothing_left(deployment) else f"It takes {about}; "
    # By the id once its name may soon be another's.
    ask = deployment["id"] if verb == "delete" else deployment["name"]
    return f"{doing} {name}. {takes}`{prefix}status {ask}` tells how far it is."


def status(deployment: Document, *, prefix: str = "") -> str:
    """How far a deployment is, what it costs, and why it failed."""
    lines = [_state(deployment)]
    if deployment["url"]:
        lines.append(f"URL: {deployment['url']}")
    if deployment["failure"]:
        lines += _failure(deployment, prefix)
    elif deployment["prediction"] and deployment["status"] == "ACTIVE":
        found = deployment["prediction"]
        answered = f"{found['status']} in {found['latency_ms']} ms"
        lines.append(f"Sample: GET {found['path']} was answered {answered}: {cut(found['sample'])}")
    cost = deployment["cost"]
    rate = f"USD {cost['usd_per_hour']:.4f} an hour, " if cost["usd_per_hour"] else ""
    lines.append(f"Cost: {rate}USD {cost['accrued_usd']:.2f} so far")
    is_gone = deployment["status"] == "FAILED" and _nothing_left(deployment)
    if deployment["expires_at"] and not deployment["deleted_at"] and not is_gone:
        lines.append(f"Expires: {_moment(deployment['expires_at'])}")
    return "\n".join(lines)


def listed(
    deployments: list[Document], *, more: bool, with_owner: bool = False, prefix: str = ""
) -> str:
    """A line each, newest first; `more` where there are others."""
    if not deployments:
        return f"There is no deployment. `{prefix}deploy <image>` makes one."
    lines = [_line(deployment, with_owner) for deployment in deployments]
    return "\n".join([*lines, *(["There are more, which are older."] if more else [])])


def logged(deployment: str, lines: list[Document]) -> str:
    """The last lines that fit, oldest first."""
    if not lines:
        return f"There is no line of {deployment}."
    shown = [f"{line['at'][11:19]} {cut(line['message'])}" for line in lines[-MOST_LINES:]]
    return "\n".join([f"The last lines of {deployment} (UTC):", *shown])


def refused(
    refusal: RequestRefused,
    verb: str,
    reference: str | None,
    near: list[str],
    *,
    prefix: str = "",
) -> str:
    """Why not, in the API's words with a line for each fault, and what to do.

    `near` are names or ids that the caller may have meant.
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
    """On one line, and no longer than a line should be."""
    flat = " ".join(text.split())
    return flat if len(flat) <= MOST_LINE else f"{flat[:MOST_LINE]}…"


def _named(deployment: Document) -> str:
    return f"{deployment['name']} ({deployment['id']})"


def _moment(text: str) -> str:
    """RFC 3339 as a person reads it."""
    return f"{text[:10]} {text[11:16]} UTC"


def _state(deployment: Document) -> str:
    state, operation = f"{_named(deployment)} is {deployment['status']}", deployment["operation"]
    if deployment["status"] == "DELETED":
        return f"{state} since {_moment(deployment['deleted_at'])}. {_receipt(deployment)}"
    if operation["status"] == "rolled_back":
        return f"{state}, but its {operation['kind']} failed and was rolled back."
    if operation["status"] != "running":
        return f"{state}."
    steps = [step for step in operation["steps"] if step["status"] == "running"]
    now = "; ".join(" ".join((s["name"], cut(s["message"]))).strip() for s in steps)
    return f"{state}: {operation['percent']} %" + (f", {now}" if now else "")


def _failure(deployment: Document, prefix: str) -> list[str]:
    failure = deployment["failure"]
    lines = [
        f"{failure['code']} in step {failure['step']}: {failure['message']}",
        f"What to do: {failure['hint']}",
    ]
    lines += [f"Left: {each['kind']} {each['name']}" for each in deployment["leftovers"]]
    if deployment["status"] == "DELETE_FAILED":
        lines.append(f"`{prefix}retry {deployment['name']}` tries again.")
    elif deployment["status"] == "FAILED":
        lines.append(
            f"`{prefix}retry {deployment['name']}` tries the very same again. For another image or "
            f"setting: `{prefix}delete {deployment['name']}`, then deploy again."
        )
    return lines


def _nothing_left(deployment: Document) -> bool:
    """Whether nothing was made, or all that was made is gone again."""
    return all(each["verified_gone"] for each in deployment["resources"])


def _receipt(deployment: Document) -> str:
    gone = sum(each["verified_gone"] for each in deployment["resources"])
    return f"{gone} of its {len(deployment['resources'])} resources are verified to be gone."


def _line(deployment: Document, with_owner: bool) -> str:
    operation, rate = deployment["operation"], deployment["cost"]["usd_per_hour"]
    percent = f"{operation['percent']} %" if operation["status"] == "running" else ""
    parts = (
        deployment["name"],
        f"({deployment['owner']}, {deployment['id']})" if with_owner else "",
        deployment["status"],
        percent,
        deployment["url"] or "",
        f"USD {rate:.4f}/h" if rate else "",
    )
    return " ".join(part for part in parts if part)
