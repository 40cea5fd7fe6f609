"""AWS requests and answers between HTTP and boto3's dictionaries, both ways.

Moto's parsers and serialisers, written for a server, do the protocols: `json` (ECS, Logs, ECR,
DynamoDB, Step Functions), `query` (ELB) and `ec2`. A REST request, whose operation is in its
path, is not read: no function of Slipway sends one.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
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

from tests.support.simulated_aws.aws import Answer, AwsError, Call

# The name in a signature's credential scope, where boto3 has another for the service.
# https://docs.aws.amazon.com/general/latest/gr/rande.html
SIGNED_AS = {
    "elasticloadbalancing": "elbv2",
    "servicequotas": "service-quotas",
    "states": "stepfunctions",
    "tagging": "resourcegroupstaggingapi",
}
SCOPE = re.compile(r"Credential=[^/,]+/\d{8}/[^/]+/([^/]+)/aws4_request")
PROTOCOLS = ("json", "query", "ec2")
DEFAULT_STATUS = 400


@dataclass(frozen=True)
class HttpRequest:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class HttpAnswer:
    """An answer as it goes."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def failed(self) -> bool:
        """Whether it is an error in every protocol."""
        return self.status >= 300


def service_of(request: HttpRequest) -> str | None:
    """boto3's name of the service that the request is signed for; None for an unsigned one."""
    scope = SCOPE.search(request.headers.get("Authorization", ""))
    return SIGNED_AS.get(scope[1], scope[1]) if scope else None


def read_request(request: HttpRequest) -> Call | None:
    """The call that the request makes; None where it is not one of `PROTOCOLS`."""
    service = service_of(request)
    if service is None:
        return None
    values = dict(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))
    operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2] or values.get("Action")
    model = _model(service, operation) if operation else None
    if model is None:
        return None
    parser = PROTOCOL_PARSERS[_protocol(model)](model)
    params = parser.parse({"values": values, "body": request.body.decode(), "headers": {}})
    return Call(service, model.name, params)


def read_answer(call: Call, answer: HttpAnswer) -> Answer:
    """The answer as boto3 gives it, without `ResponseMetadata`; raises `AwsError` for an error."""
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
    """The answer in the protocol of the service."""
    return _serialised(call, answer)


def write_error(call: Call, error: AwsError) -> HttpAnswer:
    """The error in the protocol of the service, with its own status or else the modelled one."""
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
    """Read the models of services now: that takes up to a second each, and no call has to wait."""
    for service in services:
        get_service_model(service)


@cache
def _model(service: str, operation: str) -> OperationModel | None:
    try:
        model = get_service_model(service).operation_model(operation)
    except Exception:  # what botocore raises for an unknown service or operation differs
        return None
    return model if _protocol(model) in PROTOCOLS else None


def _model_of(call: Call) -> OperationModel:
    model = _model(call.service, call.operation)
    assert model is not None, f"{call.name} is not an operation that can be read"
    return model


def _protocol(model: OperationModel) -> str:
    return str(model.service_model.protocol)


def _utc(value: Any) -> datetime:
    # The serialiser takes a moment's fields as they are, whatever its zone.
    return parse_timestamp(value).astimezone(UTC)
