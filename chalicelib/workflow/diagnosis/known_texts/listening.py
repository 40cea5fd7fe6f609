"""Lines in which a server says where it listens, in the exact words of common servers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chalicelib.workflow.diagnosis.known_texts.log_reader import texts_of

LOOPBACK = ("127.", "localhost", "[::1]", "::1")
_URL = r"(?P<scheme>https?)://(?P<host>\[[0-9a-fA-F:]+\]|[\w.-]+):(?P<port>\d{1,5})/?"
_PLACE = r"(?P<host>\[[0-9a-fA-F:]+\]|[\w.-]*):(?P<port>\d{1,5})"
_GITHUB = "https://github.com/"


@dataclass(frozen=True)
class Announcement:
    """Where a server listens. `host` is "" if the line does not say it."""

    host: str
    port: int
    is_tls: bool = False

    @property
    def is_loopback(self) -> bool:
        return self.host.startswith(LOOPBACK)


@dataclass(frozen=True)
class Line:
    """A line of a server. `pattern` matches it whole, without the prefix of its logger."""

    pattern: str
    source: str
    examples: tuple[str, ...]


LINES = (
    Line(
        rf"Uvicorn running on {_URL} \(Press CTRL\+C to quit\)",
        _GITHUB + "encode/uvicorn/blob/master/uvicorn/server.py",
        ("INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)",),
    ),
    Line(
        rf"Listening at: {_URL} \(\d+\)",
        _GITHUB + "benoitc/gunicorn/blob/master/gunicorn/arbiter.py",
        ("[2026-11-24 09:30:00 +0000] [7] [INFO] Listening at: http://127.0.0.1:8000 (7)",),
    ),
    Line(
        rf"\* Running on {_URL}(?: \(Press CTRL\+C to quit\))?",
        _GITHUB + "pallets/werkzeug/blob/main/src/werkzeug/serving.py",
        (
            " * Running on http://127.0.0.1:5000",
            " * Running on http://10.0.0.7:5000 (Press CTRL+C to quit)",
        ),
    ),
    Line(
        rf"Running on {_URL} \(CTRL \+ C to quit\)",
        _GITHUB + "pgjones/hypercorn/blob/main/src/hypercorn/asyncio/run.py",
        (
            "[2026-11-24 09:30:00 +0000] [7] [INFO] Running on http://127.0.0.1:8000 (CTRL + C to "
            "quit)",
        ),
    ),
    Line(
        r"Serving HTTP on (?P<host>\S+) port (?P<port>\d+) \(.*\) \.\.\.",
        _GITHUB + "python/cpython/blob/main/Lib/http/server.py",
        ("Serving HTTP on 127.0.0.1 port 8000 (http://127.0.0.1:8000/) ...",),
    ),
    Line(
        rf"\* Running on local URL: +{_URL}",
        _GITHUB + "gradio-app/gradio/blob/main/gradio/strings.py",
        ("* Running on local URL:  http://127.0.0.1:7860",),
    ),
    Line(
        rf"URL: {_URL}",
        _GITHUB + "streamlit/streamlit/blob/develop/lib/streamlit/web/bootstrap.py",
        ("  URL: http://localhost:8501",),
    ),
    # Streamlit shows `localhost` also if it listens on every address.
    Line(
        r"Local URL: (?P<scheme>https?)://localhost:(?P<port>\d+)/?",
        _GITHUB + "streamlit/streamlit/blob/develop/lib/streamlit/web/bootstrap.py",
        ("  Local URL: http://localhost:8501",),
    ),
    Line(
        rf"Starting development server at {_URL}",
        _GITHUB + "django/django/blob/main/django/core/management/commands/runserver.py",
        ("Starting development server at http://127.0.0.1:8000/",),
    ),
    Line(
        rf"Serving on {_URL}",
        _GITHUB + "Pylons/waitress/blob/main/src/waitress/server.py",
        ("INFO:waitress:Serving on http://127.0.0.1:8080",),
    ),
    Line(
        rf"=+ Running on {_URL} =+",
        _GITHUB + "aio-libs/aiohttp/blob/master/aiohttp/web.py",
        ("======== Running on http://0.0.0.0:8080 ========",),
    ),
    Line(
        r"Listening on TCP address (?P<host>\S+):(?P<port>\d+)",
        _GITHUB + "django/daphne/blob/main/daphne/server.py",
        ("2026-11-24 09:30:00,123 INFO     Listening on TCP address 127.0.0.1:8000",),
    ),
    Line(
        rf"\* Listening on {_URL}",
        _GITHUB + "puma/puma/blob/master/lib/puma/binder.rb",
        ("* Listening on http://127.0.0.1:3000",),
    ),
    Line(
        r"(?:\d+ --- \[.*\] \S+ +: )?Tomcat started on port\(?s?\)?:? (?P<port>\d+) \(http\).*",
        _GITHUB + "spring-projects/spring-boot/blob/main/module/spring-boot-tomcat/",
        (
            "Tomcat started on port 8080 (http) with context path '/'",
            "2026-11-24T09:30:00.123Z  INFO 1 --- [main] o.s.b.w.e.tomcat.TomcatWebServer : Tomcat "
            "started on port(s): 8080 (http) with context path ''",
        ),
    ),
    Line(
        rf"(?:\S+ \S+ - )?Inference API bind to: {_URL}",
        _GITHUB + "pytorch/serve/blob/master/frontend/server/",
        (
            "2026-11-24T09:30:00,123 [INFO ] main org.pytorch.serve.ModelServer - Inference API "
            "bind to: http://127.0.0.1:8080",
        ),
    ),
    Line(
        rf'(?:\S+ \S+ +\d+ \S+\] )?"?Started HTTPService at {_PLACE}"?',
        _GITHUB + "triton-inference-server/server/blob/main/src/http_server.cc",
        (
            "Started HTTPService at 0.0.0.0:8000",
            'I1124 09:30:00.000000 1 http_server.cc:4725] "Started HTTPService at 0.0.0.0:8000"',
        ),
    ),
    Line(
        rf"(?:main: )?server is listening on {_URL}(?: - starting the main loop)?",
        _GITHUB + "ggml-org/llama.cpp/blob/master/tools/server/server.cpp",
        ("main: server is listening on http://127.0.0.1:8080 - starting the main loop",),
    ),
)
_PATTERNS = tuple(re.compile(line.pattern) for line in LINES)


def announced(lines: list[str]) -> list[Announcement]:
    """Where the servers of a log listen, in the order of the lines."""
    found = (_announcement(line) for line in lines)
    return [each for each in found if each]


def _announcement(line: str) -> Announcement | None:
    for text in texts_of(line):
        for pattern in _PATTERNS:
            if match := pattern.fullmatch(text):
                groups = match.groupdict()
                is_tls = groups.get("scheme") == "https"
                return Announcement(groups.get("host") or "", int(groups["port"]), is_tls)
    return None
