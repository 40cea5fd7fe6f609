"""The YAML that infra/ accepts."""

from pathlib import Path

import pytest
import yaml

from infra.strict_yaml import YamlError, load
from tests.support.project import ROOT

SOURCES = [ROOT / "infra/template.yaml", *sorted((ROOT / "infra/policies").glob("*.yaml"))]


def write(folder: Path, text: str) -> Path:
    path = folder / "file.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_parser_reads_a_source_in_the_same_way(source: Path) -> None:
    assert load(source) == yaml.safe_load(source.read_text())


@pytest.mark.parametrize(
    "value",
    ["yes", "No", "on", "OFF", "True", "2012-10-17", "12:30", "0777", "1_000", "~"],
)
def test_a_value_that_parsers_read_differently_must_be_in_quotes(
    tmp_path: Path, value: str
) -> None:
    with pytest.raises(YamlError, match=f'file.yaml, line 2: write "{value}" in quotes'):
        load(write(tmp_path, f"b: 1\na: {value}"))
    assert load(write(tmp_path, f'a: "{value}"')) == {"a": value}


def test_a_key_is_checked_like_a_value(tmp_path: Path) -> None:
    with pytest.raises(YamlError, match='write "on" in quotes'):
        load(write(tmp_path, "on: push"))


def test_plain_values_keep_their_types(tmp_path: Path) -> None:
    text = 'a: [true, 30, -1, 0.5, null, text, "30", {Fn::GetAtt: [Table, Arn]}]'
    expected = [True, 30, -1, 0.5, None, "text", "30", {"Fn::GetAtt": ["Table", "Arn"]}]
    assert load(write(tmp_path, text)) == {"a": expected}


def test_a_duplicate_key_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(YamlError, match="line 3: duplicate key a"):
        load(write(tmp_path, "a: 1\nb: 2\na: 3"))


@pytest.mark.parametrize("text", ["a: [1", "a: !Ref Table", "a: *nothing"])
def test_invalid_yaml_is_reported_in_one_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(YamlError, match=r"file\.yaml is not valid YAML: .*line 1"):
        load(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(YamlError, match=r"none\.yaml does not exist"):
        load(tmp_path / "none.yaml")
