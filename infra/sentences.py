"""`python -m infra.sentences [--check] [PATH ...]`: lists every text that a user can see.

Each line is `path:line: text`, grouped by kind, so that all texts can be read in one sitting. A
text is any string of several words in the code, and any value of a field such as `hint`. In YAML
and the Makefile, texts are descriptions, messages and the bodies of gateway responses. The list
excludes docstrings, log messages and patterns. It includes some internal strings, because it is
better to list too many texts than to miss one.

`--check` lists only the texts that break a rule, with the rule, and exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from chalicelib.domain import errors
from infra.package import ROOT

SOURCES = (
    ROOT / "app.py",
    ROOT / "chalicelib",
    ROOT / "infra",
    ROOT / "local",
    ROOT / "Makefile",
)
# The words that this file forbids are in it.
EXCLUDED = Path(__file__).resolve()
SUFFIXES = {".py", ".yaml"}
MOST_WORDS = 25
# Word (a pattern) -> what to write instead.
BANNED = {
    r"tells?|told": "report, show",
    r"mend(s|ed|ing)?": "fix",
    r"stands?|stood": "is",
    r"leads? to|led to": "points to",
    r"(take|takes|taken|took) up": "resume, retry",
    r"another's|(nobody|anybody|somebody|everybody)('s)?|whoever": "name the person or the thing",
    r"beforehand": "before",
    r"as ever|of whom|thereof|whatsoever": "leave it out",
    r"at this moment": "now",
    r"ought to": "must",
    r"made anew": "created again",
}
BANNED_WORDS = {re.compile(rf"\b({word})\b", re.IGNORECASE): fix for word, fix in BANNED.items()}

DETAILS, FAILURES, HINTS = "Error details", "Failure and step messages", "Hints"
OPENAPI, CHAT, SLACK, WEBHOOKS = "OpenAPI", "Chat", "Slack", "Webhooks"
COMMANDS, OTHER = "Command lines and parameters of the stack", "Other texts"
KINDS = (DETAILS, FAILURES, HINTS, OPENAPI, CHAT, SLACK, WEBHOOKS, COMMANDS, OTHER)
# Keywords, and keys of dicts.
FIELDS = {
    "hint": HINTS,
    "message": FAILURES,
    "detail": DETAILS,
    "description": OPENAPI,
    "summary": OPENAPI,
}
# Folders and files: the kind of a text that nothing closer decides.
PLACES = {
    "routes.py": OPENAPI,
    "chat": CHAT,
    "workers": CHAT,
    "slack": SLACK,
    "webhooks": WEBHOOKS,
    "api": DETAILS,
    "usecases": DETAILS,
    "domain": DETAILS,
    "store": DETAILS,
    "platform": FAILURES,
    "resources": FAILURES,
    "workflow": FAILURES,
    "infra": COMMANDS,
    "local": COMMANDS,
    "Makefile": COMMANDS,
}


def _names(base: type) -> set[str]:
    classes = (each for _, each in inspect.getmembers(errors, inspect.isclass))
    return {each.__name__ for each in classes if issubclass(each, base)}


REFUSALS = _names(errors.RequestRefused)
CALLS = {
    **dict.fromkeys(REFUSALS, DETAILS),
    **dict.fromkeys(_names(errors.WorkflowError), FAILURES),
    **dict.fromkeys(("fault", "ValueError"), DETAILS),
    **dict.fromkeys(("Failure", "Finding", "NotKnown", "Outcome"), FAILURES),
    **dict.fromkeys(("Operation", "Route"), OPENAPI),
    "Unclear": CHAT,
}
# Tables of texts of other programs. Only the values of the keywords in `FIELDS` are Slipway's own.
QUOTING = {"known_texts", "api_errors.py"}
MODELS = {"BaseModel", "Strict"}
LOGGERS = {"logger", "logging", "log"}
# Calls whose strings are patterns or code.
CODE_CALLS = {"compile", "fullmatch", "match", "search", "sub", "split", "getenv", "TypeVar"}
# An expression of DynamoDB.
EXPRESSION = re.compile(r"attribute_(not_)?exists|begins_with|[<>=] :|^(SET|REMOVE|ADD) |^#?\w+ = ")
SEVERAL_WORDS = re.compile(r"[A-Za-z]\S* +\S*[A-Za-z]")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\s*\\n\s*")
# A text that ends with an inserted value can end with a period.
ENDED = re.compile(r"[.?}]$")
DESCRIPTIONS = {"Description", "ConstraintDescription"}
GATEWAY_DETAIL = re.compile(r'"detail":"([^"]*)"')
MAKEFILE_TEXT = re.compile(r'echo "([^"]+)"|^[a-z-]+:.*## (.+)$')


@dataclass(frozen=True, order=True)
class Text:
    """A text in the code. `path` is relative to the project, if the file is in it.

    `ends`: whether it must end with a period.
    """

    path: str
    line: int
    text: str
    kind: str
    ends: bool = False

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"

    @property
    def faults(self) -> list[str]:
        """The rules that the text breaks."""
        banned = {
            match[0]: fix
            for pattern, fix in BANNED_WORDS.items()
            for match in pattern.finditer(self.text)
        }
        lengths = [len(sentence.split()) for sentence in SENTENCE_END.split(self.text)]
        return [
            *(f'"{word}": write {fix}' for word, fix in banned.items()),
            *(
                f"{length} words in a sentence, at most {MOST_WORDS}"
                for length in lengths
                if length > MOST_WORDS
            ),
            *(["no period at the end"] if self.ends and not ENDED.search(self.text) else []),
        ]


def texts(source: str, path: str) -> list[Text]:
    """The texts in the source code of a file, in order."""
    kind = next((PLACES[part] for part in reversed(Path(path).parts) if part in PLACES), OTHER)
    if path.endswith(".yaml"):
        return list(_in_yaml(yaml.compose(source), kind, path))
    if Path(path).name == "Makefile":
        return list(_in_makefile(source, kind, path))
    tree = ast.parse(source)
    if QUOTING & set(Path(path).parts):
        keywords = (node for node in ast.walk(tree) if isinstance(node, ast.keyword))
        own = (node for node in keywords if node.arg in FIELDS)
        return sorted(text for node in own for text in _in(node, kind, path))
    details = _details(tree)
    return sorted({replace(each, ends=_must_end(each, details)) for each in _in(tree, kind, path)})


def _details(tree: ast.AST) -> set[str]:
    """The texts that are the first argument of a refusal."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
    first = (call.args[0] for call in calls if _name(call.func) in REFUSALS)
    return {_flat(_shown(each)) for each in first if _is_string(each)}


def _must_end(text: Text, details: set[str]) -> bool:
    """Whether a text is one or more whole sentences: a hint, or the detail of a refusal."""
    return text.kind == HINTS or (text.kind == DETAILS and text.text in details)


def _in_yaml(node: yaml.Node, kind: str, path: str) -> Iterator[Text]:
    """Descriptions, and the details of gateway responses."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value in DESCRIPTIONS and isinstance(value, yaml.ScalarNode):
                yield Text(path, value.start_mark.line + 1, _flat(value.value), kind)
            else:
                yield from _in_yaml(value, kind, path)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _in_yaml(value, kind, path)
    elif isinstance(node, yaml.ScalarNode):
        for detail in GATEWAY_DETAIL.findall(node.value):
            yield Text(path, node.start_mark.line + 1, detail, DETAILS, ends=True)


def _in_makefile(source: str, kind: str, path: str) -> Iterator[Text]:
    """What `make` prints, and the descriptions of its targets."""
    for number, line in enumerate(source.splitlines(), 1):
        for printed, described in MAKEFILE_TEXT.findall(line):
            yield Text(path, number, printed or described, kind)


def _flat(text: str) -> str:
    return " ".join(text.split(" ")).strip().replace("\n", " \\n ")


def _in(node: ast.AST, kind: str, path: str, *, is_field: bool = False) -> Iterator[Text]:
    """The texts in a node. `is_field`: a single word is a text too, because of its field."""
    if _is_string(node):
        text = _flat(_shown(node))
        if _is_text(text) or (is_field and re.search(r"[A-Za-z]", text)):
            yield Text(path, getattr(node, "lineno", 0), text, kind)
        for inner in _values(node):
            yield from _in(inner, kind, path)
    elif not _is_code(node):
        for child, child_kind, child_is_field in _children(node, kind):
            yield from _in(child, child_kind, path, is_field=child_is_field)


def _children(node: ast.AST, kind: str) -> Iterator[tuple[ast.AST, str, bool]]:
    """What is in a node, with its kind, and whether it is the value of a field of `FIELDS`."""
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if key:  # not `**other`
                yield key, kind, False
            yield value, *_field(_constant(key), kind)
    elif isinstance(node, ast.keyword):
        yield node.value, *_field(node.arg, kind)
    elif isinstance(node, ast.Call):
        within = CALLS.get(_name(node.func), kind)
        yield from ((child, within, False) for child in (node.func, *node.args, *node.keywords))
    else:
        if isinstance(node, ast.ClassDef) and any(_name(base) in MODELS for base in node.bases):
            # OpenAPI shows the first line of a model's docstring.
            yield from ((line, OPENAPI, False) for line in _first_line(node))
        docstring = _docstring(node)
        for child in ast.iter_child_nodes(node):
            if child is not docstring:
                yield child, kind, False


def _field(name: object, kind: str) -> tuple[str, bool]:
    return (FIELDS[name], True) if isinstance(name, str) and name in FIELDS else (kind, False)


def _is_string(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _is_string(node.left) or _is_string(node.right)
    return isinstance(node, ast.JoinedStr) or isinstance(_constant(node), str)


def _shown(node: ast.AST) -> str:
    """The text of a string; an inserted value is its name, or `{…}`."""
    if isinstance(node, ast.BinOp):
        return _shown(node.left) + _shown(node.right)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_shown, node.values))
    if isinstance(node, ast.FormattedValue):
        return f"{{{_name(node.value) or '…'}}}"
    value = _constant(node)
    return value if isinstance(value, str) else "{…}"


def _values(node: ast.AST) -> list[ast.AST]:
    """The expressions in a string, which can contain further texts."""
    if isinstance(node, ast.BinOp):
        return [*_values(node.left), *_values(node.right)]
    if isinstance(node, ast.JoinedStr):
        return [each.value for each in node.values if isinstance(each, ast.FormattedValue)]
    return [] if isinstance(node, ast.Constant) else [node]


def _is_text(text: str) -> bool:
    return bool(SEVERAL_WORDS.search(text)) and not EXPRESSION.search(text)


def _is_code(node: ast.AST) -> bool:
    """Whether the strings in a node are not texts: log messages, patterns, comparisons."""
    if isinstance(node, ast.Call):
        is_log = isinstance(node.func, ast.Attribute) and _name(node.func.value) in LOGGERS
        return is_log or _name(node.func) in CODE_CALLS
    return isinstance(node, ast.Compare | ast.Import | ast.ImportFrom)


def _docstring(node: ast.AST) -> ast.AST | None:
    body = getattr(node, "body", None)
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and body:
        first = body[0]
        is_docstring = isinstance(first, ast.Expr) and isinstance(_constant(first.value), str)
        return first if is_docstring else None
    return None


def _first_line(node: ast.ClassDef) -> Iterator[ast.AST]:
    docstring = ast.get_docstring(node)
    if docstring:
        yield ast.copy_location(ast.Constant(docstring.splitlines()[0]), node.body[0])


def _constant(node: ast.AST | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def _name(node: ast.AST) -> str:
    """The last part of a name: `errors.NotFound` is `NotFound`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def collect(sources: list[Path]) -> list[Text]:
    """The texts of files, and of the Python and YAML files in folders."""
    collected: list[Text] = []
    for source in sources:
        files = sorted(source.rglob("*")) if source.is_dir() else [source]
        for file in files:
            path = file.resolve()
            if path == EXCLUDED or (source.is_dir() and path.suffix not in SUFFIXES):
                continue
            shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
            collected += texts(file.read_text(), str(shown))
    return collected


def listed(collected: list[Text]) -> str:
    """The texts by kind, and their number."""
    lines: list[str] = []
    for kind in KINDS:
        of_kind = [each for each in collected if each.kind == kind]
        lines += [f"\n== {kind}: {len(of_kind)}", *map(str, of_kind)] if of_kind else []
    return "\n".join([*lines, f"\n{len(collected)} texts"]).lstrip()


def main(arguments: list[str] | None = None) -> int:
    """List or check the texts; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.sentences", description=__doc__)
    parser.add_argument("--check", action="store_true", help="list only texts that break a rule")
    parser.add_argument("paths", nargs="*", type=Path, help="files or folders (default: all)")
    options = parser.parse_args(arguments)
    collected = collect(options.paths or list(SOURCES))
    if not options.check:
        print(listed(collected))
        return 0
    broken = [each for each in collected if each.faults]
    for each in broken:
        print(f"{each}\n    {'; '.join(each.faults)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
