"""Converts AWS requests and responses between HTTP and boto3's dictionaries.

Moto's server-side parsers and serializers implement the protocols: `json` (ECS, Logs, ECR,
DynamoDB, Step Functions), `query` (ELB) and `ec2`. REST requests, whose operation is in the path,
are not parsed, because Slipway's functions do not send any.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from botocore.parsers import ResponseParserFactory
from botocore.utils import parse_timestamp
from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import SerializationContext, get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.datastructures import Headers, MultiDict

from local.gateway.access import credential
from local.gateway.messages import HttpAnswer, HttpRequest

Answer = dict[str, Any]
# The name in a signature's credential scope, if boto3 uses another name for the service.
# https://docs.aws.amazon.com/general/latest/gr/rande.html
SIGNED_AS = {
    "elasticloadbalancing": "elbv2",
    "servicequotas": "service-quotas",
    "states": "stepfunctions",
    "tagging": "resourcegroupstaggingapi",
}
PROTOCOLS = ("json", "query", "ec2")
DEFAULT_STATUS = 400


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        service: boto3's name, such as "ecs", "elbv2", "ec2", "logs", "dynamodb", "stepfunctions".
        operation: the API's name, such as "CreateService".
        params: as boto3 takes them.
    """

    service: str
    operation: str
    params: dict[str, Any]

    @property
    def name(self) -> str:
        """Such as "ecs.CreateService"."""
        return f"{self.service}.{self.operation}"


class AwsError(Exception):
    """AWS responds with an error."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


def service_of(request: HttpRequest) -> str | None:
    """boto3's name of the service that the request is signed for; None if it is unsigned."""
    found = credential(request.path, request.headers)
    return SIGNED_AS.get(found[1], found[1]) if found else None


def read_request(request: HttpRequest) -> Call | None:
    """Parse the request into a call. Return None if its protocol is not in `PROTOCOLS`."""
    service = service_of(request)
    if service is None:
        return None
    values = dict(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))
    operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2] or values.get("Action")
    model = _model(service, operation) if operation else None
    if model is None:
        return None
    parser = PROTOCOL_PARSERS[_protocol(model)](model)
    params = parser.parse(
        {
            "method": request.method,
            "url_path": request.path,
            "url_params": {},
            "headers": Headers(),
            "values": MultiDict(values),
            "body": request.body.decode(),
        }
    )
    return Call(service, model.name, params)


def read_answer(call: Call, answer: HttpAnswer) -> Answer:
    """The response as boto3 returns it, without `ResponseMetadata`. Errors raise `AwsError`."""
    model = _model_of(call)
    factory = ResponseParserFactory()
    factory.set_parser_defaults(timestamp_parser=_utc)
    parser = factory.create_parser(_protocol(model))
    response = {"status_code": answer.status, "headers": answer.headers, "body": answer.body}
    parsed: dict[str, Any] = parser.parse(response, model.output_shape)
    if answer.failed:
        error = parsed.get("Error", {})
        raise AwsError(error.get("Code", ""), error.get("Message", ""), answer.status)
    parsed.pop("ResponseMetadata", None)
    return parsed


def write_answer(call: Call, answer: Answer) -> HttpAnswer:
    """Write a response in the protocol of the service."""
    return _serialised(call, answer)


def write_error(call: Call, error: AwsError) -> HttpAnswer:
    """Write an error in the service's protocol, with its own status or the modelled status."""
    written = _serialised(call, error)
    status = written.status if error.status == DEFAULT_STATUS else error.status
    return HttpAnswer(status, written.headers, written.body)


def _serialised(call: Call, result: Answer | AwsError) -> HttpAnswer:
    model = _model_of(call)
    request_id = str(uuid.uuid4())
    serializer = get_serializer_class(call.service, _protocol(model))
    written = serializer(model, SerializationContext(request_id)).serialize(result)
    body = written["body"]
    return HttpAnswer(
        status=written["status_code"],
        headers={**written["headers"], "x-amzn-RequestId": request_id},
        body=body.encode() if isinstance(body, str) else body,
    )


def load(*services: str) -> None:
    """Load the service models now, so that no call waits for them: each takes up to a second."""
    for service in services:
        get_service_model(service)


@cache
def _model(service: str, operation: str) -> OperationModel | None:
    try:
        model = get_service_model(service).operation_model(operation)
    except Exception:  # botocore raises different errors for unknown services and operations
        return None
    return model if _protocol(model) in PROTOCOLS else None


def _model_of(call: Call) -> OperationModel:
    model = _model(call.service, call.operation)
    assert model is not None, f"{call.name} is not an operation of a supported protocol"
    return model


def _protocol(model: OperationModel) -> str:
    return str(model.service_model.protocol)


def _utc(value: Any) -> datetime:
    # The serializer ignores the time zone of a datetime.
    return parse_timestamp(value).astimezone(UTC)
