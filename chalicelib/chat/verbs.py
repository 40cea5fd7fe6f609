"""The commands that there are, a row each: parsing, help and hints come from it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.domain import naming
from chalicelib.domain.digits import is_number
from chalicelib.domain.spec import time_to_live

SAMPLE_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/recommend:1"
NEXT_IMAGE = SAMPLE_IMAGE.replace(":1", ":2")


@dataclass(frozen=True)
class Argument:
    """A word at a place of its own.

    Attributes:
        name: what it is called in the usage.
        example: one that fits.
        fits: whether a word looks like one.
        rule: what it must be, where a word that does not fit is refused here; else "", and the API
            says what is wrong with it.
    """

    name: str
    example: str
    fits: Callable[[str], bool]
    rule: str = ""
    required: bool = True

    @property
    def usage(self) -> str:
        return f"<{self.name}>" if self.required else f"[{self.name}]"


@dataclass(frozen=True)
class Verb:
    """A command.

    Attributes:
        help: what it does, in a line.
        arguments: the words that it takes, in their order.
        fields: how the usage shows the fields of the spec that it takes; "" where it takes none.
        example: a whole command.
        also: what people type and mean this.
    """

    name: str
    help: str
    arguments: tuple[Argument, ...] = ()
    fields: str = ""
    example: str = ""
    also: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        parts = [self.name, *(argument.usage for argument in self.arguments)]
        return " ".join([*parts, self.fields] if self.fields else parts)


def _is_name(word: str) -> bool:
    known = (naming.NAME_PATTERN, naming.ID_PATTERN)
    return any(re.fullmatch(pattern, word.lower()) for pattern in known)


def _is_image(word: str) -> bool:
    return "/" in word or ":" in word


def _is_duration(word: str) -> bool:
    try:
        time_to_live.parse(word)
    except ValueError:
        return False
    return True


def _is_verb(word: str) -> bool:
    return word.lower() in VERBS


NAME = Argument("name", "recommender", _is_name)
ONE_NAME = (NAME,)
IMAGE = Argument("image", SAMPLE_IMAGE, _is_image)
TASKS = Argument("n", "3", is_number, "must be a number of tasks")
DURATION = Argument("duration", "8h", _is_duration, time_to_live.RULE)
ANY_NAME = Argument("name", "recommender", _is_name, required=False)
ANY_VERB = Argument("command", "deploy", _is_verb, "must be a command", required=False)

_ROWS = (
    Verb(
        "deploy",
        "Deploys an image. Without name= it has the image's.",
        (IMAGE,),
        "[name=… port=… ttl=…]",
        # What the sample model needs to pass: it answers `GET /` with 400.
        f"deploy {SAMPLE_IMAGE} name=recommender ttl=8h "
        "health_check.path=/health smoke_test.path=/?uid=20",
        ("create", "launch", "run", "new", "up", "install"),
    ),
    Verb(
        "update",
        "Changes it, without dropping requests.",
        ONE_NAME,
        "[image=… count=… …]",
        f"update recommender image={NEXT_IMAGE}",
        ("change", "set", "patch", "edit", "upgrade", "redeploy"),
    ),
    Verb(
        "status",
        "How far it is, its URL and its cost. Without a name: of the only one, or the list.",
        (ANY_NAME,),
        example="status recommender",
        also=("get", "show", "info", "describe", "state", "url", "cost", "tasks"),
    ),
    Verb("list", "The deployments that there are.", example="list", also=("ls", "ps", "all")),
    Verb(
        "scale",
        "Runs so many tasks.",
        (NAME, TASKS),
        example="scale recommender 3",
        also=("resize", "count"),
    ),
    Verb(
        "pause",
        "Takes the tasks away and keeps the URL.",
        ONE_NAME,
        example="pause recommender",
        also=("stop", "suspend", "sleep", "halt"),
    ),
    Verb(
        "resume",
        "Lets a paused one serve again.",
        ONE_NAME,
        example="resume recommender",
        also=("start", "unpause", "continue", "wake"),
    ),
    Verb(
        "rollback",
        "Goes back to what served before.",
        ONE_NAME,
        example="rollback recommender",
        also=("undo", "revert", "back"),
    ),
    Verb(
        "retry",
        "Goes on with one that failed.",
        ONE_NAME,
        example="retry recommender",
        also=("again", "repeat"),
    ),
    Verb(
        "extend",
        "Lets it live so long from now on.",
        (NAME, DURATION),
        example="extend recommender 8h",
        also=("prolong", "ttl", "keep"),
    ),
    Verb(
        "logs",
        "The last lines that it wrote.",
        ONE_NAME,
        example="logs recommender",
        also=("tail", "output"),
    ),
    Verb(
        "delete",
        "Takes it away, with all that belongs to it.",
        ONE_NAME,
        example="delete recommender",
        also=("rm", "remove", "destroy", "kill", "undeploy", "terminate", "down", "teardown"),
    ),
    Verb(
        "help",
        "The commands, or all about one.",
        (ANY_VERB,),
        example="help deploy",
        also=("?", "commands", "usage", "man"),
    ),
)
VERBS: dict[str, Verb] = {verb.name: verb for verb in _ROWS}
MEANT: dict[str, Verb] = {word: verb for verb in _ROWS for word in verb.also}
