"""The smoke test with HTTPS, with a domain, and with restricted callers."""

import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import NotReady
from chalicelib.platform.settings import settings
from chalicelib.workflow import https, smoke_test
from tests.support import certificates
from tests.support.builders import CERTIFICATE, DOMAIN, MOMENT, deployment_of

pytestmark = pytest.mark.usefixtures("world")
Serve = Callable[..., None]


def running(**fields: Any) -> Deployment:
    deployment = deployment_of(**fields)
    deployment.begin_step("smoke_test", "1/converge/smoke_test/0", MOMENT, MOMENT)
    return deployment


@pytest.fixture
def heard() -> dict[str, Any]:
    """The server name that the client requested, and its Host header."""
    return {}


@pytest.fixture
def serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: dict[str, Any]
) -> Iterator[Serve]:
    """Start an HTTPS load balancer with a certificate for `name`, trusted if `trusted`."""
    servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard["host"] = self.headers["Host"]
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    def start(name: str, *, trusted: bool = False) -> None:
        path = tmp_path / "certificate.pem"
        path.write_bytes(b"".join(certificates.make(name)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        context.sni_callback = lambda _, asked, __: heard.update(name=asked)
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append((server, thread))
        url = f"{{scheme}}://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("LOAD_BALANCER_URL", url)
        settings.cache_clear()
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(path))

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_request_to_the_load_balancer_names_the_domain(
    serve: Serve, heard: dict[str, Any]
) -> None:
    serve(DOMAIN, trusted=True)
    outcome = smoke_test.run(running(certificate_arn=CERTIFICATE, domain=DOMAIN))
    assert outcome.prediction and outcome.prediction.status == 200
    assert heard == {"name": DOMAIN, "host": DOMAIN}
    assert "issuer" not in outcome.message


def test_a_private_issuer_is_noted_and_accepted(serve: Serve) -> None:
    serve(DOMAIN)
    outcome = smoke_test.run(running(certificate_arn=CERTIFICATE, domain=DOMAIN))
    assert outcome.prediction
    assert (
        "Slipway does not know the certificate's issuer: self-signed certificate" in outcome.message
    )


def test_a_certificate_for_another_name_is_refused(serve: Serve) -> None:
    serve("other.example.com", trusted=True)
    with pytest.raises(NotReady, match="Hostname mismatch"):
        smoke_test.run(running(certificate_arn=CERTIFICATE, domain=DOMAIN))


def test_without_a_domain_the_certificates_name_is_not_verified(
    serve: Serve, heard: dict[str, Any]
) -> None:
    serve("other.example.com")
    outcome = smoke_test.run(running(certificate_arn=CERTIFICATE))
    assert outcome.prediction
    assert heard["host"].startswith("127.0.0.1:")


def test_an_old_protocol_is_refused() -> None:
    made = https.connection("127.0.0.1:1", None, 1, verified=False)
    assert made._tls.minimum_version >= ssl.TLSVersion.TLSv1_2  # type: ignore[attr-defined]


def test_with_restricted_callers_the_test_is_skipped(aws_calls: list[str]) -> None:
    outcome = smoke_test.run(running(ingress_cidrs=["203.0.113.0/24"]))
    assert (outcome.status, outcome.prediction, aws_calls) == ("skipped", None, [])
    assert (
        outcome.message == "ingress_cidrs restricts callers, and Slipway's IP address is not fixed"
    )
