"""What a deployment takes from its image: read from ECR, for the wanted platform."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib.domain.deployment import Deployment
from chalicelib.domain.errors import DeploymentFailed, FailureCode, Retryable
from chalicelib.platform import aws
from chalicelib.workflow.image import image as images
from chalicelib.workflow.image import image_config
from tests.support import aws_says
from tests.support.builders import ACCOUNT, IMAGE, MOMENT, REGION, active, deployment_of
from tests.support.layer_bucket import INDEX, MANIFEST, LayerBucket

pytestmark = pytest.mark.usefixtures("cloud")
AMD64 = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64", "variant": "v8"}
LABELS = {"slipway.health_check.path": "/up", "slipway.smoke_test.path": "/?uid=20"}
UNREAD = "values that the spec does not set have their defaults"


def config(port: int = 8080, labels: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    execution = {
        "ExposedPorts": {f"{port}/tcp": {}},
        "Labels": LABELS if labels is None else labels,
    }
    return {**AMD64, "config": execution, **more}


@pytest.fixture
def unnamed_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LayerBucket]:
    """A bucket; what ECR answers about it is not set yet."""
    with LayerBucket(tmp_path) as made:
        monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate))
        yield made


@pytest.fixture
def bucket(unnamed_bucket: LayerBucket) -> LayerBucket:
    serve(unnamed_bucket.url)
    return unnamed_bucket


def serve(url: Callable[[str], str]) -> None:
    """ECR answers `url(digest)` for each config."""

    def answer(request: dict[str, Any]) -> dict[str, str]:
        return {"downloadUrl": url(json.loads(request["body"])["layerDigest"])}

    aws_says.answer("ecr", "GetDownloadUrlForLayer", answer)


def push(manifest: dict[str, Any], tag: str = "1", client: Any = None) -> str:
    ecr = client or aws.client("ecr")
    if not ecr.describe_repositories()["repositories"]:
        ecr.create_repository(repositoryName="recommend")
    answer = ecr.put_image(
        repositoryName="recommend", imageTag=tag, imageManifest=json.dumps(manifest)
    )
    return str(answer["image"]["imageId"]["imageDigest"])


def push_index(*images: tuple[dict[str, str] | None, dict[str, Any]]) -> None:
    entries = []
    for number, (platform, manifest) in enumerate(images):
        entry = {"mediaType": MANIFEST, "size": 1, "digest": push(manifest, f"part-{number}")}
        entries.append({**entry, **({"platform": platform} if platform else {})})
    push({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})


def resolve(deployment: Deployment | None = None, **fields: Any) -> tuple[Deployment, str]:
    deployment = deployment or deployment_of(**fields)
    outcome = images.resolve(deployment)
    assert outcome.change
    outcome.change(deployment)
    return deployment, outcome.message


def values(deployment: Deployment) -> tuple[int | None, str | None, str | None]:
    spec = deployment.spec
    return spec.port, spec.health_check.path, spec.smoke_test.path


def test_a_single_image_gives_its_port_and_labels(bucket: LayerBucket) -> None:
    digest = push(bucket.manifest(config()))
    deployment, message = resolve()
    assert values(deployment) == (8080, "/up", "/?uid=20")
    assert deployment.image.digest == digest
    assert message == (
        f"{digest}; port 8080 from EXPOSE; from labels: slipway.health_check.path, "
        "slipway.smoke_test.path"
    )


def test_an_index_gives_the_image_of_the_wanted_platform(bucket: LayerBucket) -> None:
    attestation = {"os": "unknown", "architecture": "unknown"}
    push_index(
        (attestation, bucket.manifest(config(1))),
        (ARM64, bucket.manifest(config(9090, {}, **ARM64))),
        (AMD64, bucket.manifest(config(8080))),
    )
    assert values(resolve()[0]) == (8080, "/up", "/?uid=20")
    assert values(resolve(architecture="ARM64")[0]) == (9090, "/", "/")


@pytest.mark.parametrize("entry", [None, ARM64])
def test_an_index_without_the_wanted_platform_gives_the_defaults(
    bucket: LayerBucket, entry: dict[str, str] | None
) -> None:
    push_index((entry, bucket.manifest(config())))
    deployment, message = resolve()
    assert values(deployment) == (80, "/", "/")
    assert f"{UNREAD}, because the image config cannot be read: the index" in message


def test_an_index_whose_image_is_missing_gives_the_defaults(bucket: LayerBucket) -> None:
    entry = {"mediaType": MANIFEST, "size": 1, "digest": f"sha256:{1:064x}", "platform": AMD64}
    push({"schemaVersion": 2, "mediaType": INDEX, "manifests": [None, entry]})
    assert UNREAD in resolve()[1]


def test_the_callers_values_need_no_look_at_the_image(
    bucket: LayerBucket, aws_calls: list[str]
) -> None:
    push(bucket.manifest(config()))
    before = len(aws_calls)
    own = {"port": 1, "health_check": {"path": "/h"}, "smoke_test": {"method": "POST"}}
    assert values(resolve(**own)[0]) == (1, "/h", "/h")
    assert (aws_calls[before:], bucket.asked) == (["ecr.DescribeImages"], [])


def test_what_is_known_is_not_read_again(bucket: LayerBucket, aws_calls: list[str]) -> None:
    push(bucket.manifest(config()))
    deployment, _ = resolve()
    before = len(aws_calls)
    again, message = resolve(deployment)
    assert values(again) == (8080, "/up", "/?uid=20")
    assert aws_calls[before:] == []
    assert message == f"{deployment.image.digest}, resolved earlier"


@pytest.mark.parametrize(
    "registry", ["docker.io/team/x:1", "ghcr.io/t/x:1", "public.ecr.aws/t/x:1"]
)
def test_an_image_in_another_registry_gets_the_defaults(
    registry: str, aws_calls: list[str]
) -> None:
    deployment = deployment_of()
    deployment.image = deployment.image.model_copy(update={"reference": registry})
    _, message = resolve(deployment)
    host = registry.partition("/")[0]
    assert values(deployment) == (80, "/", "/")
    assert message == (
        f"not checked because {host} is not Amazon ECR; {UNREAD}, because the image config cannot "
        f"be read: {host} is not an Amazon ECR registry"
    )
    assert aws_calls == []


def test_a_registry_of_another_region_is_read_there(bucket: LayerBucket) -> None:
    client = aws.client("ecr", "eu-west-1")
    client.meta.events.register_first(
        "before-call.ecr.GetDownloadUrlForLayer",
        lambda params, **_: (aws_says._response(200), {"downloadUrl": bucket.url(digest)}),
    )
    manifest = bucket.manifest(config())
    digest = manifest["config"]["digest"]
    push(manifest, client=boto3.client("ecr", region_name="eu-west-1"))
    deployment = deployment_of()
    reference = IMAGE.replace(REGION, "eu-west-1")
    deployment.image = deployment.image.model_copy(update={"reference": reference})
    assert values(resolve(deployment)[0]) == (8080, "/up", "/?uid=20")


def test_the_registry_is_asked_in_the_account_of_the_image(bucket: LayerBucket) -> None:
    push(bucket.manifest(config()))
    calls = aws_says.watch("ecr", "GetDownloadUrlForLayer")
    resolve()
    (call,) = calls
    assert call["registryId"] == ACCOUNT
    assert call["repositoryName"] == "recommend"


# --- labels --------------------------------------------------------------------------------


def test_a_bad_label_fails_before_anything_is_created(bucket: LayerBucket) -> None:
    push(bucket.manifest(config(labels={"slipway.smoke_test.path": "https://a.example/"})))
    with pytest.raises(DeploymentFailed) as raised:
        resolve()
    assert raised.value.code is FailureCode.IMAGE_INVALID
    assert raised.value.message == (
        "The image label slipway.smoke_test.path must be a path such as /health, not "
        "'https://a.example/': start with one slash, do not use spaces, and leave out the host."
    )
    assert "LABEL" in raised.value.hint
    assert values(resolve(smoke_test={"path": "/"})[0]) == (8080, "/", "/")


def test_labels_cannot_make_the_spec_too_large(bucket: LayerBucket) -> None:
    labels = {"slipway.smoke_test.method": "POST", "slipway.smoke_test.body": f'"{"x" * 16000}"'}
    push(bucket.manifest(config(labels=labels)))
    headers = {f"X-{n}": "v" * 4096 for n in range(13)}
    with pytest.raises(DeploymentFailed, match="With the image's labels the spec has") as raised:
        resolve(smoke_test={"headers": headers})
    assert raised.value.code is FailureCode.IMAGE_INVALID


def test_unknown_labels_are_reported(bucket: LayerBucket) -> None:
    push(bucket.manifest(config(labels={"slipway.smoke_test.status": "200"})))
    assert "ignored unknown labels: slipway.smoke_test.status" in resolve()[1]


@pytest.mark.parametrize(
    ("exposed", "words"), [({}, "exposes no TCP port"), ({"1/tcp": {}, "2": {}}, "several TCP")]
)
def test_the_message_says_why_the_port_is_the_default(
    bucket: LayerBucket, exposed: dict[str, Any], words: str
) -> None:
    push(bucket.manifest({**AMD64, "config": {"ExposedPorts": exposed}}))
    deployment, message = resolve()
    assert deployment.spec.port == 80
    assert "port 80, because the image" in message
    assert words in message


# --- a registry that cannot be read ----------------------------------------------------------


@pytest.mark.parametrize("operation", ["BatchGetImage", "GetDownloadUrlForLayer"])
@pytest.mark.parametrize(
    ("code", "status"), [("AccessDeniedException", 400), ("NotImplemented", 501)]
)
def test_a_refused_call_gives_the_defaults(
    unnamed_bucket: LayerBucket, operation: str, code: str, status: int
) -> None:
    push(unnamed_bucket.manifest(config()))
    aws_says.refuse("ecr", operation, code, status=status)
    deployment, message = resolve()
    assert values(deployment) == (80, "/", "/")
    assert f"cannot be read: {operation} returned {code}" in message


@pytest.mark.parametrize("operation", ["BatchGetImage", "GetDownloadUrlForLayer"])
def test_a_throttled_call_is_left_to_the_step_frame(
    unnamed_bucket: LayerBucket, operation: str
) -> None:
    push(unnamed_bucket.manifest(config()))
    aws_says.refuse("ecr", operation, "ThrottlingException")
    with pytest.raises(ClientError):
        resolve()


def attempt(deployment: Deployment, number: int) -> None:
    for _ in range(number):
        deployment.begin_step("resolve_image", "x", MOMENT, MOMENT)


def test_a_failed_download_is_tried_again_and_then_gives_the_defaults(bucket: LayerBucket) -> None:
    push(bucket.manifest(config()))
    bucket.answers = [(503, "")]
    deployment = deployment_of()
    attempt(deployment, 1)
    with pytest.raises(Retryable, match="returned 503"):
        resolve(deployment)
    assert values(resolve(deployment)[0]) == (8080, "/up", "/?uid=20")
    bucket.answers = [(503, "")]
    last = deployment_of()
    attempt(last, 4)
    assert "returned 503" in resolve(last)[1]
    assert values(last) == (80, "/", "/")


def test_a_look_outside_a_step_does_not_wait_for_another_download(bucket: LayerBucket) -> None:
    push(bucket.manifest(config()))
    bucket.answers = [(500, "")]
    assert "returned 500" in resolve()[1]


def test_a_denied_download_is_final(bucket: LayerBucket) -> None:
    push(bucket.manifest(config()))
    bucket.answers = [(403, "")]
    deployment = deployment_of()
    attempt(deployment, 1)
    assert "returned 403" in resolve(deployment)[1]


def test_a_redirect_to_another_presigned_url_is_followed(bucket: LayerBucket) -> None:
    """Amazon S3 redirects to the region of a new bucket."""
    manifest = bucket.manifest(config())
    push(manifest)
    bucket.answers = [(307, bucket.url(manifest["config"]["digest"]))]
    assert values(resolve()[0]) == (8080, "/up", "/?uid=20")
    assert len(bucket.asked) == 2


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1:1/", "http://169.254.169.254/latest/", "file:///etc/passwd", "/x"],
)
def test_a_redirect_to_another_place_is_not_followed(bucket: LayerBucket, location: str) -> None:
    push(bucket.manifest(config()))
    bucket.answers = [(302, location)]
    assert "no presigned URL" in resolve()[1]
    assert len(bucket.asked) == 1


def test_redirects_are_limited(bucket: LayerBucket) -> None:
    push(bucket.manifest(config()))
    bucket.answers = [(307, bucket.url("x"))] * 10
    assert "redirected too often" in resolve()[1]
    assert len(bucket.asked) == image_config.MOST_REDIRECTS + 1


def test_a_config_with_another_digest_is_not_used(bucket: LayerBucket) -> None:
    manifest = bucket.manifest(config())
    push(manifest)
    bucket.blobs[manifest["config"]["digest"]] = json.dumps(config(1)).encode()
    assert "does not match its digest" in resolve()[1]


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff", b'"text"', b""])
def test_a_config_that_is_no_object_gives_the_defaults(bucket: LayerBucket, content: bytes) -> None:
    push(bucket.manifest(content))
    assert "is not a JSON object" in resolve()[1]


# --- a local registry ------------------------------------------------------------------------


@pytest.fixture
def local_blobs() -> Iterator[tuple[str, dict[str, bytes]]]:
    """The URL of a server on loopback without TLS, as the local stack has it, and its blobs."""
    blobs: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = blobs[self.path.partition("?")[0].strip("/")]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", blobs
    server.shutdown()
    thread.join()
    server.server_close()


def test_only_an_emulator_may_serve_configs_on_loopback(
    unnamed_bucket: LayerBucket,
    local_blobs: tuple[str, dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, blobs = local_blobs
    push(unnamed_bucket.manifest(config()))
    blobs |= unnamed_bucket.blobs
    served = [url]
    serve(lambda digest: f"{served[0]}/{digest}")
    assert "no presigned URL" in resolve()[1]
    monkeypatch.setattr(aws.client("ecr").meta, "_endpoint_url", "http://127.0.0.1:4566")
    assert values(resolve()[0]) == (8080, "/up", "/?uid=20")
    served[0] = "http://10.0.0.1"
    assert "no presigned URL" in resolve()[1]


# --- later operations ------------------------------------------------------------------------


def test_a_new_image_is_read_in_an_update(bucket: LayerBucket) -> None:
    push(bucket.manifest(config()))
    deployment = active()
    deployment.update(deployment.spec.model_copy(update={"image": IMAGE}), MOMENT, new_image=True)
    assert deployment.spec.port is None
    assert values(resolve(deployment)[0]) == (8080, "/up", "/?uid=20")
