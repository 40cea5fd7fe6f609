"""AWS in process by moto, with the template's table and a model that responds."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from moto import mock_aws

from chalicelib.platform import aws
from chalicelib.platform.settings import settings
from chalicelib.resources import tasks
from local.network import open_default_vpc
from tests.support.in_process import ENVIRONMENT, make_table
from tests.workflow.world import Clients, World, fixed_response


class Model(BaseHTTPRequestHandler):
    """A server that replaces the load balancer for the smoke test.

    It responds as a model behind a listener, or with the fixed response of a listener rule.
    """

    def do_GET(self) -> None:
        fixed = fixed_response()
        body = json.dumps({"recommendations": ["Heat"]}).encode()
        if fixed:
            body = fixed["MessageBody"].encode()
        self.send_response(int(fixed["StatusCode"]) if fixed else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@pytest.fixture(scope="session")
def model_url() -> Iterator[str]:
    """The URL of a model that responds on every path."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def clients() -> Clients:
    """The boto3 clients that all tests here share."""
    return Clients()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, clients: Clients, model_url: str) -> Iterator[World]:
    """An empty AWS account with Slipway's table, and the sample image in its registry."""
    environment = {
        **ENVIRONMENT,
        "LOAD_BALANCER_URL": model_url,
        # The execution's waits take no time, so no step may wait for the real clock.
        "TIME_SCALE": "0",
        # moto's services run this many tasks from their creation.
        "MOTO_ECS_SERVICE_RUNNING": "1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(aws, "client", clients)
    settings.cache_clear()
    with mock_aws():
        make_table(clients("dynamodb"))
        open_default_vpc(clients("ec2"))
        made = World(clients)
        monkeypatch.setattr(tasks, "describe", made.describe_tasks)
        yield made
    settings.cache_clear()
