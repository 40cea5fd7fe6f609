"""ECR through the gateway: the blobs of images, and the registry's own protocol."""

from __future__ import annotations

import hashlib
import json
import urllib.error
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import sample
from local.emulator import Aws, client, open_url


@pytest.fixture(scope="module")
def ecr(aws: Aws) -> Any:
    """A client, after the sample's images were pushed."""
    sample.push_images(aws)
    return client("ecr", aws)


def document(ecr: Any, **image: str) -> dict[str, Any]:
    """The manifest or index of an image."""
    answer = ecr.batch_get_image(repositoryName=sample.REPOSITORY, imageIds=[image])
    return dict(json.loads(answer["images"][0]["imageManifest"]))


def test_the_config_of_an_image_can_be_read_through_its_index(ecr: Any) -> None:
    index = document(ecr, imageTag="1")
    manifest = document(ecr, imageDigest=index["manifests"][0]["digest"])
    described = manifest["config"]

    answer = ecr.get_download_url_for_layer(
        repositoryName=sample.REPOSITORY, layerDigest=described["digest"]
    )
    with open_url(answer["downloadUrl"], timeout=10) as response:
        content = response.read()

    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == described["digest"]
    assert len(content) == described["size"]
    config = json.loads(content)
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    assert config["config"]["ExposedPorts"] == {"80/tcp": {}}


def test_a_layer_that_was_not_pushed_has_no_url(ecr: Any) -> None:
    manifest = document(ecr, imageDigest=document(ecr, imageTag="1")["manifests"][0]["digest"])
    with pytest.raises(ClientError) as raised:
        ecr.get_download_url_for_layer(
            repositoryName=sample.REPOSITORY, layerDigest=manifest["layers"][0]["digest"]
        )
    assert raised.value.response["Error"]["Code"] == "LayersNotFoundException"


def test_a_blob_cannot_be_read_without_its_signature(ecr: Any, aws: Aws) -> None:
    manifest = document(ecr, imageDigest=document(ecr, imageTag="1")["manifests"][0]["digest"])
    digest = manifest["config"]["digest"]
    url = f"{aws.aws_endpoint_url}/v2/{sample.REPOSITORY}/blobs/{digest}"
    for attempt in (url, f"{url}?X-Local-Signature=0", f"{url}?X-Local-Signature="):
        with pytest.raises(urllib.error.HTTPError) as raised:
            open_url(attempt, timeout=10)
        assert raised.value.code == 401


def test_the_ports_and_labels_of_a_dockerfile_are_declared() -> None:
    dockerfile = 'FROM a\nLABEL a.b="x y" \\\n  c=/d?e=1\nEXPOSE 80 53/udp\nCMD ["EXPOSE 1"]\n'
    assert sample._declared(dockerfile) == {
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Labels": {"a.b": "x y", "c": "/d?e=1"},
    }
