"""Calls moto without HTTP.

moto's handler gets boto3's parameters, and this module reads its result with the output shape.

Through HTTP, a call is serialized, signed, routed, parsed, answered in XML or JSON, and parsed
again. That takes ten times as long as moto's own work. Here, only moto's handler runs. moto's own
code (`XFormedAttributePicker`) finds the response's members in its objects; the result is cached
for each class. `test_short_way.py` compares the two ways.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any

from botocore.utils import parse_to_aware_datetime
from moto.core.errors import get_error_model
from moto.core.exceptions import HTTPException, ServiceException
from moto.core.model import Shape
from moto.core.responses import ActionResult, BaseResponse
from moto.core.serialize import AttributePickerContext, XFormedAttributePicker
from moto.core.utils import MISSING, camelcase_to_underscores, get_service_model, get_value
from moto.dynamodb.responses import DynamoHandler
from moto.ec2.responses import EC2Response
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.elbv2.responses import ELBV2Response
from moto.resourcegroupstaggingapi.responses import ResourceGroupsTaggingAPIResponse

from tests.support.simulated_aws.aws import Answer, AwsError, Call

Read = Callable[[Any], Any]
REFUSALS = (ServiceException, HTTPException)

# The services with the most calls. All their handlers take parsed parameters and return an
# `ActionResult`.
HANDLERS: dict[str, type[BaseResponse]] = {
    "dynamodb": DynamoHandler,
    "ec2": EC2Response,
    "ecs": EC2ContainerServiceResponse,
    "elbv2": ELBV2Response,
    "resourcegroupstaggingapi": ResourceGroupsTaggingAPIResponse,
}


def answer(call: Call, account: str, region: str) -> Answer:
    """moto's response as boto3 returns it, without `ResponseMetadata`.

    Raises the exception of moto's handler, one of `REFUSALS`. The call then had no effect.
    """
    handler: Any = HANDLERS[call.service]()
    handler.params = deepcopy(call.params)  # moto keeps parts of the parameters
    handler.body = handler.params  # the name in some handlers
    handler.current_account, handler.region, handler.partition = account, region, "aws"
    handler.headers, handler.uri_match, handler.querystring = {}, {}, {}
    result = getattr(handler, camelcase_to_underscores(call.operation))()
    if not isinstance(result, ActionResult):
        raise TypeError(f"moto answers {call.name} with {type(result).__name__}")
    read: Read = _operation(call.service, call.operation)
    return dict(read(result.result))


def refusal(call: Call, error: ServiceException | HTTPException) -> AwsError:
    """The error that AWS returns when moto's handler raises `error`."""
    if isinstance(error, HTTPException):
        return AwsError(error.error_type, error.message, error.code)  # type: ignore[attr-defined]
    code, status = _code_and_status(call.service, type(error), str(error.code))
    return AwsError(code, str(error.message), status)


@cache
def _code_and_status(service: str, kind: type[ServiceException], code: str) -> tuple[str, int]:
    example = kind.__new__(kind)
    example.code = code
    shape = get_error_model(example, get_service_model(service))
    return shape.error_code, shape.metadata.get("error", {}).get("httpStatusCode", 400)


@cache
def _operation(service: str, operation: str) -> Read:
    """The function that reads an operation's response from the result of moto's handler."""
    model = get_service_model(service).operation_model(operation)
    shape = model.output_shape
    if shape is None:
        return lambda value: {}
    protocol = str(model.service_model.protocol)
    transformers = HANDLERS[service].RESPONSE_KEY_PATH_TO_TRANSFORMER
    return _Reader(protocol, transformers).of(shape, (operation, shape.name))


class _Reader:
    """Creates functions that read moto's objects for one protocol."""

    def __init__(self, protocol: str, transformers: dict[str, Read]) -> None:
        self._is_xml = protocol in ("query", "ec2")
        self._protocol, self._transformers = protocol, transformers
        self._simple: dict[str, Read] = {
            "blob": _bytes,
            "boolean": _boolean if self._is_xml else lambda value: value,
            "double": float,
            "float": float,
            "integer": int,
            "long": int,
            "string": str if self._is_xml else _string,
            "timestamp": self._timestamp,
        }

    def of(self, shape: Any, path: tuple[str, ...]) -> Read:
        """The function that reads a value of this shape."""
        if shape.type_name == "structure":
            return self._structure(shape, path)
        if shape.type_name == "list":
            return self._list(shape, path)
        if shape.type_name == "map":
            item = self.of(shape.value, (*path, "value"))
            return lambda value: {key: item(each) for key, each in value.items()}
        return self._simple[shape.type_name]

    def _structure(self, shape: Any, path: tuple[str, ...]) -> Read:
        members: list[tuple[str, Read, Read]] = []

        def read(value: Any) -> dict[str, Any]:
            if not members:  # created at the first use, because most shapes are never used
                members.extend(self._members(shape, path))
            picked = ((name, pick(value), item) for name, pick, item in members)
            return {name: item(found) for name, found, item in picked if found is not None}

        return read

    def _members(self, shape: Any, path: tuple[str, ...]) -> list[tuple[str, Read, Read]]:
        members = []
        for name, member in shape.members.items():
            member.parent = shape
            pick = self._picker(name, member, ".".join((*path, name)))
            members.append((name, pick, self.of(member, (*path, name))))
        return members

    def _picker(self, name: str, member: Shape, path: str) -> Read:
        """The function that finds a member in a moto object, by any name that moto accepts."""
        transformers, names = self._transformers, dict[type, list[str]]()
        seen, key_path = -1, ""

        def pick(value: Any) -> Any:
            nonlocal seen, key_path
            if seen != len(transformers):  # moto adds to them, and removes none
                seen = len(transformers)
                key_path = next((end for end in transformers if path.endswith(end)), "")
            # Looked up at each read: a request excludes a member (`include=["TAGS"]` of ECS).
            transform = transformers[key_path] if key_path else None
            known = names.get(type(value))
            if known is None:
                context = AttributePickerContext(value, name, member)
                known = list(dict.fromkeys(XFormedAttributePicker().get_possible_keys(context)))
                names[type(value)] = known
            for key in known:
                found = get_value(value, key, MISSING)
                if found is not MISSING:
                    return transform(found) if transform else found
            return transform(None) if transform else None

        return pick

    def _list(self, shape: Any, path: tuple[str, ...]) -> Read:
        item = self.of(shape.member, (*path, shape.member.name))
        if self._is_xml:  # this protocol omits empty values
            return lambda value: [each for part in value if (each := item(part)) != {}]
        return lambda value: [item(part) for part in value]

    def _timestamp(self, value: Any) -> datetime:
        """moto writes a datetime's fields and ignores its time zone."""
        moment: datetime = parse_to_aware_datetime(value).replace(tzinfo=UTC)
        if self._protocol == "ec2":
            return moment.replace(microsecond=0)
        if self._protocol == "json":
            return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        return moment


def _boolean(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else base64.b64decode(value)


def _string(value: Any) -> Any:
    if isinstance(value, Enum):
        value = value.value
    return value if value in (None, {}, []) else str(value)
