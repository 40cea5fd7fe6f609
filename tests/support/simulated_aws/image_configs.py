"""The configs of images, which ECR serves at presigned URLs and moto does not know."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
from types import SimpleNamespace
from typing import Any

from tests.support.simulated_aws.aws import Answer, AwsError, ServiceRule

BUCKET = "https://prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


class ImageConfigs(ServiceRule):
    """The configs by digest.

    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetDownloadUrlForLayer.html
    """

    service = "ecr"

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}

    def manifest(self, tag: str, execution: dict[str, Any]) -> dict[str, Any]:
        """The manifest of a new image for linux/amd64.

        Args:
            execution: the member `config` of its config: `ExposedPorts`, `Labels`.
        """
        config = {"os": "linux", "architecture": "amd64", "config": execution}
        content = json.dumps(config).encode()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._contents[digest] = content
        layer = f"sha256:{hashlib.sha256(tag.encode() + content).hexdigest()}"
        return {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "size": len(content), "digest": digest},
            "layers": [{"mediaType": MANIFEST_TYPE, "size": 1, "digest": layer}],
        }

    def _before_GetDownloadUrlForLayer(self, params: dict[str, Any]) -> Answer:
        digest = params["layerDigest"]
        if digest not in self._contents:
            raise AwsError("LayersNotFoundException", f"The layer {digest} does not exist")
        return {"downloadUrl": f"{BUCKET}/{digest}?X-Amz-Signature=x", "layerDigest": digest}

    def http(self) -> SimpleNamespace:
        """Replaces the module `http` where configs are downloaded."""
        contents = self._contents

        class Connection:
            """A connection to the bucket."""

            def __init__(self, netloc: str, timeout: float) -> None:
                assert BUCKET.endswith(netloc), netloc

            def request(self, method: str, path: str) -> None:
                self._body = io.BytesIO(contents[path.partition("?")[0].strip("/")])

            def getresponse(self) -> SimpleNamespace:
                return SimpleNamespace(status=http.client.OK, read1=self._body.read)

            def close(self) -> None:
                """Nothing is open."""

        client = SimpleNamespace(
            HTTPConnection=Connection,
            HTTPSConnection=Connection,
            HTTPException=http.client.HTTPException,
            OK=http.client.OK,
            INTERNAL_SERVER_ERROR=http.client.INTERNAL_SERVER_ERROR,
        )
        return SimpleNamespace(client=client)
