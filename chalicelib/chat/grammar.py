"""The grammar of the commands: a typed line in, a command or a hint out.

The same for Slack and for every other chat. The table of commands is in `verbs.py`, their
`field=value` in `options.py`, quotes and what chat programs make of a line in `words.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from chalicelib.chat import options, words
from chalicelib.chat.options import Unclear
from chalicelib.chat.verbs import MEANT, NEXT_IMAGE, VERBS, Verb
from chalicelib.chat.words import MOST_CHARACTERS, shown

MOST_HINT = 600
PROGRAM = "slipway"
MOST_NAME = 24
# Between an image and its name: `deploy <image> as recommender`.
FILLERS = ("as", "to", "for", "with", "and", "the", "name", "named", "called")


@dataclass(frozen=True)
class Command:
    """What to do.

    Attributes:
        verb: one of `verbs.VERBS`.
        reference: the name or id of the deployment; of `help` the command that it is about.
        body: what the API takes as the body: of deploy a spec, of update and scale the fields that
            change, of extend the `ttl`. An object in it (`environment`, `scaling`) has the parts
            that were named, and no more.
    """

    verb: str
    reference: str | None = None
    body: dict[str, Any] | None = None


@dataclass(frozen=True)
class Misunderstanding:
    """What is wrong, and the nearest valid command; commands are `within code marks`.

    Plain text that repeats what was typed: for Slack &, < and > are to be escaped.
    """

    text: str


def parse(text: str, prefix: str = "") -> Command | Misunderstanding:
    """A typed line as a command. Never raises; an empty line asks for help.

    `prefix` is what the chat has typed before a command, such as `/slipway `: so a hint names it.
    """
    if len(text) > MOST_CHARACTERS:
        return Misunderstanding(
            f"A command has at most {MOST_CHARACTERS} characters, and this one {len(text)}.\n"
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
        usage = f": `{prefix}{unclear.usage}`." if unclear.usage else ""
        return _hint(f"{unclear}{usage}", unclear.meant or line, prefix)


def help_text(about: str | None = None, prefix: str = "") -> str:
    """The commands, a line each; or all about one of them. `prefix` as in `parse`."""
    verb = VERBS.get(about or "")
    if verb is None:
        return "\n".join(f"`{prefix}{each.usage}` {each.help}" for each in VERBS.values())
    lines = [
        f"`{prefix}{verb.usage}` {verb.help}",
        f"For example: `{prefix}{verb.example}`",
    ]
    if verb.fields:
        without = _without(verb)
        known = [o for o in options.table().values() if o.kind != "object"]
        names = " ".join(f"{o.form}=…" for o in known if o.name not in without)
        lines.append(f"Every field of the spec can be given: {names}")
        lines.append("Lists are comma-separated, and `none` takes a value away.")
    return "\n".join(lines)


def _read(verb: Verb, line: list[str]) -> Command:
    """Raises `Unclear`."""
    typed, fields = _sorted(line)
    if fields and not verb.fields:
        raise Unclear(f"`{verb.name}` takes no {shown(fields[0])}", usage=verb.usage)
    if len(typed) > len(verb.arguments):
        surplus = shown(typed[len(verb.arguments)])
        raise Unclear(f"`{verb.name}` has no use for {surplus}", usage=verb.usage)
    for argument, word in zip(verb.arguments, typed, strict=False):
        if argument.rule and not argument.fits(word):
            raise Unclear(f"<{argument.name}> {argument.rule}, not {shown(word)}.")
    for argument in verb.arguments[len(typed) :]:
        if argument.required:
            raise Unclear(f"`{verb.name}` needs <{argument.name}>", usage=verb.usage)
    return _command(verb, typed, options.read(fields, _without(verb)))


def _command(verb: Verb, typed: list[str], body: dict[str, Any]) -> Command:
    if verb.name == "deploy":
        image = re.sub(r"^https?://", "", typed[0])
        return Command("deploy", None, {"name": _name_of(image), "image": image, **body})
    # No name has capitals, but phones begin with one.
    reference = typed[0].lower() if typed else None
    if verb.name == "scale":
        if int(typed[1]) == 0:
            fault = "Scaled to 0 it would be ACTIVE, and its URL without an answer."
            raise Unclear(fault, meant=["pause", typed[0].lower()])
        return Command("scale", reference, {"count": int(typed[1])})
    if verb.name == "extend":
        return Command("extend", reference, {"ttl": typed[1]})
    if verb.name == "update" and not body:
        raise Unclear("`update` needs a field to change", usage=verb.usage)
    return Command(verb.name, reference, body or None)


def _sorted(line: list[str]) -> tuple[list[str], list[str]]:
    """(words at places of their own, `field=value` words)."""
    return [w for w in line if "=" not in w], [w for w in line if "=" in w]


def _without(verb: Verb) -> frozenset[str]:
    """The fields of the spec that the command has elsewhere."""
    return frozenset({"image"} if verb.name == "deploy" else ())


def _without_program(line: list[str]) -> list[str]:
    return line[1:] if line and line[0].lower().strip("/@:,") == PROGRAM else line


def _name_of(image: str) -> str:
    """A name by the rule, made of the repository's: `team/Recommend_v2:1` is `recommend-v2`."""
    repository = re.split("[:@]", image.rpartition("/")[2])[0]
    name = re.sub("[^a-z0-9]+", "-", repository.lower()).strip("-")
    # A letter comes first, and AWS keeps `internal-` for load balancers.
    if not name[:1].isalpha() or name.split("-")[0] == "internal":
        name = f"app-{name}"
    return name[:MOST_NAME].strip("-")


# --- hints -----------------------------------------------------------------------------------


def _hint(fault: str, line: list[str], prefix: str) -> Misunderstanding:
    typed = line[0].lower() if line else ""
    if typed not in VERBS and len(line) > 1 and line[1].lower() in VERBS:  # `please deploy …`
        return _hint(fault, line[1:], prefix)
    verb = VERBS.get(typed) or MEANT.get(typed) or VERBS.get(options.nearest(typed, VERBS) or "")
    if verb is None:
        return Misunderstanding(f"{fault}\nTo see all commands: `{prefix}help`")
    command, is_typed = _nearest(verb, typed, [w for w in line[1:] if words.is_typeable(w)])
    if is_typed:
        return Misunderstanding(f"{fault}\nDid you mean `{prefix}{command}`?")
    return Misunderstanding(f"{fault}\nFor example: `{prefix}{command}`")


def _nearest(verb: Verb, said: str, line: list[str]) -> tuple[str, bool]:
    """A valid command of what was typed, and whether nothing had to be made up for it. `said` is
    what stood in the verb's place."""
    typed, fields = _sorted(line)
    kept = _mended(fields, verb) if verb.fields else []
    # `scale recommender count=3`, `deploy image=…`: the value may be what is missing.
    dropped = fields if not verb.fields else [w for w in fields if w.startswith("image=")]
    candidates = typed + [word.partition("=")[2] for word in dropped]
    found, is_typed = [], True
    for argument in verb.arguments:
        word = next((each for each in candidates if argument.fits(each)), None)
        if word is None and argument.name == "command":
            word = next(filter(None, (options.nearest(each, VERBS) for each in candidates)), None)
        if word is None and argument.required:
            word, is_typed = argument.example, False
        found += [word] if word else []
    spare = [each for each in typed if each not in found and each.lower() not in FILLERS]
    # `environment.MODE`, with no value.
    bare = {each: options.completed(each, _without(verb)) for each in spare if verb.fields}
    if any(bare.values()):
        completed = _mended([*fields, *filter(None, bare.values())], verb)
        kept, is_typed = completed, is_typed and len(completed) == len(kept)
    if verb.name == "deploy" and not any(word.startswith("name=") for word in kept):
        names = (word for word in candidates if _could_name(word) and not bare.get(word))
        kept += [f"name={word}" for word in names][:1]
    if verb.name == "update" and not kept:
        is_of_image = said in ("redeploy", "upgrade")
        kept, is_typed = [f"image={NEXT_IMAGE}" if is_of_image else "count=2"], False
    return _line([verb.name, *found], kept), is_typed


def _mended(fields: list[str], verb: Verb) -> list[str]:
    """Those that can be read, or something near that can, each option once."""
    told: list[str] = []
    for word in fields:
        mended = options.mended(word, _without(verb))
        if mended and words.is_typeable(mended):
            try:
                options.read([*told, mended], _without(verb))
            except Unclear:
                continue
            told.append(mended)
    return told


def _could_name(word: str) -> bool:
    return word.lower() not in FILLERS and VERBS["status"].arguments[0].fits(word)


def _line(found: list[str], kept: list[str]) -> str:
    """As much of it as makes a hint, and no more."""
    line = words.typed(found)
    for word in kept:
        longer = words.typed([*found, word])
        if len(longer) > MOST_HINT:
            break
        found, line = [*found, word], longer
    return line
