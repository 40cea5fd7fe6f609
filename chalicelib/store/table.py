"""The table in DynamoDB, item by item. What the items are is `store.py`'s, `tokens.py`'s and
`api/idempotency.py`'s business.

A transaction even where one item is written: its client token, which botocore fills in, makes
botocore's own retry after a lost answer harmless, where a plain conditional put would meet its own
write and take it for somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from chalicelib.domain.errors import Throttled
from chalicelib.platform import aws
from chalicelib.platform.settings import settings

# The most keys of one BatchGetItem, and how often what it left out is asked for again.
BATCH = 100
BATCH_ATTEMPTS = 5
# The indexes that are listed from, by `created_key`, and what they are divided by.
INDEXES = {"by_owner": "owner", "everything": "record_type"}


class Conflict(Exception):
    """Somebody else wrote between our read and our write."""


def get_item(pk: str, sk: str) -> dict[str, Any] | None:
    """One item of the table by a consistent read, or None."""
    answer = aws.client("dynamodb").get_item(
        TableName=settings().table_name, Key=key(pk, sk), ConsistentRead=True
    )
    return deserialized(answer["Item"]) if "Item" in answer else None


def get_items(keys: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """The items of these (pk, sk) by consistent reads, in no order; those that are not there are
    left out. Raises `Throttled`.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
    """
    found: list[dict[str, Any]] = []
    left = [key(*pair) for pair in keys]
    for _ in range(BATCH_ATTEMPTS + len(left) // BATCH):
        if not left:
            return found
        asked = {"Keys": left[:BATCH], "ConsistentRead": True}
        answer = aws.client("dynamodb").batch_get_item(RequestItems={settings().table_name: asked})
        found += map(deserialized, answer["Responses"].get(settings().table_name, []))
        # An answer ends at 16 MB, or where the table is throttled: the rest is asked for again.
        rest = answer.get("UnprocessedKeys", {}).get(settings().table_name, {}).get("Keys", [])
        left = rest + left[BATCH:]
    raise Throttled("DynamoDB throttled the read of an owner's deployments")


def put_item(item: dict[str, Any], condition: str, values: dict[str, Any]) -> None:
    """Writes an item (`pk`, `sk`, attributes; None is left out). Raises `Conflict`."""
    transact([put(item, condition, values)])


def delete_item(pk: str, sk: str, condition: str, values: dict[str, Any]) -> None:
    """Deletes an item. Raises `Conflict` where the condition does not hold."""
    transact([delete(pk, sk, condition, values)])


def transact(items: list[dict[str, Any]]) -> None:
    """Writes all or none. Raises `Conflict` where a condition does not hold, or `Throttled`."""
    dynamodb = aws.client("dynamodb")
    try:
        dynamodb.transact_write_items(TransactItems=items)
    except dynamodb.exceptions.TransactionCanceledException as error:
        reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
        if reasons & {"ConditionalCheckFailed", "TransactionConflict"}:
            raise Conflict from error
        if reasons & {"ThrottlingError", "ProvisionedThroughputExceeded"}:
            raise Throttled("DynamoDB throttled the record's write") from error
        raise
    except dynamodb.exceptions.TransactionInProgressException as error:
        raise Conflict from error


def query(condition: str, values: dict[str, Any], **more: Any) -> Iterator[dict[str, Any]]:
    """The items that a Query finds, page by page as they are taken.

    Args:
        condition: the key condition.
        values: what stands for its names, and for those of a filter, in Python's types.
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
    """A page of an index of INDEXES, newest first, and the position to go on from.

    Args:
        after: the position that the page before ended at: a key, not a count, so additions and
            removals in between shift nothing.
        filters: conditions that all must hold, with `names` and `values` for what stands in them.
    """
    condition = "#partition = :partition" + (" AND created_key < :after" if after else "")
    more: dict[str, Any] = {"FilterExpression": " AND ".join(filters)} if filters else {}
    found = query(
        condition,
        {":partition": partition, **({":after": after} if after else {}), **values},
        IndexName=index,
        ExpressionAttributeNames={"#partition": INDEXES[index], **names},
        ScanIndexForward=False,
        **more,
    )
    items = list(islice(found, limit + 1))
    page = items[:limit]
    return page, page[-1]["created_key"] if len(items) > limit else None


def put(
    item: dict[str, Any], condition: str, values: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A put for `transact`."""
    put: dict[str, Any] = {
        "TableName": settings().table_name,
        "Item": serialized(item),
        "ConditionExpression": condition,
    }
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
    """An update for `transact`: sets the attributes of `change`, takes away those of `remove`.

    Args:
        condition: with `values` for what stands in it; attributes by their own names.
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
    given = {**{f":new_{name}": value for name, value in change.items()}, **(values or {})}
    if given:
        update["ExpressionAttributeValues"] = serialized(given)
    return {"Update": update}


def key(pk: str, sk: str) -> dict[str, Any]:
    return serialized({"pk": pk, "sk": sk})


def serialized(item: dict[str, Any]) -> dict[str, Any]:
    """As DynamoDB wants it. None is left out, for no index key may be null."""
    from boto3.dynamodb.types import TypeSerializer

    serializer = TypeSerializer()
    return {key: serializer.serialize(value) for key, value in item.items() if value is not None}


def deserialized(item: dict[str, Any]) -> dict[str, Any]:
    """As Python has it."""
    from boto3.dynamodb.types import TypeDeserializer

    deserializer = TypeDeserializer()
    return {key: deserializer.deserialize(value) for key, value in item.items()}
