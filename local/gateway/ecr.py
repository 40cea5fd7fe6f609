"""Completes ECR: the URLs of layers and image configs, and the login for its registry."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace

from local.gateway import wire
from local.gateway.access import Signer
from local.gateway.messages import HttpAnswer, HttpRequest
from local.gateway.relay import Forward
from local.gateway.wire import AwsError, Call

PREFIX = "AmazonEC2ContainerRegistry_V20150921."
OPERATIONS = ("GetDownloadUrlForLayer", "GetAuthorizationToken")


class Ecr:
    """The part of the gateway that completes ECR.

    MiniStack keeps what a client pushes with the registry's own protocol, below `/v2/`, but it
    answers a download URL on the internet.
    """

    def __init__(self, own_url: str, signer: Signer, secret: str) -> None:
        """Args: own_url: the gateway's URL; secret: the password of the registry's login."""
        self._own_url, self._signer, self._secret = own_url, signer, secret

    def wants(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        """See `Handler`."""
        target = headers.get("X-Amz-Target", "")
        return target.startswith(PREFIX) and target.removeprefix(PREFIX) in OPERATIONS

    async def handle(self, request: HttpRequest, forward: Forward) -> HttpAnswer:
        """See `Handler`."""
        answered = await forward(request)
        if answered.failed:
            return answered
        params, answer = json.loads(request.body), json.loads(answered.body)
        if "authorizationData" in answer:
            login = base64.b64encode(f"AWS:{self._secret}".encode()).decode()
            for data in answer["authorizationData"]:
                data["authorizationToken"] = login
        else:
            repository, digest = params["repositoryName"], params["layerDigest"]
            path = f"/v2/{repository}/blobs/{digest}"
            head = replace(request, method="HEAD", path=path, headers={}, body=b"")
            if (await forward(head)).status != 200:
                return wire.write_error(
                    Call("ecr", "GetDownloadUrlForLayer", params),
                    AwsError(
                        "LayersNotFoundException",
                        f"The layer with digest '{digest}' does not exist within the repository "
                        f"with name '{repository}'",
                    ),
                )
            answer["downloadUrl"] = self._own_url + self._signer.signed(path)
        return HttpAnswer(answered.status, answered.headers, json.dumps(answer).encode())
