"""A server in the place of the bucket from which Amazon ECR serves image configs."""

import hashlib
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support import certificates

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
SIGNED = "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=abc"


class LayerBucket:
    """Serves blobs at presigned HTTPS URLs. A client trusts it with SSL_CERT_FILE=`certificate`.

    Attributes:
        answers: (status, Location or "") of the next responses, before blobs are served.
        asked: the path of every request.
    """

    def __init__(self, folder: Path) -> None:
        self.blobs: dict[str, bytes] = {}
        self.answers: list[tuple[int, str]] = []
        self.asked: list[str] = []
        self.certificate = folder / "bucket.pem"
        self.certificate.write_bytes(b"".join(certificates.make("localhost")))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def put(self, config: Any) -> str:
        """Store a config, and return its digest."""
        content = config if isinstance(config, bytes) else json.dumps(config).encode()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return digest

    def manifest(self, config: Any) -> dict[str, Any]:
        """The manifest of an image with this config, which is stored."""
        digest = self.put(config)
        # Moto makes the digest of an image from its layers only.
        layer = self.put(b"layer of " + digest.encode())
        return {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": 1, "digest": digest},
            "layers": [{"mediaType": MANIFEST, "size": 1, "digest": layer}],
        }

    def url(self, digest: str) -> str:
        return f"https://localhost:{self._server.server_port}/{digest}{SIGNED}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                bucket.asked.append(self.path)
                digest = self.path.partition("?")[0].strip("/")
                status, location = bucket.answers.pop(0) if bucket.answers else (200, "")
                content = bucket.blobs[digest] if status == 200 else b""
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Log nothing."""

        return Handler
