"""Parse a typed line into a command, or into a hint if it is mistyped.

The grammar is the same for Slack and for every other chat. The table of commands is in `verbs.py`,
the options (`field=value`) are in `options.py`. Quotes and the changes that chat programs make to a
line are in `words.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from chalicelib.chat import loose, options, words
from chalicelib.chat.options import Unclear
from chalicelib.chat.verbs import BY_SYNONYM, NEXT_IMAGE, VERBS, Verb
from chalicelib.chat.words import MOST_CHARACTERS, shown

MOST_HINT = 600
MOST_LEFT_OUT = 3
PROGRAM = "slipway"
MOST_NAME = 24
# Words that people type between an image and its name: `deploy <image> as recommender`.
FILLERS = ("as", "to", "for", "with", "and", "the", "name", "named", "called")


@dataclass(frozen=True)
class Command:
    """A valid command.

    Attributes:
        verb: one of `verbs.VERBS`.
        reference: the name or ID of the deployment; for `help`, the command to explain.
        body: the body for the API. It holds a spec for `deploy`, the changed fields for `update`
            and `scale`, and the `ttl` for `extend`. An object in it (`environment`, `scaling`) has
            only the parts that were typed.
    """

    verb: str
    reference: str | None = None
    body: dict[str, Any] | None = None


@dataclass(frozen=True)
class Misunderstanding:
    """What is wrong with a line, and the nearest valid command. Commands are between backquotes.

    The plain text repeats what the user typed. Escape &, < and > before sending it to Slack.
    """

    text: str


def parse(text: str, prefix: str = "") -> Command | Misunderstanding:
    """Parses a typed line. Never raises. An empty line means `help`.

    `prefix` is what users of the chat type before a command, such as `/slipway `. Hints show it.
    """
    if len(text) > MOST_CHARACTERS:
        return Misunderstanding(
            f"A command must have at most {MOST_CHARACTERS} characters, not {len(text)}.\n"
            f"For example: `{prefix}{VERBS['deploy'].example}`"
        )
    try:
        line = _without_program(words.split(text))
    except ValueError as error:
        return _hint(str(error), _without_program(words.split_roughly(text)), prefix)
    if not line:
        return Command("help")
    verb = VERBS.get(line[0].lower())
    if verb is None:
        return _hint(f"There is no command {shown(line[0])}.", line, prefix)
    try:
        return _read(verb, line[1:])
    except Unclear as unclear:
        usage = f" Usage: `{prefix}{unclear.usage}`." if unclear.usage else ""
        return _hint(f"{unclear}{usage}", unclear.suggestion or line, prefix)


def help_text(about: str | None = None, prefix: str = "") -> str:
    """One line for each command, or the help of one command. `prefix` as in `parse`."""
    verb = VERBS.get(about or "")
    if verb is None:
        return "\n".join(f"`{prefix}{each.usage}` {each.help}" for each in VERBS.values())
    lines = [
        f"`{prefix}{verb.usage}` {verb.help}",
        f"For example: `{prefix}{verb.example}`",
    ]
    if verb.fields:
        without = _without(verb)
        fields = [o for o in options.table().values() if o.kind != "object"]
        names = " ".join(f"{o.form}=…" for o in fields if o.name not in without)
        lines.append(f"Options: {names}")
        lines.append("Separate the items of a list with commas. `none` removes a value.")
    return "\n".join(lines)


def _read(verb: Verb, line: list[str]) -> Command:
    """The command of a verb and the words after it. Raises `Unclear`."""
    typed, fields = _partition(line)
    surplus = [*([] if verb.fields else fields), *typed[len(verb.arguments) :]]
    if surplus:
        raise Unclear(f"`{verb.name}` does not take {shown(surplus[0])}.", usage=verb.usage)
    for argument, word in zip(verb.arguments, typed, strict=False):
        if argument.rule and not argument.fits(word):
            raise Unclear(f"<{argument.name}> {argument.rule}, not {shown(word)}.")
    for argument in verb.arguments[len(typed) :]:
        if argument.required:
            raise Unclear(f"`{verb.name}` needs <{argument.name}>.", usage=verb.usage)
    if verb.name == "update" and fields == ["count=0"]:
        raise Unclear(options.NO_TASKS, suggestion=["pause", typed[0].lower()])
    return _command(verb, typed, options.read(fields, _without(verb)))


def _command(verb: Verb, typed: list[str], body: dict[str, Any]) -> Command:
    if verb.name == "deploy":
        image = re.sub(r"^https?://", "", typed[0])
        return Command("deploy", None, {"name": _name_of(image), "image": image, **body})
    # Names have no capitals, but phones capitalize the first letter.
    reference = typed[0].lower() if typed else None
    if verb.name == "scale":
        if int(typed[1]) == 0:
            raise Unclear(options.NO_TASKS, suggestion=["pause", typed[0].lower()])
        return Command("scale", reference, {"count": int(typed[1])})
    if verb.name == "extend":
        return Command("extend", reference, {"ttl": typed[1]})
    if verb.name == "update" and not body:
        raise Unclear("`update` needs an option to change.", usage=verb.usage)
    return Command(verb.name, reference, body or None)


def _partition(line: list[str]) -> tuple[list[str], list[str]]:
    """(positional words, `field=value` words)."""
    return [w for w in line if "=" not in w], [w for w in line if "=" in w]


def _without(verb: Verb) -> frozenset[str]:
    """The spec fields that the command takes as a positional argument."""
    return frozenset({"image"} if verb.name == "deploy" else ())


def _without_program(line: list[str]) -> list[str]:
    return line[1:] if line and line[0].lower().strip("/@:,") == PROGRAM else line


def _name_of(image: str) -> str:
    """A valid name made from the repository's name: `recommend-v2` for `team/Recommend_v2:1`."""
    repository = re.split("[:@]", image.rpartition("/")[2])[0]
    name = re.sub("[^a-z0-9]+", "-", repository.lower()).strip("-")
    # A name starts with a letter, and AWS reserves the prefix `internal-` of load balancer names.
    if not name[:1].isalpha() or name.split("-")[0] == "internal":
        name = f"app-{name}"
    return name[:MOST_NAME].strip("-")


# --- hints -----------------------------------------------------------------------------------


def _hint(fault: str, line: list[str], prefix: str) -> Misunderstanding:
    typed = line[0].lower() if line else ""
    if typed not in VERBS and len(line) > 1 and line[1].lower() in VERBS:  # `please deploy …`
        return _hint(fault, line[1:], prefix)
    similar = VERBS.get(options.nearest(typed, VERBS) or "")
    verb = VERBS.get(typed) or BY_SYNONYM.get(typed) or similar
    if verb is None:
        return Misunderstanding(f"{fault}\nTo see all commands: `{prefix}help`")
    meant = loose.joined(line[1:])
    arguments, fields, is_typed = _nearest(verb, typed, list(filter(words.is_typeable, meant)))
    if _stops_all_tasks(verb, arguments, meant):
        note = "" if options.NO_TASKS in fault else f"\n{options.NO_TASKS}"
        pause = words.typed(["pause", arguments[0].lower()])
        return Misunderstanding(f"{fault}{note}\nDid you mean `{prefix}{pause}`?")
    command, kept = _line([verb.name, *arguments], fields)
    if left := _left_out(meant, [*arguments, *kept], fault):
        fault = f"{fault}\nLeft out: {left}."
    if is_typed:
        return Misunderstanding(f"{fault}\nDid you mean `{prefix}{command}`?")
    return Misunderstanding(f"{fault}\nFor example: `{prefix}{command}`")


def _stops_all_tasks(verb: Verb, arguments: list[str], meant: list[str]) -> bool:
    """Whether the only change is a count of 0, in any syntax: `scale rec --count 0`."""
    if verb.name not in ("scale", "update"):
        return False
    changes = [word for word in meant if "=" in word] or arguments[1:]
    return [word.removeprefix("count=") for word in changes] == ["0"]


def _left_out(meant: list[str], suggested: list[str], fault: str) -> str:
    """The typed words that are neither in the suggested command nor in the text of the fault."""
    values = {word.partition("=")[2] or word for word in suggested}
    left = [
        shown(word)
        for word in meant
        if (word.partition("=")[2] or word) not in values
        and word.lower() not in FILLERS
        and shown(word) not in fault
        and not ("=" in word and shown(word.partition("=")[0]) in fault)
    ]
    more = f" and {len(left) - MOST_LEFT_OUT} more" if len(left) > MOST_LEFT_OUT else ""
    return ", ".join(left[:MOST_LEFT_OUT]) + more


def _nearest(verb: Verb, typed_verb: str, line: list[str]) -> tuple[list[str], list[str], bool]:
    """The arguments and options of a valid command, and whether it has only typed words."""
    typed, fields = _partition(line)
    kept = _corrected(fields, verb) if verb.fields else []
    is_typed = all(_value_of(word) in " ".join(fields) for word in kept)
    # `scale recommender count=3`, `deploy image=…`: the value may be the missing argument.
    dropped = fields if not verb.fields else [w for w in fields if w.startswith("image=")]
    candidates = typed + [word.partition("=")[2] for word in dropped]
    arguments = []
    for argument in verb.arguments:
        word = next((each for each in candidates if argument.fits(each)), None)
        if word is None and argument.name == "command":
            word = next(filter(None, (options.nearest(each, VERBS) for each in candidates)), None)
        if word is None and argument.required:
            word, is_typed = argument.example, False
        arguments += [word] if word else []
    spare = [each for each in typed if each not in arguments and each.lower() not in FILLERS]
    # Options without a value, such as `environment.MODE`.
    bare = {each: options.completed(each, _without(verb)) for each in spare if verb.fields}
    if any(bare.values()):
        completed = _corrected([*fields, *filter(None, bare.values())], verb)
        kept, is_typed = completed, is_typed and len(completed) == len(kept)
    if verb.name == "deploy" and not any(word.startswith("name=") for word in kept):
        names = (word for word in candidates if _could_be_name(word) and not bare.get(word))
        kept += [f"name={word}" for word in names][:1]
    if verb.name == "update" and not kept:
        changes_image = typed_verb in ("redeploy", "upgrade")
        kept, is_typed = [f"image={NEXT_IMAGE}" if changes_image else "count=2"], False
    return arguments, kept, is_typed


def _value_of(word: str) -> str:
    return word.partition("=")[2]


def _corrected(fields: list[str], verb: Verb) -> list[str]:
    """The valid options among `fields`, corrected where possible, each once."""
    valid: list[str] = []
    for word in fields:
        option = options.corrected(word, _without(verb))
        if option and words.is_typeable(option):
            try:
                options.read([*valid, option], _without(verb))
            except Unclear:
                continue
            valid.append(option)
    return valid


def _could_be_name(word: str) -> bool:
    return word.lower() not in FILLERS and VERBS["status"].arguments[0].fits(word)


def _line(command: list[str], fields: list[str]) -> tuple[str, list[str]]:
    """The command with as many of the options as fit into a hint, and these options."""
    line = words.typed(command)
    kept: list[str] = []
    for word in fields:
        longer = words.typed([*command, *kept, word])
        if len(longer) > MOST_HINT:
            break
        line, kept = longer, [*kept, word]
    return line, kept
