"""A command done for a caller, through the API's own operations.

So its rules, quotas, scopes and sentences are the API's. What a command adds: of an object
(`environment`, `scaling`) an update changes the parts that were named and keeps the others, where
the API's PATCH replaces the field; and the logs that it shows are the last.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.api import idempotency
from chalicelib.api.answer import Answer
from chalicelib.api.requests import MEDIA_TYPE, Request
from chalicelib.api.route import Operation
from chalicelib.chat import grammar, text
from chalicelib.chat.grammar import Command
from chalicelib.chat.options import nearest
from chalicelib.domain.errors import (
    AwsUnavailable,
    IdempotencyKeyInUse,
    NotFound,
    PreconditionFailed,
    RequestRefused,
)
from chalicelib.routes import OPERATIONS
from chalicelib.store.tokens import Caller

BY_NAME = {operation.name: operation for operation in OPERATIONS}
# How far back to look for the last lines: further where they are few; None is from the creation.
WINDOWS = ("1m", "15m", "1d", None)
MOST_PAGES = 5
LINES_A_PAGE = 1000
# Somebody else changed the deployment between the look and the change.
ATTEMPTS = 3


@dataclass(frozen=True)
class Reply:
    """What came of a command.

    Attributes:
        text: for a person.
        deployment: the deployment as the API answers it, where the command was about one.
        verb: the command's.
        refused: the command was not done; `text` says why, and what to do.
        deployments: of a list.
        lines: of logs, oldest first: `{at, task, message}`.
    """

    text: str
    deployment: dict[str, Any] | None
    verb: str
    refused: bool = False
    deployments: list[dict[str, Any]] | None = None
    lines: list[dict[str, Any]] | None = None


def run(command: Command, caller: Caller, *, key: str | None = None, prefix: str = "") -> Reply:
    """Does the command. A refusal is a reply; raises `AwsUnavailable` where another try may help.

    `key` is the Idempotency-Key of a command that changes something: run twice with it, the second
    has the reply of the first. (A delete needs none: it is the same however often.)
    `prefix` stands before each command that the reply names, as in `grammar.parse`.
    """
    look = LOOKS.get(command.verb)
    try:
        if look:
            return look(command, caller, prefix)
        return _change(command, caller, key, prefix)
    except IdempotencyKeyInUse as error:
        # Its other run, of which nobody knows yet whether it lives.
        raise AwsUnavailable(error.detail, headers=error.headers) from error
    except AwsUnavailable:
        raise
    except RequestRefused as refusal:
        near = _meant(command, caller) if isinstance(refusal, NotFound) else []
        told = text.refused(refusal, command.verb, command.reference, near, prefix=prefix)
        if isinstance(refusal, NotFound) and caller.is_admin:
            told += "\nAn admin names another owner's deployment by its id."
        return Reply(told, None, command.verb, refused=True)


def _change(command: Command, caller: Caller, key: str | None, prefix: str) -> Reply:
    operation = CHANGES[command.verb]
    answer = _ask(operation, caller, command.reference, body=command.body, key=key)
    told = text.accepted(command.verb, answer.body, prefix=prefix)
    return Reply(told, answer.body, command.verb)


def _status(command: Command, caller: Caller, prefix: str) -> Reply:
    if command.reference:
        found = _ask(BY_NAME["get_deployment"], caller, command.reference).body
        return Reply(text.status(found, prefix=prefix), found, command.verb)
    listed = _list(command, caller, prefix)
    if listed.deployments is None or len(listed.deployments) != 1:
        return listed
    [only] = listed.deployments
    return Reply(text.status(only, prefix=prefix), only, command.verb)


def _list(command: Command, caller: Caller, prefix: str) -> Reply:
    page = _page(caller)
    found, more = page["deployments"], page["next_cursor"] is not None
    told = text.listed(found, more=more, with_owner=caller.is_admin, prefix=prefix)
    return Reply(told, None, command.verb, deployments=found)


def _logs(command: Command, caller: Caller, prefix: str) -> Reply:
    reference = command.reference or ""
    lines: list[dict[str, Any]] = []
    for window in WINDOWS:
        found, is_whole = _last_lines(reference, caller, window)
        # Of a longer time than can be read the last that were read are old.
        lines = found if is_whole else lines or found
        if len(lines) >= text.MOST_LINES or not is_whole:
            break
    return Reply(text.logged(reference, lines), None, command.verb, lines=lines)


def _help(command: Command, caller: Caller, prefix: str) -> Reply:
    return Reply(grammar.help_text(command.reference, prefix), None, command.verb)


def _last_lines(
    reference: str, caller: Caller, since: str | None
) -> tuple[list[dict[str, Any]], bool]:
    """The last lines, and whether they are: the API reads on from the oldest, and only a few pages
    are asked for."""
    query = {"limit": [str(LINES_A_PAGE)], **({"since": [since]} if since else {})}
    last: list[dict[str, Any]] = []
    for _ in range(MOST_PAGES):
        page = _ask(BY_NAME["list_log_lines"], caller, reference, query=query).body
        last = [*last, *page["lines"]][-text.MOST_LINES :]
        if not page["lines"] or page["next_cursor"] is None:
            return last, True
        query = {"limit": [str(LINES_A_PAGE)], "cursor": [page["next_cursor"]]}
    return last, False


def _page(caller: Caller) -> dict[str, Any]:
    query = {"limit": [str(text.MOST_LISTED)]}
    page: dict[str, Any] = _ask(BY_NAME["list_deployments"], caller, query=query).body
    return page


def _meant(command: Command, caller: Caller) -> list[str]:
    """The nearest of the caller's names to one that is not found; of an admin also the ids of all
    that others call so."""
    try:
        found = _page(caller)["deployments"]
    except RequestRefused:  # no scope to look, or not now
        return []
    others = [each["id"] for each in found if each["name"] == command.reference]
    if others:
        return others[: text.MOST_MEANT]
    # An admin finds another owner's by its id alone.
    names = [each["name" if each["owner"] == caller.owner else "id"] for each in found]
    near = nearest(command.reference or "", names)
    return [near] if near else []


def _update(request: Request, reference: str) -> Answer:
    """The PATCH of an update; an object that was named in part is completed from what it is now."""
    typed = request.json()
    for attempt in range(ATTEMPTS):
        headers, body = dict(request.headers), dict(typed)
        if any(isinstance(value, dict) for value in typed.values()):
            found = BY_NAME["get_deployment"].handler(replace(request, headers={}), reference)
            headers["If-Match"] = found.headers["ETag"]
            spec = found.body["spec"]
            for name, value in typed.items():
                if isinstance(value, dict):
                    body[name] = {**(spec.get(name) or {}), **value}
        sent = json.dumps(body).encode()
        try:
            return _UPDATE.handler(replace(request, headers=headers, body=sent), reference)
        except PreconditionFailed:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _ask(
    operation: Operation,
    caller: Caller,
    *segments: str | None,
    body: dict[str, Any] | None = None,
    query: dict[str, list[str]] | None = None,
    key: str | None = None,
) -> Answer:
    """The operation's answer, as it is over HTTP."""
    values = [each for each in segments if each is not None]
    request = Request(
        caller=caller,
        path=operation.path.format(deployment=values[0] if values else ""),
        headers={"Content-Type": MEDIA_TYPE, **({idempotency.HEADER: key} if key else {})},
        query=query or {},
        body=b"" if body is None else json.dumps(body).encode(),
        method=operation.method,
    )
    return operation.carry_out(request, *values)


_UPDATE = BY_NAME["update_deployment"]
_PART_BY_PART = replace(_UPDATE, handler=_update)
CHANGES: dict[str, Operation] = {
    "deploy": BY_NAME["create_deployment"],
    "update": _PART_BY_PART,
    "scale": _PART_BY_PART,
    "pause": BY_NAME["pause_deployment"],
    "resume": BY_NAME["resume_deployment"],
    "rollback": BY_NAME["rollback_deployment"],
    "retry": BY_NAME["retry_deployment"],
    "extend": BY_NAME["extend_deployment"],
    "delete": BY_NAME["delete_deployment"],
}
LOOKS: dict[str, Callable[[Command, Caller, str], Reply]] = {
    "status": _status,
    "list": _list,
    "logs": _logs,
    "help": _help,
}
