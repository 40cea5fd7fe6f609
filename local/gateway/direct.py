"""The gateway's own calls to MiniStack, in the JSON protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.emulator import REGION, Aws
from local.gateway.messages import HttpRequest
from local.gateway.relay import Forward
from local.gateway.wire import AwsError


class Direct:
    """Calls MiniStack with its root access key."""

    def __init__(self, emulator: Aws) -> None:
        self._url = emulator.aws_endpoint_url
        self._credentials = Credentials(emulator.aws_access_key_id, emulator.aws_secret_access_key)

    async def ask(
        self, forward: Forward, service: str, target: str, params: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the answer, with times as numbers.

        Args:
            service: the name in the signature, such as "ecs".
            target: the value of X-Amz-Target.

        Raises:
            AwsError: MiniStack refused the call.
        """
        body = json.dumps(params).encode()
        headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
        request = AWSRequest("POST", f"{self._url}/", headers, body)
        SigV4Auth(self._credentials, service, REGION).add_auth(request)
        answered = await forward(HttpRequest("POST", "/", dict(request.headers.items()), body))
        answer: dict[str, Any] = json.loads(answered.body or b"{}")
        if answered.failed:
            raise AwsError(answer.get("__type", ""), answer.get("message", ""), answered.status)
        return answer
