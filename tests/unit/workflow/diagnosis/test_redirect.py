"""A request through the load balancer shows where the health check's path redirects to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chalicelib.platform.settings import settings
from chalicelib.workflow.diagnosis import redirect, unhealthy
from chalicelib.workflow.diagnosis.redirect import Redirect
from tests.support.builders import deployment_of
from tests.unit.workflow.conftest import World, target

HEALTH = [
    {
        "state": "unhealthy",
        "reason": "Target.ResponseCodeMismatch",
        "description": "Health checks failed with these codes: [301]",
    }
]


@dataclass
class Container:
    """A container that redirects. `locations`: path -> Location; other paths return `status`."""

    locations: dict[str, str] = field(default_factory=dict)
    status: int = 200
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def container(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Container]:
    """The container behind the load balancer, whose only target is unhealthy."""
    world.targets = [target("unhealthy", "Target.ResponseCodeMismatch")]
    made = Container()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            location = made.locations.get(self.path)
            self.send_response(301 if location else made.status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("LOAD_BALANCER_URL", f"http://127.0.0.1:{server.server_port}")
    settings.cache_clear()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_path_that_answers_is_found(container: Container) -> None:
    container.locations = {"/": "/docs", "/docs": "docs/"}

    verdict, evidence = unhealthy.examine(deployment_of(health_check={"status": "200"}), HEALTH, [])

    assert container.asked == ["/", "/docs", "/docs/"]
    assert evidence == {"redirect_location": "/docs"}
    assert '"/docs/", which returned 200' in verdict.hint


@pytest.mark.parametrize(
    "location", ["https://127.0.0.1/", "http://www.example.com/", "//evil.example/x"]
)
def test_another_scheme_or_host_is_not_requested(container: Container, location: str) -> None:
    container.locations = {"/": location}

    assert redirect.find(deployment_of()) == Redirect(location)
    assert container.asked == ["/"]


def test_a_redirect_loop_ends(container: Container) -> None:
    container.locations = {"/": "/"}

    assert redirect.find(deployment_of()) == Redirect("/")
    assert len(container.asked) == redirect.MOST_REQUESTS


def test_a_container_without_a_redirect_shows_nothing(container: Container) -> None:
    assert redirect.find(deployment_of()) is None


def test_a_healthy_target_would_answer_instead(container: Container, world: World) -> None:
    container.locations = {"/": "/docs"}
    world.targets = [target("unhealthy", "Target.Timeout"), target("healthy", n=2)]

    assert redirect.find(deployment_of()) is None
    assert container.asked == []


def test_a_load_balancer_that_is_not_active_is_not_requested(
    container: Container, world: World
) -> None:
    world.state = "provisioning"

    assert redirect.find(deployment_of()) is None
    assert container.asked == []


def test_a_restricted_load_balancer_is_not_requested(container: Container) -> None:
    assert redirect.find(deployment_of(ingress_cidrs=["10.0.0.0/8"])) is None
    assert container.asked == []


def test_other_codes_need_no_request(container: Container) -> None:
    health = [{**HEALTH[0], "description": "Health checks failed with these codes: [404]"}]

    assert unhealthy.examine(deployment_of(), health, [])[1] == {}
    assert container.asked == []


def test_a_host_without_a_server_shows_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.targets = [target("unhealthy", "Target.Timeout")]
    monkeypatch.setenv("LOAD_BALANCER_URL", "http://127.0.0.1:1")
    settings.cache_clear()

    assert redirect.find(deployment_of()) is None
