"""boto3 and moto with less work per call, for tests that do not check the HTTP requests.

- Creating a client takes up to 160 ms. `Clients` creates each client once, and gives it to each
  test with the event handlers that it had when it was new.
- `answer` gives the calls of the busiest services to moto's own handlers, without HTTP. boto3 still
  validates the parameters, and the other event handlers of a test are called as usual.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.hooks import HierarchicalEmitter
from moto.core.models import botocore_stubber

from tests.support.simulated_aws import short_way
from tests.support.simulated_aws.aws import AwsError, Call
from tests.support.simulated_aws.emulator import moto_answer

PARAMETERS = "parameters of boto3"
Create = Callable[..., Any]


class Watched(HierarchicalEmitter):
    """An emitter that records whether its handlers were changed."""

    changed = False

    def _register_section(self, *args: Any, **options: Any) -> None:
        self.changed = True
        super()._register_section(*args, **options)

    def unregister(self, *args: Any, **options: Any) -> None:
        self.changed = True
        super().unregister(*args, **options)


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
            _emitter(client).__class__ = Watched
        client, as_new = self._created[key]
        if _emitter(client).changed:
            # The emitter itself stays, because the client's parts share it.
            vars(_emitter(client)).update(vars(copy.copy(as_new)), changed=False)
        return client


def keep_parameters(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    """A handler of botocore's `before-parameter-build`. Keeps the parameters for `answer`."""
    context[PARAMETERS] = params


def answer(model: Any, params: dict[str, Any], context: dict[str, Any], **_: Any) -> Any:
    """A handler of botocore's `before-call`. None lets the call continue."""
    service = model.service_model.service_name
    if service not in short_way.HANDLERS or not botocore_stubber.enabled:
        return None
    call = Call(service, model.name, context[PARAMETERS])
    try:
        parsed, status = moto_answer(call, context["client_region"]), 200
    except AwsError as error:
        status = error.status
        parsed = {
            "Error": {"Code": error.code, "Message": error.message},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 0},
        }
    return None if parsed is None else (AWSResponse(params["url"], status, {}, None), parsed)


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
