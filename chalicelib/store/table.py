"""Access to the DynamoDB table: items as Python dicts, conditional writes, queries.

Every conditional write is a transaction, even of one item. botocore adds a client request token
to a transaction, so its retry after a lost response is harmless. The retry of a plain conditional
put would meet its own write, and report a conflict.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from chalicelib.domain.errors import Throttled
from chalicelib.platform import aws
from chalicelib.platform.settings import settings

# The most keys of one BatchGetItem call, and how often unprocessed keys are requested again.
BATCH = 100
BATCH_ATTEMPTS = 5
# The indexes that `newest` lists from, and their partition keys. Their sort key is `created_key`.
INDEXES = {"by_owner": "owner", "everything": "record_type"}


class Conflict(Exception):
    """The condition of a write does not hold: somebody else has written the item."""


def get_item(pk: str, sk: str) -> dict[str, Any] | None:
    """One item, by a consistent read; None if it does not exist."""
    answer = aws.client("dynamodb").get_item(
        TableName=settings().table_name, Key=key(pk, sk), ConsistentRead=True
    )
    return deserialized(answer["Item"]) if "Item" in answer else None


def get_items(keys: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """The items that exist of these (pk, sk), by consistent reads, in no order. Raises `Throttled`.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
    """
    name = settings().table_name
    items: list[dict[str, Any]] = []
    remaining = [key(*pair) for pair in keys]
    for _ in range(BATCH_ATTEMPTS + len(remaining) // BATCH):
        if not remaining:
            return items
        batch = {"Keys": remaining[:BATCH], "ConsistentRead": True}
        answer = aws.client("dynamodb").batch_get_item(RequestItems={name: batch})
        items += map(deserialized, answer["Responses"].get(name, []))
        # A response ends at 16 MB, or if the table is throttled: request the rest again.
        unprocessed = answer.get("UnprocessedKeys", {}).get(name, {}).get("Keys", [])
        remaining = unprocessed + remaining[BATCH:]
    raise Throttled("DynamoDB throttled the read of an owner's deployments")


def put_item(item: dict[str, Any], condition: str, values: dict[str, Any]) -> None:
    """Writes an item, without attributes that are None. Raises `Conflict`."""
    transact([put(item, condition, values)])


def delete_item(pk: str, sk: str, condition: str, values: dict[str, Any]) -> None:
    """Deletes an item. Raises `Conflict` if the condition does not hold."""
    transact([delete(pk, sk, condition, values)])


def transact(items: list[dict[str, Any]]) -> None:
    """Writes all or none. Raises `Conflict` if a condition does not hold, or `Throttled`."""
    dynamodb = aws.client("dynamodb")
    try:
        dynamodb.transact_write_items(TransactItems=items)
    except dynamodb.exceptions.TransactionCanceledException as error:
        reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
        if reasons & {"ConditionalCheckFailed", "TransactionConflict"}:
            raise Conflict from error
        if reasons & {"ThrottlingError", "ProvisionedThroughputExceeded"}:
            raise Throttled("DynamoDB throttled the write of a record") from error
        raise
    except dynamodb.exceptions.TransactionInProgressException as error:
        raise Conflict from error


def try_transact(items: list[dict[str, Any]]) -> bool:
    """As `transact`, but returns False instead of raising `Conflict`."""
    try:
        transact(items)
    except Conflict:
        return False
    return True


def query(condition: str, values: dict[str, Any], **more: Any) -> Iterator[dict[str, Any]]:
    """The items that a Query returns, page by page as they are consumed.

    Args:
        condition: the key condition.
        values: the values in the condition and in a filter, as Python types.
        more: further parameters of DynamoDB's Query.
    """
    pages = (
        aws.client("dynamodb")
        .get_paginator("query")
        .paginate(
            TableName=settings().table_name,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=serialized(values),
            **more,
        )
    )
    for page in pages:
        yield from map(deserialized, page["Items"])


def newest(
    index: str,
    partition: str,
    *,
    limit: int,
    after: str | None,
    filters: list[str],
    names: dict[str, str],
    values: dict[str, Any],
) -> tuple[list[dict[str, Any]], str | None]:
    """A page of an index of INDEXES, newest first, and the position of the next page, if any.

    Args:
        after: the position where the previous page ended. It is a key, not a count, so additions
            and removals in between do not shift the pages.
        filters: conditions that must all hold; `names` and `values` define their placeholders.
    """
    condition = "#partition = :partition" + (" AND created_key < :after" if after else "")
    more: dict[str, Any] = {"FilterExpression": " AND ".join(filters)} if filters else {}
    matching = query(
        condition,
        {":partition": partition, **({":after": after} if after else {}), **values},
        IndexName=index,
        ExpressionAttributeNames={"#partition": INDEXES[index], **names},
        ScanIndexForward=False,
        **more,
    )
    items = list(islice(matching, limit + 1))
    page = items[:limit]
    return page, page[-1]["created_key"] if len(items) > limit else None


def put(
    item: dict[str, Any], condition: str | None = None, values: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A put for `transact`. Without a condition it replaces an existing item."""
    put: dict[str, Any] = {"TableName": settings().table_name, "Item": serialized(item)}
    if condition:
        put["ConditionExpression"] = condition
    if values:
        put["ExpressionAttributeValues"] = serialized(values)
    return {"Put": put}


def delete(
    pk: str, sk: str, condition: str | None = None, values: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A delete for `transact`."""
    delete: dict[str, Any] = {"TableName": settings().table_name, "Key": key(pk, sk)}
    if condition:
        delete["ConditionExpression"] = condition
    if values:
        delete["ExpressionAttributeValues"] = serialized(values)
    return {"Delete": delete}


def update(
    pk: str,
    sk: str,
    condition: str,
    *,
    values: dict[str, Any] | None = None,
    change: dict[str, Any] | None = None,
    remove: tuple[str, ...] = (),
) -> dict[str, Any]:
    """An update for `transact`: sets the attributes in `change`, removes those in `remove`.

    Args:
        condition: names attributes directly; `values` defines its placeholders.
    """
    change = change or {}
    sets = ", ".join(f"#{name} = :new_{name}" for name in change)
    removes = ", ".join(f"#{name}" for name in remove)
    expression = " ".join(
        clause
        for clause in (f"SET {sets}" * bool(sets), f"REMOVE {removes}" * bool(removes))
        if clause
    )
    update: dict[str, Any] = {
        "TableName": settings().table_name,
        "Key": key(pk, sk),
        "UpdateExpression": expression,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {f"#{name}": name for name in (*change, *remove)},
    }
    placeholders = {**{f":new_{name}": value for name, value in change.items()}, **(values or {})}
    if placeholders:
        update["ExpressionAttributeValues"] = serialized(placeholders)
    return {"Update": update}


def key(pk: str, sk: str) -> dict[str, Any]:
    return serialized({"pk": pk, "sk": sk})


def serialized(item: dict[str, Any]) -> dict[str, Any]:
    """An item in DynamoDB's types, without None: a key of an index must not be null."""
    from boto3.dynamodb.types import TypeSerializer

    serializer = TypeSerializer()
    return {key: serializer.serialize(value) for key, value in item.items() if value is not None}


def deserialized(item: dict[str, Any]) -> dict[str, Any]:
    """An item in Python's types."""
    from boto3.dynamodb.types import TypeDeserializer

    deserializer = TypeDeserializer()
    return {key: deserializer.deserialize(value) for key, value in item.items()}
