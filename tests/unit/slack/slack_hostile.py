"""Requests that Slack would not send, with their responses, for the test and its report.

`python -m tests.unit.slack.slack_hostile` writes the table of the report, `hostile-requests.md`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chalicelib.slack.endpoints import UNREADABLE
from tests.support import slack_request
from tests.support.project import ROOT
from tests.support.slack_request import (
    SIGNATURE,
    TIMESTAMP,
    Headers,
    command,
    interaction,
    press,
    sign,
)

COMMANDS, INTERACTIONS = "/slack/commands", "/slack/interactions"
PAGE = ROOT / "tests/unit/slack/hostile-requests.md"
BEGIN, END = (
    "<!-- hostile requests: made by python -m tests.unit.slack.slack_hostile -->",
    "<!-- end -->",
)
ID = "recommender-abcdef"
NOT_SIGNED = (401, "")
NO_WORD = (200, "")
IGNORED = (200, UNREADABLE)
# The text comes from the grammar.
HINT = (200, "the nearest valid command")


@dataclass(frozen=True)
class Hostile:
    """One request: its description, the response status, and the text that the user sees."""

    what: str
    answer: tuple[int, str]
    path: str
    body: bytes
    headers: Callable[[bytes], Headers]
    method: str = "POST"


def now(seconds: int = 0) -> str:
    return str(int(time.time()) + seconds)


def headers(form: str, seconds: int = 0) -> Callable[[bytes], Headers]:
    """A timestamp in this format, off by `seconds`, with the correct signature for it."""

    def made(body: bytes) -> Headers:
        timestamp = form.format(now=now(seconds))
        return [(TIMESTAMP, timestamp), (SIGNATURE, sign(body, timestamp))]

    return made


def respelled(change: Callable[[str], str]) -> Callable[[bytes], Headers]:
    """A correct signature that is then changed to another spelling."""

    def made(body: bytes) -> Headers:
        at = now()
        return [(TIMESTAMP, at), (SIGNATURE, change(sign(body, at)))]

    return made


def renamed(change: Callable[[Headers], Headers]) -> Callable[[bytes], Headers]:
    return lambda body: change(slack_request.signed(body))


# The sender does not know the secret, uses another time, or spells the signature differently.
UNSIGNED: dict[str, Callable[[bytes], Headers]] = {
    "no headers of Slack's": lambda body: [],
    "no timestamp": renamed(lambda sent: sent[1:]),
    "no signature": renamed(lambda sent: sent[:1]),
    "the timestamp twice": renamed(lambda sent: [sent[0], *sent]),
    "the signature twice": renamed(lambda sent: [*sent, sent[1]]),
    "the timestamp twice, in two spellings of its name": renamed(
        lambda sent: [(TIMESTAMP.lower(), "1"), *sent]
    ),
    "a wrong signature before the right one": renamed(
        lambda sent: [(SIGNATURE, "v0=" + "0" * 64), *sent]
    ),
    "two timestamps in one header": renamed(
        lambda sent: [(TIMESTAMP, f"1, {sent[0][1]}"), sent[1]]
    ),
    "a token of ours in place of a signature": lambda body: [("Authorization", "Bearer slw_x")],
    "an empty timestamp": headers(""),
    "a timestamp that is a word": headers("now"),
    "a negative timestamp": headers("-{now}"),
    "a timestamp with a fraction": headers("{now}.0"),
    "a timestamp with an exponent": headers("1e9"),
    "a timestamp with a plus sign": headers("+{now}"),
    "a timestamp with a space before it": headers(" {now}"),
    "a timestamp with a line feed after it": headers("{now}\n"),
    "a timestamp with underscores": headers("1_700_000_000"),
    "a timestamp in Arabic digits": headers("\u0661\u0667" + "\u0660" * 8),
    "a timestamp in superscript digits": headers("¹⁷"),
    "a timestamp in hexadecimal digits": headers("0x6925a1c0"),
    "a timestamp of 5000 digits": headers("9" * 5000),
    "a timestamp that is not a number (NaN)": headers("NaN"),
    "a timestamp in milliseconds": headers("{now}000"),
    "a timestamp of 1970": headers("0"),
    "signed six minutes ago": headers("{now}", -360),
    "signed six minutes ahead": headers("{now}", +360),
    "an empty signature": respelled(lambda s: ""),
    "a signature of another version": respelled(lambda s: s.replace("v0", "v1")),
    "a signature without a version": respelled(lambda s: s.removeprefix("v0=")),
    "a signature that is too short": respelled(lambda s: s[:-1]),
    "a signature that is too long": respelled(lambda s: s + "0"),
    "a signature in upper case": respelled(lambda s: "v0=" + s[3:].upper()),
    "a signature that is not ASCII": respelled(lambda s: s[:-1] + "é"),
    "a signature with a line feed after it": respelled(lambda s: s + "\n"),
    "a signature of zeros": respelled(lambda s: "v0=" + "0" * 64),
    "signed with another secret": lambda body: slack_request.signed(body, secret="0" * 32),
    "signed over another body": lambda body: slack_request.signed(body + b"&text=list"),
    "signed at another second": lambda body: [
        (TIMESTAMP, now()),
        (SIGNATURE, sign(body, now(-1))),
    ],
}
# Bodies that cannot be the signed body.
MANGLED: dict[str, bytes] = {
    "a body that is not UTF-8": b"user_id=U0ALICE&text=\xff\xfe",
    "a body in UTF-16": command().decode().encode("utf-16"),
    "a body in Latin-1": command().replace(b"list", b"mod\xe8le"),
}
# Correctly signed, by a broken Slack or by an attacker with the secret. The user gets a text or
# no text.
FORMS: dict[str, tuple[bytes, tuple[int, str]]] = {
    "no body": (b"", IGNORED),
    "JSON in place of a form": (json.dumps({"user_id": "U0ALICE"}).encode(), IGNORED),
    "no user": (command(user_id=""), IGNORED),
    "a user that is a path": (command(user_id="../admin"), IGNORED),
    "a user in small letters": (command(user_id="u0alice"), IGNORED),
    "a user of 5000 characters": (command(user_id="U" + "A" * 5000), IGNORED),
    "no channel": (command(channel_id=""), IGNORED),
    "a channel that is a key of the table": (command(channel_id="C0#RECORD"), IGNORED),
    "the user twice": (command() + b"&user_id=U0BOB", IGNORED),
    "the text twice": (command() + b"&text=delete+recommender", IGNORED),
    "1000 fields": (command() + b"&x=1" * 1000, IGNORED),
    "percent-encoded bytes that are not UTF-8": (command() + b"&z=%ff%fe", IGNORED),
    "percent-encoded halves of a surrogate pair": (command() + b"&z=%ed%a0%80", IGNORED),
    "percent signs with nothing behind": (command("%") + b"&z=%&y=%zz", HINT),
    "a NUL in the text": (command("delete\0 x"), HINT),
    "a text of a megabyte": (command("a" * 1_000_000), HINT),
    "a mention of everybody": (command("<!channel>"), HINT),
    "a check of the certificate (`ssl_check=1`)": (b"ssl_check=1&token=x", NO_WORD),
}
BUTTONS: dict[str, bytes] = {
    "no payload": b"x=1",
    "an empty payload": interaction(""),
    "two payloads": press("delete", ID) + b"&" + press("retry", ID),
    "a payload that is no JSON": interaction("{"),
    "a payload that is a list": interaction([1]),
    "a payload that is a number": interaction(7),
    "a payload that is null": interaction(None),
    "a payload that is NaN": interaction("NaN"),
    "a payload that is a number of 5000 digits": interaction("9" * 5000),
    "a payload 100,000 lists deep": interaction("[" * 100_000),
    "no type": press("delete", ID, type=None),
    "a type that is a list": press("delete", ID, type=["block_actions"]),
    "a shortcut": press("delete", ID, type="shortcut"),
    "a modal (view_submission)": press("delete", ID, type="view_submission"),
    "no user in the payload": press("delete", ID, user=None),
    "a user that is a text": press("delete", ID, user="U0ALICE"),
    "a user's id that is a number": press("delete", ID, user={"id": 7}),
    "half of a surrogate pair in the user's id": press("delete", ID, user={"id": "U\ud800"}),
    "no channel in the payload": press("delete", ID, channel=None),
    "no actions": press("delete", ID, actions=None),
    "no action in the list": press("delete", ID, actions=[]),
    "two actions": press("delete", ID, actions=[{"action_id": "delete", "value": ID}] * 2),
    "an action that is a text": press("delete", ID, actions=["delete"]),
    "a button that is not ours": press("approve", ID),
    "a button's id that is a list": press("delete", ID, actions=[{"action_id": ["delete"]}]),
    "a value that is no deployment's id": press("delete", "DEPLOYMENT#x"),
    "a value that is an object": press(
        "delete", ID, actions=[{"action_id": "delete", "value": {}}]
    ),
}


def requests() -> Iterator[Hostile]:
    """Every hostile request."""
    for what, made in UNSIGNED.items():
        yield Hostile(what, NOT_SIGNED, COMMANDS, command(), made)
    yield Hostile(
        "a button that is not signed",
        NOT_SIGNED,
        INTERACTIONS,
        press("delete", ID),
        UNSIGNED["no headers of Slack's"],
    )
    for what, body in MANGLED.items():
        yield Hostile(what, NOT_SIGNED, COMMANDS, body, slack_request.signed)
    for what, (body, answer) in FORMS.items():
        yield Hostile(what, answer, COMMANDS, body, slack_request.signed)
    for what, body in BUTTONS.items():
        yield Hostile(what, NO_WORD, INTERACTIONS, body, slack_request.signed)
    for path in (COMMANDS, INTERACTIONS):
        yield Hostile(f"GET {path}", (405, ""), path, b"", UNSIGNED["no headers of Slack's"], "GET")


def text_cell(answer: tuple[int, str]) -> str:
    if answer[0] != 200:
        return ""
    return f": {answer[1]}" if answer[1] else ", no text"


def table() -> str:
    """The table of the report."""
    rows = [f"| {each.what} | {each.answer[0]}{text_cell(each.answer)} |" for each in requests()]
    return "\n".join([BEGIN, "", "| request | answer |", "|---|---|", *rows, "", END])


def main() -> None:
    """Write the table."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + table() + rest.partition(END)[2])


if __name__ == "__main__":
    main()
