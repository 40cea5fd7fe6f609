"""boto3 and moto with less work per call, for tests that do not check the HTTP requests.

- Creating a client takes up to 160 ms. `Clients` creates each client once, and gives it to each
  test with the event handlers that it had when it was new.
- Most calls of a test read or write the table. `answer_from_table` answers the two most frequent
  ones from moto's table, without HTTP. All other calls, including errors, go through moto as usual.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.hooks import HierarchicalEmitter

from tests.support.simulated_aws.aws import Call
from tests.support.simulated_aws.emulator import table_answer

Create = Callable[..., Any]


class Clients:
    """The clients of all tests in this process. `create` is `boto3.Session.client`."""

    def __init__(self, create: Create) -> None:
        self._create = create
        self._created: dict[str, tuple[Any, HierarchicalEmitter]] = {}

    def get(self, session: Any, service: str, **options: Any) -> Any:
        """The client for these options in this environment, reset to its initial handlers."""
        key = repr((service, _plain(options), _environment()))
        if key not in self._created:
            client = self._create(session, service, **options)
            self._created[key] = client, copy.copy(_emitter(client))
        client, as_new = self._created[key]
        # The emitter itself stays, because the client's parts share it.
        vars(_emitter(client)).update(vars(copy.copy(as_new)))
        return client


def answer_from_table(model: Any, params: dict[str, Any], **_: Any) -> Any:
    """A handler of botocore's `before-call`. None lets the call continue."""
    if model.service_model.service_name != "dynamodb":
        return None
    answer = table_answer(Call("dynamodb", model.name, json.loads(params["body"])))
    return None if answer is None else (AWSResponse(params["url"], 200, {}, None), answer)


def _emitter(client: Any) -> Any:
    """The emitter inside the one that translates old event names."""
    return client.meta.events._emitter


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    config = options.get("config")
    return {**options, "config": config and config._user_provided_options}


def _environment() -> list[tuple[str, str]]:
    """The environment without the credentials, which moto sets and no response depends on."""
    return sorted(
        (name, value)
        for name, value in os.environ.items()
        if name.startswith("AWS_") and name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    )
