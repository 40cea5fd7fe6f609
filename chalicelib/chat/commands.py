"""Runs a parsed command for a caller.

It calls the use cases that the API calls, so a command has the same rules, quotas, scopes and
error texts. Two things differ. An update changes only the named members of an object
(`environment`, `scaling`), but the API's PATCH replaces the object. And `logs` shows the last
lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.api import answers, resource
from chalicelib.chat import grammar, text
from chalicelib.chat.grammar import Command
from chalicelib.chat.options import nearest
from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import (
    AwsUnavailable,
    IdempotencyKeyInUse,
    NotFound,
    RequestRefused,
)
from chalicelib.platform import clock
from chalicelib.store import idempotency
from chalicelib.store.tokens import Caller
from chalicelib.usecases import changes, observation, reads
from chalicelib.usecases.access import require
from chalicelib.workflow.aws_errors import unavailable_if_transient

if TYPE_CHECKING:
    from chalicelib.resources.log_lines import Position

Document = dict[str, Any]
# How far back to look for the last lines, further if there are few. None is the creation.
WINDOWS = (timedelta(minutes=1), timedelta(minutes=15), timedelta(days=1), None)
MOST_PAGES = 5
LINES_A_PAGE = 1000


@dataclass(frozen=True)
class Reply:
    """The result of a command.

    Attributes:
        text: the reply for a person.
        deployment: the deployment as the API answers it, if the command was about one.
        verb: the verb of the command.
        refused: whether the command was refused; `text` says why, and what to do.
        deployments: the deployments of a list.
        lines: the log lines, oldest first: `{at, task, message}`.
    """

    text: str
    deployment: Document | None
    verb: str
    refused: bool = False
    deployments: list[Document] | None = None
    lines: list[Document] | None = None


def run(command: Command, caller: Caller, *, key: str | None = None, prefix: str = "") -> Reply:
    """Runs the command. A refusal is a reply. Raises `AwsUnavailable` if a retry may help.

    Args:
        key: identifies one command that changes something. If it runs twice with this key, the
            second run has no effect and returns the reply of the first.
        prefix: precedes each command that the reply names, as in `grammar.parse`.
    """
    try:
        with unavailable_if_transient():
            if read := READS.get(command.verb):
                return read(command, caller, prefix)
            return _change(command, caller, key, prefix)
    except IdempotencyKeyInUse as error:
        # Another run of this command is in progress, or it died.
        raise AwsUnavailable(error.detail, headers=error.headers) from error
    except AwsUnavailable:
        raise
    except RequestRefused as refusal:
        return _refused(refusal, command, caller, prefix)


def _refused(refusal: RequestRefused, command: Command, caller: Caller, prefix: str) -> Reply:
    near = _similar(command, caller) if isinstance(refusal, NotFound) else []
    words = text.refused(refusal, command.verb, command.reference, near, prefix=prefix)
    if isinstance(refusal, NotFound) and caller.is_admin:
        words += "\nTo name another owner's deployment, use its ID."
    return Reply(words, None, command.verb, refused=True)


# --- changes ---------------------------------------------------------------------------------


def _change(command: Command, caller: Caller, key: str | None, prefix: str) -> Reply:
    def work() -> idempotency.Result:
        deployment = CHANGES[command.verb](caller, command)
        return idempotency.Result({"body": resource.render(deployment, clock.now())})

    require(caller, changes.SCOPE)
    # Without a fingerprint, because the key belongs to this command alone.
    document = idempotency.once(caller.owner, key, None, work) if key else work().document
    shown = document["body"]
    return Reply(text.accepted(command.verb, shown, prefix=prefix), shown, command.verb)


def _deploy(caller: Caller, command: Command) -> Deployment:
    return changes.create(caller, command.body)


def _update(caller: Caller, command: Command) -> Deployment:
    return changes.update(caller, _reference(command), command.body, keep_members=True)[0]


def _extend(caller: Caller, command: Command) -> Deployment:
    return changes.extend(caller, _reference(command), command.body)


def _without_body(change: Callable[[Caller, str], Deployment]) -> Change:
    return lambda caller, command: change(caller, _reference(command))


def _reference(command: Command) -> str:
    return command.reference or ""


# --- reads -----------------------------------------------------------------------------------


def _status(command: Command, caller: Caller, prefix: str) -> Reply:
    if command.reference:
        deployment = reads.find(caller, command.reference)
        shown = resource.render(deployment, clock.now())
        return Reply(text.status(shown, prefix=prefix), shown, command.verb)
    listed = _list(command, caller, prefix)
    if listed.deployments is None or len(listed.deployments) != 1:
        return listed
    [only] = listed.deployments
    return Reply(text.status(only, prefix=prefix), only, command.verb)


def _list(command: Command, caller: Caller, prefix: str) -> Reply:
    page, after = reads.list_page(caller, limit=text.MOST_LISTED)
    moment = clock.now()
    shown = [resource.render(deployment, moment) for deployment in page]
    words = text.listed(shown, more=after is not None, with_owner=caller.is_admin, prefix=prefix)
    return Reply(words, None, command.verb, deployments=shown)


def _logs(command: Command, caller: Caller, prefix: str) -> Reply:
    reference = _reference(command)
    lines: list[Document] = []
    for window in WINDOWS:
        read, is_whole = _last_lines(reference, caller, window)
        # If the window has too many pages, the last lines that were read are not its last lines.
        lines = read if is_whole else lines or read
        if len(lines) >= text.MOST_LINES or not is_whole:
            break
    return Reply(text.logged(reference, lines), None, command.verb, lines=lines)


def _help(command: Command, caller: Caller, prefix: str) -> Reply:
    return Reply(grammar.help_text(command.reference, prefix), None, command.verb)


def _last_lines(
    reference: str, caller: Caller, window: timedelta | None
) -> tuple[list[Document], bool]:
    """The last lines that were read, and whether they are the last lines of the window.

    CloudWatch Logs is read from the oldest line on, and at most `MOST_PAGES` pages are read.
    """
    since = clock.now() - window if window else None
    position: Position | None = None
    last: list[Document] = []
    for _ in range(MOST_PAGES):
        page, position = observation.logs(
            caller, reference, limit=LINES_A_PAGE, since=since, position=position
        )
        shown = [answers.LogLine(**asdict(line)).document() for line in page[-text.MOST_LINES :]]
        last = [*last, *shown][-text.MOST_LINES :]
        if not page or position is None:
            return last, True
    return last, False


def _similar(command: Command, caller: Caller) -> list[str]:
    """What the caller may have meant by a name that does not exist: its most similar name.

    For an admin, the IDs of all deployments of other owners with that name.
    """
    try:
        with unavailable_if_transient():
            page, _ = reads.list_page(caller, limit=text.MOST_LISTED)
    except RequestRefused:  # the caller lacks the scope, or AWS is not available
        return []
    others = [each.id for each in page if each.name == command.reference]
    if others:
        return others[: text.MOST_MEANT]
    # An admin can name a deployment of another owner only by its ID.
    names = [each.name if each.owner == caller.owner else each.id for each in page]
    similar = nearest(command.reference or "", names)
    return [similar] if similar else []


Change = Callable[[Caller, Command], Deployment]
CHANGES: dict[str, Change] = {
    "deploy": _deploy,
    "update": _update,
    "scale": _update,
    "pause": _without_body(changes.pause),
    "resume": _without_body(changes.resume),
    "rollback": _without_body(changes.rollback),
    "retry": _without_body(changes.retry),
    "extend": _extend,
    "delete": _without_body(changes.delete),
}
READS: dict[str, Callable[[Command, Caller, str], Reply]] = {
    "status": _status,
    "list": _list,
    "logs": _logs,
    "help": _help,
}
