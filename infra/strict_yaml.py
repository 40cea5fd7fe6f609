"""YAML without the traps of version 1.1: what this reads, every YAML parser reads the same way.

`yaml.safe_load` turns `on` into True, `2012-10-17` into a date and `12:30` into the number 750, and
it keeps only the last of two equal keys. Here each of them is an error.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

# The one written in C is five times as fast; not every installation has it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What every version of YAML reads as a boolean or a number.
# https://yaml.org/spec/1.2.2/#1032-tag-resolution
UNAMBIGUOUS = {
    "tag:yaml.org,2002:bool": re.compile("true|false"),
    "tag:yaml.org,2002:int": re.compile("0|-?[1-9][0-9]*"),
    "tag:yaml.org,2002:float": re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+"),
    "tag:yaml.org,2002:null": re.compile("null"),
    "tag:yaml.org,2002:timestamp": re.compile("(?!)"),
}


class YamlError(Exception):
    """A file is not plain YAML; the message names the file, the line and the fix."""


def load(path: Path) -> Any:
    """Return the content of the YAML file `path`.

    Raises:
        YamlError: the file is missing, is not YAML, or has a value that parsers read differently.
    """
    try:
        loader = LOADER(path.read_text())
        document = loader.get_single_node()
        _check(path, document)
        return loader.construct_document(document)
    except FileNotFoundError as error:
        raise YamlError(f"{path} does not exist.") from error
    except yaml.YAMLError as error:
        raise YamlError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error


def _check(path: Path, node: yaml.Node | None) -> None:
    if isinstance(node, yaml.ScalarNode):
        allowed = UNAMBIGUOUS.get(node.tag)
        if allowed and not allowed.fullmatch(node.value):
            raise YamlError(f'{_place(path, node)}: write "{node.value}" in quotes.')
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check(path, item)
    elif isinstance(node, yaml.MappingNode):
        keys = set()
        for key, value in node.value:
            if key.value in keys:
                raise YamlError(f"{_place(path, key)}: duplicate key {key.value}. Remove one.")
            keys.add(key.value)
            _check(path, key)
            _check(path, value)


def _place(path: Path, node: yaml.Node) -> str:
    return f"{path}, line {node.start_mark.line + 1}"
