"""The list of every text that a user can see."""

from pathlib import Path

import pytest

from infra import sentences
from infra.sentences import (
    CHAT,
    COMMANDS,
    DETAILS,
    FAILURES,
    HINTS,
    MOST_WORDS,
    OPENAPI,
    OTHER,
    SOURCES,
    Text,
)

SOURCE = '''"""A module of texts."""

raise NotFound(f"There is no deployment {reference}.")
raise DeploymentFailed(code, "The image " f"{image.name} " "is missing.", hint="Check the tag.")
Route("GET", "/health", summary="Whether Slipway answers")
Field(description="Seconds.")


def work() -> None:
    """Does the work."""
    logger.info("the work is done", extra={"message": "never shown"})
    re.compile("one or more")
    table.update("attribute_exists(pk) AND #v = :v")
    if "not there" in reason:
        post("Waiting for " + ", ".join(names) + ".")
    return {"the key of a text": 1, "description": "All"}


class Body(Strict):
    """The body of a request.

    More about it.
    """
'''


def test_each_text_has_its_line_and_kind() -> None:
    assert [(each.line, each.kind, each.text) for each in sentences.texts(SOURCE, "x.py")] == [
        (3, DETAILS, "There is no deployment {reference}."),
        (4, HINTS, "Check the tag."),
        (4, FAILURES, "The image {name} is missing."),
        (5, OPENAPI, "Whether Slipway answers"),
        (6, OPENAPI, "Seconds."),
        (15, OTHER, "Waiting for {…}."),
        (16, OPENAPI, "All"),
        (16, OTHER, "the key of a text"),
        (20, OPENAPI, "The body of a request."),
    ]


def test_the_place_gives_the_kind_of_other_texts() -> None:
    [text] = sentences.texts('say("No such command.")', "chalicelib/chat/grammar.py")
    assert (text.kind, str(text)) == (CHAT, "chalicelib/chat/grammar.py:1: No such command.")


def test_texts_of_yaml_are_descriptions_and_details() -> None:
    source = """
Size:
  Type: Number
  Description: >-
    The size of
    a task
Response:
  - body: '{"status":404,"detail":"There is no such path."}'
"""
    assert [
        (each.line, each.kind, each.text) for each in sentences.texts(source, "infra/t.yaml")
    ] == [
        (4, COMMANDS, "The size of a task"),
        (8, DETAILS, "There is no such path."),
    ]


def test_texts_of_the_makefile_are_descriptions_and_what_it_prints() -> None:
    source = 'up: ready ## start the stack\n\t@echo "The stack is running."\n'
    assert [(each.line, each.text) for each in sentences.texts(source, "Makefile")] == [
        (1, "start the stack"),
        (2, "The stack is running."),
    ]


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        ('raise NotFound(f"There is no deployment {name}")', []),
        ('raise NotFound(f"There is no deployment {name} here")', ["no period at the end"]),
        ('raise NotFound("There is no deployment.")', []),
        ('fault("port", "must be a number")', []),
        ('DeploymentFailed(code, "It failed.", hint="Try again")', ["no period at the end"]),
    ],
)
def test_details_and_hints_end_with_a_period(source: str, faults: list[str]) -> None:
    listed = sentences.texts(source, "x.py")
    assert [fault for each in listed for fault in each.faults] == faults


def test_a_text_within_a_text_is_listed_too() -> None:
    source = """f"The service {'is down' if down else 'has a fault'}.\""""
    listed = [each.text for each in sentences.texts(source, "x.py")]
    assert listed == ["The service {…}.", "has a fault", "is down"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What it told us.", "told"),
        ("Mend the cause.", "Mend"),
        ("The name of another's deployment.", "another's"),
        ("Somebody changed it.", "Somebody"),
        ("It is taken up again.", "taken up"),
        ("word " * (MOST_WORDS + 1), f"{MOST_WORDS + 1} words"),
    ],
)
def test_a_text_that_breaks_a_rule_is_listed(text: str, words: str) -> None:
    [fault] = Text("x.py", 1, text, OTHER).faults
    assert words in fault


def test_two_short_sentences_break_no_rule() -> None:
    text = "word " * MOST_WORDS
    assert Text("x.py", 1, f"{text.strip()}. {text}", OTHER).faults == []


def test_the_check_fails_for_a_broken_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text('say("All is well.")')
    bad.write_text('say("It stands there.")')
    assert sentences.main(["--check", str(good)]) == 0
    assert sentences.main(["--check", str(bad)]) == 1
    assert capsys.readouterr().err == f'{bad}:1: It stands there.\n    "stands": write is\n'
    assert sentences.main([str(good), str(bad)]) == 0
    assert capsys.readouterr().out.endswith("\n\n2 texts\n")


def test_every_kind_has_texts_in_the_project() -> None:
    kinds = {each.kind for each in sentences.collect(list(SOURCES))}
    assert kinds >= set(sentences.KINDS) - {OTHER}


def test_in_a_table_of_other_programs_only_messages_and_hints_are_texts() -> None:
    source = 'KnownText(pattern="no such host", message="No route.", examples=("No such host",))'
    [text] = sentences.texts(source, "chalicelib/workflow/diagnosis/known_texts/pull_errors.py")
    assert (text.kind, text.text) == (FAILURES, "No route.")
