"""Certain log lines are recognized as whole lines, and only as whole lines."""

from __future__ import annotations

import json

import pytest

from chalicelib.workflow.diagnosis.known_texts import listening, log_signs
from chalicelib.workflow.diagnosis.known_texts.log_reader import Seen, last_sign
from chalicelib.workflow.diagnosis.known_texts.log_signs import Kind, Sign

EXAMPLES = [(sign, text) for sign in log_signs.SIGNS for text in sign.examples]
PLACES = [(line, text) for line in listening.LINES for text in line.examples]


@pytest.mark.parametrize(("sign", "text"), EXAMPLES, ids=[text for _, text in EXAMPLES])
def test_a_documented_line_is_a_sign(sign: Sign, text: str) -> None:
    for line in (
        text,
        f"\x1b[31m{text}\x1b[0m",
        f"2026-11-24T09:30:00.123Z {text}",
        f"2026-11-24 09:30:00,123 - app - ERROR - {text}",
        f"[2026-11-24 09:30:00 +0000] [7] [ERROR] {text}",
        json.dumps({"level": "error", "message": text}),
    ):
        seen = last_sign(["starting", line, ""])
        assert seen is not None, line
        assert seen.kind is sign.kind


@pytest.mark.parametrize(("sign", "text"), EXAMPLES, ids=[text for _, text in EXAMPLES])
def test_a_line_in_the_text_of_a_user_is_no_sign(sign: Sign, text: str) -> None:
    for line in (
        f"the user asked: {text}",
        f'10.0.0.1 - - [24/Nov/2026] "GET /?q={text} HTTP/1.1" 200 12',
        f"prompt={text!r} tokens=12",
        json.dumps({"message": f"prediction for {text}", "prompt": text}),
        f"{text} and more from the user",
    ):
        if line.endswith("and more from the user") and _is_open(sign):
            continue
        assert last_sign([line]) is None, line


def _is_open(sign: Sign) -> bool:
    """Whether the line goes on with a text of the program, so that its end cannot be checked."""
    return ".*" in sign.pattern


@pytest.mark.parametrize("line", PLACES, ids=[text for _, text in PLACES])
def test_a_server_says_where_it_listens(line: tuple[listening.Line, str]) -> None:
    text = line[1]
    assert listening.announced(["loading", text]), text
    assert listening.announced([f"the user asked: {text}"]) == []
    assert line[0].source.startswith("https://")


@pytest.mark.parametrize("sign", log_signs.SIGNS, ids=lambda sign: sign.pattern)
def test_a_sign_has_a_source(sign: Sign) -> None:
    assert sign.source.startswith("https://")


def test_a_module_is_named() -> None:
    lines = ["Traceback (most recent call last):", "ModuleNotFoundError: No module named 'a.b'"]
    assert last_sign(lines) == Seen(Kind.CANNOT_IMPORT, "a.b")


def test_an_exception_that_another_follows_is_no_sign() -> None:
    lines = ["ModuleNotFoundError: No module named 'onnx'", "ValueError: no weights in /models"]
    assert last_sign(lines) is None


def test_a_worker_that_gunicorn_stopped_itself_is_no_sign_of_memory() -> None:
    killed = "[2026-11-24 09:30:01 +0000] [7] [ERROR] Worker (pid:9) was sent SIGKILL! Perhaps " + (
        "out of memory?"
    )
    slow = "[2026-11-24 09:30:00 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:{})"
    assert last_sign([slow.format(9), killed]) == Seen(Kind.SLOW_WORKER)
    assert last_sign([slow.format(8), killed]) == Seen(Kind.MEMORY)
    assert last_sign([killed]) == Seen(Kind.MEMORY)
