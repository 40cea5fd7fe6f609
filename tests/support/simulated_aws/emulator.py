"""moto with as few calls as possible, because hundreds of whole deploys use it.

A call through botocore to moto takes some milliseconds, almost all of them for writing and parsing
HTTP. So reads are cached until the next write to their service, the busiest services are called
without HTTP (`short_way.py`), and the table's two busiest calls go directly to moto's table. Every
other call goes through botocore.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config
from moto.dynamodb import dynamodb_backends
from moto.dynamodb.comparisons import get_filter_expression

from tests.support.simulated_aws import short_way
from tests.support.simulated_aws.aws import Answer, Call, ask

REGION, ACCOUNT_ID = "us-east-1", "123456789012"
READS = ("Describe", "List", "Get", "BatchGet", "Query", "Scan", "Search", "TransactGet")
# The tagging API reads the tags of all services.
OF_ALL_SERVICES = "resourcegroupstaggingapi"
# Services whose reads in moto depend only on writes to the same service.
REMEMBERED = {"acm", "ec2", "ecr", "ecs", "elbv2", "logs", "route53", OF_ALL_SERVICES}
PLAIN_GET = {"TableName", "Key", "ConsistentRead"}

_clients: dict[tuple[str, str], Any] = {}
# Service -> the number of its writes by any client.
_writes: Counter[str] = Counter()


def is_mutating(call: Call) -> bool:
    """Whether a call can change anything."""
    return not call.operation.startswith(READS)


def raw_client(service: str, region: str = REGION) -> Any:
    """A boto3 client that calls moto directly, cached because creating it takes up to 160 ms."""
    key = (service, region)
    if key not in _clients:
        session = boto3.Session("test", "test", region_name=region)
        # Retries are useless for calls that never leave the process.
        client = session.client(service, config=Config(retries={"total_max_attempts": 1}))
        client.meta.events.register("before-call", lambda model, **_: _note(service, model.name))
        _clients[key] = client
    return _clients[key]


def _note(service: str, operation: str) -> None:
    if not operation.startswith(READS):
        _writes[service] += 1
        if service != "dynamodb":
            _writes[OF_ALL_SERVICES] += 1


class Emulator:
    """moto for one account. Use it inside `mock_aws()`."""

    def __init__(self) -> None:
        self._remembered: dict[tuple[str, str, str], tuple[int, Answer]] = {}

    def call(self, call: Call, region: str = REGION) -> Answer:
        """moto's response. Raises `AwsError`, whose cause is the complete `ClientError`."""
        if call.service not in REMEMBERED or is_mutating(call):
            return _answer(call, region)
        key = (call.name, region, repr(call.params))
        written = _writes[call.service]
        known = self._remembered.get(key)
        if known and known[0] == written:
            return known[1]
        answer = _answer(call, region)
        self._remembered[key] = (written, answer)
        return answer


def _answer(call: Call, region: str) -> Answer:
    """Call moto without HTTP if that is possible; otherwise through botocore."""
    answer = moto_answer(call, region) if call.service in short_way.HANDLERS else None
    return ask(raw_client(call.service, region), call) if answer is None else answer


def moto_answer(call: Call, region: str) -> Answer | None:
    """The response of moto's own objects, or None if the call must go through botocore.

    Raises `AwsError`. The call then had no effect.

    Args:
        call: a call to one of `short_way.HANDLERS`.
    """
    if call.service == "dynamodb":
        answer = table_answer(call)
        if answer is not None:
            return answer
    _note(call.service, call.operation)
    try:
        return short_way.answer(call, ACCOUNT_ID, region)
    except short_way.REFUSALS as error:
        if call.service == "dynamodb":  # an error of boto3 also has the reasons of a cancellation
            return None
        raise short_way.refusal(call, error) from None


def table_items(table: str) -> Iterator[dict[str, Any]]:
    """A table's items in Python types, as a scan with boto3's `TypeDeserializer` returns them."""
    kept = dynamodb_backends[ACCOUNT_ID][REGION].tables[table]
    # moto's own `all_items` converts both keys at each comparison.
    groups = (items.values() for items in kept.items.values())
    for item in sorted(itertools.chain.from_iterable(groups), key=_order):
        yield {name: value.cast_value for name, value in item.attrs.items()}


def _order(item: Any) -> tuple[str, str]:
    return item.hash_key.value, item.range_key.value


def table_answer(call: Call) -> Answer | None:
    """The response of moto's table, or None if the call must go through botocore."""
    backend = dynamodb_backends[ACCOUNT_ID][REGION]
    if call.operation == "GetItem" and set(call.params) <= PLAIN_GET:
        if call.params["TableName"] not in backend.tables:
            return None
        item = backend.get_item(call.params["TableName"], call.params["Key"])
        return {"Item": item.to_json()["Attributes"]} if item else {}
    if call.operation == "TransactWriteItems":
        return _transact(backend, call.params["TransactItems"])
    return None


def _transact(backend: Any, items: list[dict[str, Any]]) -> Answer | None:
    """Write all items if every condition is true. Otherwise write nothing; moto then raises.

    (moto itself copies the whole table before each transaction, so that it can roll back.)
    """
    writes = [(kind, write) for item in items for kind, write in item.items()]
    tables = {write["TableName"] for _, write in writes}
    if not tables <= set(backend.tables) or {kind for kind, _ in writes} - {"Put", "Delete"}:
        return None
    keys = [_key(backend.tables[write["TableName"]], write) for _, write in writes]
    if len({repr(key) for key in keys}) < len(keys):
        return None
    for (_, write), key in zip(writes, keys, strict=True):
        if not _holds(backend.get_item(write["TableName"], key), write):
            return None
    for (kind, write), key in zip(writes, keys, strict=True):
        if kind == "Put":
            backend.put_item(write["TableName"], write["Item"])
        else:
            backend.delete_item(write["TableName"], key)
    return {}


def _key(table: Any, write: dict[str, Any]) -> dict[str, Any]:
    names = [name for name in (table.hash_key_attr, table.range_key_attr) if name]
    attributes = write.get("Key") or write["Item"]
    return {name: attributes[name] for name in names}


def _holds(current: Any, write: dict[str, Any]) -> bool:
    condition = write.get("ConditionExpression")
    if condition is None:
        return True
    names, values = (write.get(f"ExpressionAttribute{what}", {}) for what in ("Names", "Values"))
    return bool(get_filter_expression(condition, names, values).expr(current))
