"""The verdict of an unhealthy task agrees with its log and its target health."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.domain.errors import FailureCode
from chalicelib.workflow.diagnosis.redirect import Redirect
from chalicelib.workflow.diagnosis.unhealthy import judge_unhealthy
from chalicelib.workflow.diagnosis.verdict import Verdict
from tests.support.builders import spec_of

REFUSED = ("Target.FailedHealthChecks", "Health checks failed")
SLOW = ("Target.Timeout", "Request timed out")


def mismatch(*codes: int) -> tuple[str, str]:
    shown = ", ".join(map(str, codes))
    return "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{shown}]"


def verdict(
    seen: tuple[str, str], *lines: str, redirected: Redirect | None = None, **fields: Any
) -> Verdict:
    health = [{"state": "unhealthy", "reason": seen[0], "description": seen[1]}]
    made = judge_unhealthy(spec_of(**fields), health, list(lines), redirected)
    assert made.message.endswith(".")
    assert made.hint.endswith(".")
    return made


GUNICORN = "[2026-11-24 09:30:00 +0000] [7] [ERROR] Worker (pid:9) was sent SIGKILL! Perhaps out of"


@pytest.mark.parametrize("seen", [SLOW, REFUSED, mismatch(502), ("", "")])
def test_a_worker_killed_for_memory_is_out_of_memory(seen: tuple[str, str]) -> None:
    made = verdict(seen, f"{GUNICORN} memory?")
    assert made.code is FailureCode.OUT_OF_MEMORY
    assert '"memory": 1024' in made.hint
    assert "health_check" not in made.hint


def test_a_container_that_answers_404_has_memory() -> None:
    made = verdict(mismatch(404), f"{GUNICORN} memory?")
    assert made.code is FailureCode.HEALTH_CHECK_FAILED
    assert "returned 404" in made.message


def test_a_slow_gunicorn_worker_needs_a_longer_timeout_of_gunicorn() -> None:
    made = verdict(SLOW, "[2026-11-24 09:30:00 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:9)")
    assert made.code is FailureCode.HEALTH_CHECK_FAILED
    assert "`--timeout`" in made.hint


@pytest.mark.parametrize(
    "line",
    [
        "Invalid HTTP_HOST header: '10.0.0.7'. You may need to add '10.0.0.7' to ALLOWED_HOSTS.",
        "WARNING:  Invalid host header",
        "[ActionDispatch::HostAuthorization::DefaultResponseApp] Blocked hosts: 10.0.0.7",
    ],
)
def test_a_rejected_host_is_explained(line: str) -> None:
    made = verdict(mismatch(400), line, "GET / 400", health_check={"path": "/up"})
    assert made.code is FailureCode.HEALTH_CHECK_FAILED
    assert "Host header" in made.message
    assert "IP address" in made.hint
    assert "`/up`" in made.hint
    assert made.final
    assert "Host header" not in verdict(mismatch(404, 503), "unrelated").message


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        (mismatch(404), "WARNING:  Invalid host header"),
        (
            mismatch(400),
            "Invalid HTTP_HOST header: 'scanner.example'. You may need to add 'scanner.example' to "
            "ALLOWED_HOSTS.",
        ),
        (mismatch(400), "Blocked hosts: scanner.example"),
    ],
)
def test_a_host_that_another_client_sent_is_not_the_cause(seen: tuple[str, str], line: str) -> None:
    made = verdict(seen, line)
    assert "Host header" not in made.message
    assert "returned 40" in made.message


@pytest.mark.parametrize(
    "line", ["ModuleNotFoundError: No module named 'flash_attn'", "Connection in use: ('', 9)"]
)
def test_an_error_before_the_port_was_opened_is_not_the_cause(line: str) -> None:
    opened = "INFO:     Uvicorn running on http://0.0.0.0:80 (Press CTRL+C to quit)"
    assert "had no response" in verdict(SLOW, line, opened).message
    assert "had no response" not in verdict(SLOW, opened, line).message
    elsewhere = opened.replace(":80 ", ":9090 ")
    assert "had no response" not in verdict(SLOW, line, elsewhere).message


def test_a_server_for_loopback_only_is_explained() -> None:
    line = "INFO:     Uvicorn running on http://127.0.0.1:80 (Press CTRL+C to quit)"
    made = verdict(REFUSED, line)
    assert "127.0.0.1" in made.message
    assert "0.0.0.0" in made.hint
    assert made.final
    assert "inside the container" not in verdict(mismatch(404), line).message


def test_a_server_on_every_address_is_not_loopback() -> None:
    lines = (
        " * Running on all addresses (0.0.0.0)",
        " * Running on http://127.0.0.1:80",
        " * Running on http://10.0.0.7:80",
    )
    assert "the connection failed" in verdict(REFUSED, *lines).message


def test_a_server_on_the_port_is_not_told_to_listen_there() -> None:
    made = verdict(REFUSED, "INFO:     Uvicorn running on http://0.0.0.0:80 (Press CTRL+C to quit)")
    assert "the connection failed, or the answer was not HTTP/1.1" in made.message
    assert "a server listens on port 80" in made.hint
    assert "0.0.0.0" not in made.hint


def test_a_tls_server_that_answers_400_is_explained() -> None:
    line = "[2026-11-24 09:30:00 +0000] [1] [INFO] Listening at: https://0.0.0.0:80 (1)"
    assert "speaks TLS on port 80" in verdict(mismatch(400), line).message
    assert "returned 404" in verdict(mismatch(404), line).message


def test_only_redirects_are_called_redirects() -> None:
    assert "redirect" not in verdict(mismatch(304)).message
    hint = verdict(mismatch(404, 301), health_check={"status": "200"}).hint
    assert '"status": "200,301"' in hint


def test_another_port_is_named() -> None:
    line = "[2026-11-24 09:30:00 +0000] [7] [INFO] Listening at: http://0.0.0.0:8000 (7)"
    made = verdict(REFUSED, line)
    assert made.message == "The container listens on port 8000, but `port` is 80."
    assert '"port": 8000' in made.hint
    assert "127.0.0.1" not in made.hint
    other = verdict(REFUSED, line.replace("0.0.0.0", "127.0.0.1"))
    assert "0.0.0.0" in other.hint
    assert "0.0.0.0" in verdict(REFUSED, line.replace("0.0.0.0", "[::1]")).hint


def test_a_server_with_tls_is_explained() -> None:
    line = "INFO:     Uvicorn running on https://0.0.0.0:80 (Press CTRL+C to quit)"
    assert "TLS" in verdict(REFUSED, line).message


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("ModuleNotFoundError: No module named 'torch'", "torch", "dependencies"),
        ("OSError: [Errno 98] Address already in use", "already uses the port", "own port"),
        ("Error: listen EACCES: permission denied 0.0.0.0:80", "not allowed", "1024"),
    ],
)
def test_other_certain_signs_decide(line: str, message: str, hint: str) -> None:
    made = verdict(REFUSED, line)
    assert made.code is FailureCode.HEALTH_CHECK_FAILED
    assert message in made.message
    assert hint in made.hint


def test_a_port_that_speaks_something_else_is_not_called_closed() -> None:
    made = verdict(REFUSED, "server up")
    assert "the connection failed, or the answer was not HTTP/1.1" in made.message
    assert "TLS" in made.hint
    assert "nothing listens" not in made.message


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_that_cannot_be_followed_names_what_would_answer(code: int) -> None:
    made = verdict(mismatch(code), health_check={"status": "200"})
    assert f"returned {code} (a redirect)" in made.message
    assert "`health_check.path`" in made.hint
    assert "X-Forwarded-Proto" in made.hint
    assert f'"status": "200,{code}"' in made.hint


@pytest.mark.parametrize(
    ("redirected", "hint"),
    [
        (Redirect("/docs/", "/docs/", 200), 'Set `health_check.path` to "/docs/"'),
        (Redirect("/login", "/login", 401), "`/login` returned 401"),
        (Redirect("https://lb.example/"), "X-Forwarded-Proto: https"),
        (Redirect("http://www.example.com/"), "www.example.com"),
    ],
)
def test_a_known_redirect_says_where_to(redirected: Redirect, hint: str) -> None:
    made = verdict(mismatch(301), redirected=redirected, health_check={"status": "200"})
    assert f"(a redirect to {redirected.location})" in made.message
    assert hint in made.hint


def test_a_redirect_only_without_https_names_the_headers() -> None:
    made = verdict(mismatch(301), redirected=Redirect("", "/", 200), health_check={"status": "200"})
    assert "X-Forwarded-Proto: https" in made.hint


@pytest.mark.parametrize(
    ("code", "hint"), [(401, "without credentials"), (403, "credentials"), (500, "log lines")]
)
def test_a_code_has_a_hint_of_its_own(code: int, hint: str) -> None:
    assert hint in verdict(mismatch(code)).hint
