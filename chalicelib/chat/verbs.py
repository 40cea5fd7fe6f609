"""The table of commands. Parsing, help and hints are derived from it."""

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
    """A positional argument of a command.

    Attributes:
        name: its name in the usage.
        example: a valid value.
        fits: whether a word looks like a value.
        rule: the error text for a word that does not fit. If it is "", the API validates the word.
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
        help: what it does, in one line.
        arguments: its positional arguments, in order.
        fields: how the usage shows the spec fields that it takes; "" if it takes none.
        example: a complete command.
        synonyms: words that people type for this command. They are not commands themselves.
    """

    name: str
    help: str
    arguments: tuple[Argument, ...] = ()
    fields: str = ""
    example: str = ""
    synonyms: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        parts = [self.name, *(argument.usage for argument in self.arguments)]
        return " ".join([*parts, self.fields] if self.fields else parts)


def _is_name(word: str) -> bool:
    patterns = (naming.NAME_PATTERN, naming.ID_PATTERN)
    return any(re.fullmatch(pattern, word.lower()) for pattern in patterns)


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
TASKS = Argument("n", "3", is_number, "must be a whole number of tasks")
DURATION = Argument("duration", "8h", _is_duration, time_to_live.RULE)
ANY_NAME = Argument("name", "recommender", _is_name, required=False)
ANY_VERB = Argument("command", "deploy", _is_verb, "must be a command", required=False)

_ROWS = (
    Verb(
        "deploy",
        "Deploys an image. Without name=, the name comes from the image.",
        (IMAGE,),
        "[name=… port=… ttl=…]",
        # The sample model needs these paths, because it returns 400 for `GET /`.
        f"deploy {SAMPLE_IMAGE} name=recommender ttl=8h "
        "health_check.path=/health smoke_test.path=/?uid=20",
        ("create", "launch", "run", "new", "up", "install"),
    ),
    Verb(
        "update",
        "Changes a deployment without dropping requests.",
        ONE_NAME,
        "[image=… count=… …]",
        f"update recommender image={NEXT_IMAGE}",
        ("change", "set", "patch", "edit", "upgrade", "redeploy"),
    ),
    Verb(
        "status",
        "Shows progress, URL and cost. Without a name: your only deployment, or the list.",
        (ANY_NAME,),
        example="status recommender",
        synonyms=("get", "show", "info", "describe", "state", "url", "cost", "tasks"),
    ),
    Verb("list", "Lists your deployments.", example="list", synonyms=("ls", "ps", "all")),
    Verb(
        "scale",
        "Sets the number of tasks.",
        (NAME, TASKS),
        example="scale recommender 3",
        synonyms=("resize", "count"),
    ),
    Verb(
        "pause",
        "Stops all tasks and keeps the URL.",
        ONE_NAME,
        example="pause recommender",
        synonyms=("stop", "suspend", "sleep", "halt"),
    ),
    Verb(
        "resume",
        "Resumes a paused deployment.",
        ONE_NAME,
        example="resume recommender",
        synonyms=("start", "unpause", "continue", "wake"),
    ),
    Verb(
        "rollback",
        "Rolls back to the version that was ACTIVE before.",
        ONE_NAME,
        example="rollback recommender",
        synonyms=("undo", "revert", "back"),
    ),
    Verb(
        "retry",
        "Retries a failed deployment.",
        ONE_NAME,
        example="retry recommender",
        synonyms=("again", "repeat"),
    ),
    Verb(
        "extend",
        "Sets a new time to live, counted from now.",
        (NAME, DURATION),
        example="extend recommender 8h",
        synonyms=("prolong", "ttl", "keep"),
    ),
    Verb(
        "logs",
        "Shows the last log lines.",
        ONE_NAME,
        example="logs recommender",
        synonyms=("tail", "output"),
    ),
    Verb(
        "delete",
        "Deletes a deployment and all its AWS resources.",
        ONE_NAME,
        example="delete recommender",
        synonyms=("rm", "remove", "destroy", "kill", "undeploy", "terminate", "down", "teardown"),
    ),
    Verb(
        "help",
        "Lists all commands, or explains one command.",
        (ANY_VERB,),
        example="help deploy",
        synonyms=("?", "commands", "usage", "man"),
    ),
)
VERBS: dict[str, Verb] = {verb.name: verb for verb in _ROWS}
BY_SYNONYM: dict[str, Verb] = {word: verb for verb in _ROWS for word in verb.synonyms}
