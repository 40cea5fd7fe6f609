"""Trains the sample model if necessary, and puts its image into the emulator's registry."""

import base64
import fcntl
import hashlib
import json
import shlex
import subprocess
import sys
import tempfile
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local.emulator import ACCOUNT_ID, REGION, Endpoint, client, open_url

ROOT = Path(__file__).resolve().parent.parent
CONTAINER = ROOT / "container"
REPOSITORY = "recommend"
# The last two cannot serve: "crash" exits at its start, and "arm64" is built for that architecture.
ARCHITECTURES = {"1": "amd64", "2": "amd64", "crash": "amd64", "arm64": "arm64"}
TAGS = tuple(ARCHITECTURES)
IMAGE = f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/{REPOSITORY}:{TAGS[0]}"
IMAGE_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


class TrainingError(Exception):
    """The sample model could not be trained; the message ends with the output of train.py."""


def train(cache: Path = ROOT / ".cache") -> Path:
    """Return the trained model; train it first if no model for the current inputs exists.

    Raises:
        TrainingError: train.py failed.
    """
    key = hashlib.sha256()
    inputs = [*CONTAINER.glob("*.py"), *CONTAINER.glob("requirements*.txt")]
    inputs.remove(CONTAINER / "recommend.py")  # it only serves the model
    inputs += (path for path in (CONTAINER / "data").rglob("*") if path.is_file())
    for path in sorted(inputs):
        key.update(path.relative_to(CONTAINER).as_posix().encode() + b"\0" + path.read_bytes())
    model = cache / "models" / f"{key.hexdigest()[:20]}.npz"
    report = report_of(model)
    model.parent.mkdir(parents=True, exist_ok=True)
    with (model.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second process waits for the model of the first
        if not (model.exists() and report.exists()):
            # In a folder of its own, so that an interrupted training leaves no model behind.
            with tempfile.TemporaryDirectory(dir=model.parent) as folder:
                unfinished = Path(folder, model.name)
                command = [sys.executable, "train.py", "--out", str(unfinished)]
                done = subprocess.run(command, cwd=CONTAINER, capture_output=True, text=True)
                if done.returncode:
                    raise TrainingError(
                        f"Training the sample model failed:\n{done.stdout}{done.stderr}"
                    )
                report.write_text(done.stdout)
                unfinished.replace(model)
    return model


def report_of(model: Path) -> Path:
    """The file with what train.py printed when it made the model."""
    return model.with_suffix(".txt")


def push_images(aws: Endpoint) -> None:
    """Push one image for each tag: an index, a manifest and a config, without layers."""
    ecr = client("ecr", aws)
    try:
        ecr.create_repository(repositoryName=REPOSITORY)
    except ClientError as error:
        if error.response["Error"]["Code"] != "RepositoryAlreadyExistsException":
            raise
    for tag in TAGS:
        _push_blob(aws, _config(tag))
        image = _image_manifest(tag)
        index = _index_manifest(tag, image)
        for media_type, manifest, named in (
            (IMAGE_TYPE, image, {"imageDigest": _digest(image)}),
            (INDEX_TYPE, index, {"imageTag": tag}),
        ):
            ecr.put_image(
                repositoryName=REPOSITORY,
                imageManifest=manifest,
                imageManifestMediaType=media_type,
                **named,
            )


def tag_of(reference: str) -> str | None:
    """Return the tag of a reference to the sample image by tag or digest; None for other images."""
    name, _, digest = reference.partition("@")
    repository, _, tag = name.partition("/")[2].partition(":")
    if repository != REPOSITORY:
        return None
    digests = {_digest(_index_manifest(tag, _image_manifest(tag))): tag for tag in TAGS}
    return digests.get(digest) if digest else tag if tag in TAGS else None


def _push_blob(aws: Endpoint, content: str) -> None:
    """Upload a blob in one request, as the registry's protocol allows.

    https://github.com/opencontainers/distribution-spec/blob/main/spec.md#single-post
    """
    login = base64.b64encode(f"AWS:{aws.aws_secret_access_key}".encode()).decode()
    url = f"{aws.aws_endpoint_url}/v2/{REPOSITORY}/blobs/uploads/?digest={_digest(content)}"
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, content.encode(), headers, method="POST")
    with open_url(request, timeout=10):
        pass


@cache
def _config(tag: str) -> str:
    """Return the image config, with what container/Dockerfile declares.

    https://github.com/opencontainers/image-spec/blob/main/config.md
    """
    declared = _declared((CONTAINER / "Dockerfile").read_text())
    declared["Labels"]["version"] = tag  # so that every tag is another image
    layers = {"type": "layers", "diff_ids": [_digest(f"content of version {tag}")]}
    platform = {"architecture": ARCHITECTURES[tag], "os": "linux"}
    return json.dumps({**platform, "config": declared, "rootfs": layers})


def _declared(dockerfile: str) -> dict[str, dict[str, Any]]:
    """Return the ports and labels that a Dockerfile declares, as an image config contains them."""
    declared: dict[str, dict[str, Any]] = {"ExposedPorts": {}, "Labels": {}}
    for line in dockerfile.replace("\\\n", " ").splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if instruction == "EXPOSE":
            ports = (word if "/" in word else f"{word}/tcp" for word in rest.split())
            declared["ExposedPorts"] |= {port: {} for port in ports}
        elif instruction == "LABEL":
            pairs = (word.partition("=") for word in shlex.split(rest))
            declared["Labels"] |= {name: value for name, _, value in pairs}
    return declared


@cache
def _image_manifest(tag: str) -> str:
    config, layer = _config(tag), f"layer of version {tag}"
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE_TYPE,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
        }
    )


def _index_manifest(tag: str, image: str) -> str:
    platform = {"architecture": ARCHITECTURES[tag], "os": "linux"}
    manifests = [_descriptor(IMAGE_TYPE, image) | {"platform": platform}]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests})


def _descriptor(media_type: str, content: str) -> dict[str, Any]:
    return {"mediaType": media_type, "size": len(content), "digest": _digest(content)}


def _digest(content: str) -> str:
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"
