"""Calls that exceed their deadline are cut off."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from chalicelib.platform.deadline import Connections, within
from tests.support import certificates
from tests.support.subscribers import Endless


@pytest.fixture(params=["http", "https"])
def endless(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    context = None
    if request.param == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        key, certificate = tmp_path / "key", tmp_path / "certificate"
        for path, pem in zip((key, certificate), certificates.make("localhost"), strict=True):
            path.write_bytes(pem)
        context.load_cert_chain(certificate, key)
    with Endless(context) as server:
        yield f"{request.param}://localhost:{server.port}/"


def test_an_endless_response_is_cut_off(endless: str, tmp_path: Path) -> None:
    session, ended = requests.Session(), threading.Event()
    session.trust_env = False
    connections = Connections(session)
    verify = str(tmp_path / "certificate") if endless.startswith("https") else None

    def call() -> None:
        try:
            session.post(endless, data=b"{}", timeout=(3, 7), verify=verify)
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        within(timedelta(seconds=0.5), call, connections.cut)
    assert ended.wait(10)


def test_nothing_starts_after_the_cutoff() -> None:
    """For example because a DNS lookup took too long."""
    session = requests.Session()
    connections = Connections(session)
    connections.cut()
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(OSError, match="limit has passed"),
    ):
        session.post(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout=1)
