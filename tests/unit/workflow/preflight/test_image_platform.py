import hashlib
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chalicelib.domain.errors import DeploymentFailed, FailureCode
from chalicelib.domain.parts import Image
from chalicelib.platform import aws
from chalicelib.workflow.image import image_config
from chalicelib.workflow.preflight import image_platform
from chalicelib.workflow.preflight.subject import NotKnown, Subject
from tests.support import aws_says
from tests.support.builders import ACCOUNT, DIGEST, IMAGE, REGION, REGISTRY, deployment_of

pytestmark = pytest.mark.usefixtures("cloud")
INDEX = "application/vnd.oci.image.index.v1+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
AMD64 = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64", "variant": "v8"}
ARM_V7 = {"os": "linux", "architecture": "arm", "variant": "v7"}
ATTESTATION = {"os": "unknown", "architecture": "unknown"}
SIGNED = "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=abc"


def push(manifest: dict[str, Any], client: Any = None) -> str:
    """Push a manifest as `recommend:1` and return its digest."""
    ecr = client or aws.client("ecr")
    if not ecr.describe_repositories()["repositories"]:
        ecr.create_repository(repositoryName="recommend")
    answer = ecr.put_image(
        repositoryName="recommend", imageTag="1", imageManifest=json.dumps(manifest)
    )
    return str(answer["image"]["imageId"]["imageDigest"])


def index(*platforms: dict[str, str] | None, kind: str = INDEX) -> dict[str, Any]:
    entries = [
        {
            "mediaType": MANIFEST,
            "digest": f"sha256:{n:064x}",
            "size": 1,
            **({"platform": platform} if platform else {}),
        }
        for n, platform in enumerate(platforms)
    ]
    return {"schemaVersion": 2, "mediaType": kind, "manifests": entries}


def checked(digest: str, architecture: str = "X86_64", reference: str = IMAGE) -> bool:
    deployment = deployment_of(architecture=architecture)
    deployment.image = Image(reference=reference, digest=digest)
    return image_platform.check(Subject(deployment))


@pytest.mark.parametrize("kind", [INDEX, LIST])
@pytest.mark.parametrize("wanted", ["X86_64", "ARM64"])
def test_an_index_with_the_required_platform_is_valid(kind: str, wanted: str) -> None:
    digest = push(index(AMD64, ARM64, ATTESTATION, ATTESTATION, kind=kind))
    assert checked(digest, wanted)


def test_an_index_without_the_required_platform_is_reported_with_both_fixes() -> None:
    digest = push(index(ARM64, ATTESTATION))
    with pytest.raises(DeploymentFailed) as raised:
        checked(digest)
    fault = raised.value
    assert fault.code is FailureCode.ARCHITECTURE_MISMATCH
    assert fault.message == (
        "The image is built for ARM64 (linux/arm64), but the deployment needs X86_64."
    )
    assert "docker buildx build --platform linux/amd64" in fault.hint
    assert '"architecture": "ARM64"' in fault.hint
    assert fault.evidence["image_platforms"] == ["linux/arm64"]


def test_an_x86_64_image_is_reported_for_arm64_too() -> None:
    digest = push(index(AMD64))
    with pytest.raises(DeploymentFailed, match=r"built for X86_64 \(linux/amd64\)") as raised:
        checked(digest, "ARM64")
    assert "--platform linux/arm64" in raised.value.hint


def test_32_bit_arm_is_not_arm64() -> None:
    digest = push(index(ARM_V7))
    with pytest.raises(DeploymentFailed, match="built for linux/arm/v7, ") as raised:
        checked(digest, "ARM64")
    assert '"architecture"' not in raised.value.hint


def test_an_entry_without_a_platform_may_be_the_required_one() -> None:
    digest = push(index(ARM64, None))
    with pytest.raises(NotKnown):
        checked(digest)
    assert checked(digest, "ARM64")


def test_attestations_alone_are_inconclusive() -> None:
    digest = push(index(ATTESTATION))
    with pytest.raises(NotKnown):
        checked(digest)


def test_another_registry_is_not_called(aws_calls: list[str]) -> None:
    with pytest.raises(NotKnown, match=r"ghcr\.io is not an Amazon ECR registry"):
        checked(DIGEST, reference="ghcr.io/team/recommend:1")
    assert aws_calls == []


def test_a_registry_of_another_region_is_called_there() -> None:
    digest = push(index(ARM64), boto3.client("ecr", region_name="eu-west-1"))
    with pytest.raises(DeploymentFailed, match="ARM64"):
        checked(digest, reference=IMAGE.replace(REGION, "eu-west-1"))


def test_the_registry_is_asked_for_the_digest_in_all_forms() -> None:
    digest = push(index(AMD64))
    calls = aws_says.watch("ecr", "BatchGetImage")
    checked(digest)
    (call,) = calls
    assert (call["registryId"], call["imageIds"]) == (ACCOUNT, [{"imageDigest": digest}])
    assert set(call["acceptedMediaTypes"]) > {INDEX, LIST, MANIFEST}


def test_an_image_that_was_removed_since_it_was_resolved_is_reported() -> None:
    push(index(AMD64))
    with pytest.raises(DeploymentFailed) as raised:
        checked(DIGEST)
    assert raised.value.code is FailureCode.IMAGE_NOT_FOUND
    with pytest.raises(DeploymentFailed) as raised:
        checked(DIGEST, reference=f"{REGISTRY}/none:1")
    assert raised.value.code is FailureCode.IMAGE_NOT_FOUND


# --- a single image: its config at a presigned URL ---------------------------------------


class Registry(BaseHTTPRequestHandler):
    """Returns `content` for every path."""

    content = b""
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("registry") / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture(scope="module")
def layers(certificate: Path) -> Iterator[str]:
    """The address of a server that replaces ECR's layer bucket."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def bucket(layers: str, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr(Registry, "status", 200)
    return layers


def push_single(config: bytes, url: str, kind: str = CONFIG) -> str:
    """Push an image with one manifest. ECR serves its config at `url`."""
    Registry.content = config
    aws_says.answer("ecr", "GetDownloadUrlForLayer", {"downloadUrl": url})
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    described = {"mediaType": kind, "size": len(config), "digest": digest}
    return push(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described,
            "layers": [{"mediaType": MANIFEST, "size": 1, "digest": DIGEST}],
        }
    )


def test_a_single_images_config_reports(bucket: str) -> None:
    digest = push_single(json.dumps(ARM64).encode(), f"{bucket}/layer{SIGNED}")
    assert checked(digest, "ARM64")
    with pytest.raises(DeploymentFailed, match=r"built for ARM64 \(linux/arm64\)"):
        checked(digest)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (b"no json", "is not a JSON object"),
        (b"[]", "is not a JSON object"),
        (b"{}", "does not name a platform"),
        (b'{"os": "linux"}', "does not name a platform"),
        (b"x" * (image_config.MOST_CONFIG_BYTES + 1), "too large"),
    ],
    ids=["text", "list", "empty", "os", "large"],
)
def test_a_config_without_a_platform_is_inconclusive(
    bucket: str, config: bytes, reason: str
) -> None:
    digest = push_single(config, f"{bucket}/layer{SIGNED}")
    with pytest.raises(NotKnown, match=reason):
        checked(digest)


def test_a_config_with_another_digest_is_not_trusted(bucket: str) -> None:
    digest = push_single(json.dumps(ARM64).encode(), f"{bucket}/layer{SIGNED}")
    Registry.content = json.dumps(AMD64).encode()
    with pytest.raises(NotKnown, match="digest"):
        checked(digest)


def test_an_unavailable_config_is_inconclusive(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = push_single(json.dumps(ARM64).encode(), f"{bucket}/layer{SIGNED}")
    monkeypatch.setattr(Registry, "status", 403)
    with pytest.raises(NotKnown, match="403"):
        checked(digest)
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(NotKnown, match="SSLCertVerificationError"):
        checked(digest)


@pytest.mark.parametrize("unsafe", ["http", "unsigned"])
def test_only_a_presigned_https_url_is_requested(bucket: str, unsafe: str) -> None:
    url = f"{bucket}/layer{SIGNED}"
    url = url.replace("https", "http") if unsafe == "http" else url.partition("?")[0]
    digest = push_single(json.dumps(ARM64).encode(), url)
    with pytest.raises(NotKnown, match="no presigned URL"):
        checked(digest)


def test_an_artifact_that_is_not_an_image_is_inconclusive(bucket: str) -> None:
    helm = "application/vnd.cncf.helm.config.v1+json"
    digest = push_single(json.dumps(ARM64).encode(), f"{bucket}/layer{SIGNED}", kind=helm)
    with pytest.raises(NotKnown, match="does not name an image config"):
        checked(digest)
